"""A small learner with everything that a careless evaluation would disturb, and digits."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from likewise.core.learner import Learner
from likewise.data.dataset import Dataset


class Noisy(nn.Module):
    """Views of ``columns["image"]``: two noisy ones, or the image itself."""

    def forward(self, columns, draws):
        x = columns["image"].float() / 16
        return {role: x + 0.1 * draws.fork(role).normal(*x.shape[1:]) for role in ("a", "b")}

    def plain(self, columns):
        return {"image": columns["image"].float() / 16}


class Small(Learner):
    """A convnet with batch norm and dropout, one part of it frozen in eval mode."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.5),
            nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.teacher = nn.Linear(4, 4).eval()


@pytest.fixture
def learner():
    torch.manual_seed(0)
    out = Small()
    out.train()
    out.teacher.eval()
    return out


@pytest.fixture
def views():
    return Noisy()


@pytest.fixture(scope="session")
def digits():
    x, y = load_digits(return_X_y=True)
    return _make(torch.from_numpy(x).to(torch.uint8).view(-1, 1, 8, 8)[:900], torch.from_numpy(y)[:900])


@pytest.fixture(scope="session")
def make():
    """A data set of ``images``; every third row is a test row unless ``test`` says otherwise."""
    return _make


def _make(images, labels=None, test=None):
    n = len(images)
    if test is None:
        test = torch.arange(n) % 3 == 0
    return Dataset("digits", {"image": images}, [f"row {i}" for i in range(n)], test, labels)


class Table(Learner):
    """Features that are given: row i's image holds i."""

    def __init__(self, z):
        super().__init__()
        self.register_buffer("z", z)

    def embed(self, view, role=None):
        return self.z[view.flatten().long()]


class AsIs(nn.Module):
    """Every view is the row itself."""

    def forward(self, columns, draws):
        return self.plain(columns)

    def plain(self, columns):
        return {"image": columns["image"]}


@pytest.fixture(scope="session")
def table():
    """A learner, views and a data set whose features are the given ``z (n, d)``."""

    def of(z, labels=None, test=None):
        return Table(z), AsIs(), _make(torch.arange(len(z)), labels, test)

    return of
