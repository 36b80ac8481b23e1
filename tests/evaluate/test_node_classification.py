"""What is measured on the nodes of a graph: by classes over random splits, or by geometry alone."""

import pytest
import torch
from torch import nn

from likewise.core.batch import Graph
from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.data.dataset import Dataset
from likewise.evaluate.nodes import NodeClassification, accuracy_on, split


class Given(Learner):
    """Embeds every node as what it was given."""

    def __init__(self, z):
        super().__init__()
        self.z = nn.Parameter(z)

    def embed(self, view, role=None):
        return self.z


class AsItIs:
    def plain(self, columns):
        return dict(columns)


def data(labels, x=None, n=90):
    graph = Graph(torch.randn(n, 3) if x is None else x, torch.tensor([[0], [1]]))
    keys = list(map(str, range(n)))
    classes = None if labels is None else ["a", "b", "c"]
    return Dataset("nodes", {"graph": graph}, keys, torch.zeros(n, dtype=torch.bool), labels, classes)


@pytest.fixture(scope="module")
def three():
    """Ninety nodes in three classes; embeddings that tell them, and noise."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(90) % 3
    noise = torch.randn(90, 8, generator=generator)
    return y, nn.functional.one_hot(y, 8) * 15.0 + noise, noise


def test_what_tells_classes_scores_and_noise_does_not(three):
    y, z, noise = three
    measure = NodeClassification(splits=4)
    good = measure.evaluate(Given(z), AsItIs(), data(y, x=noise))
    assert good["node_accuracy"] > 0.9
    assert good["node_accuracy_raw"] < 0.6
    assert good["chance"] == pytest.approx(1 / 3)
    assert good["nmi"] > 0.8
    assert good["dim"] == 8
    bad = measure.evaluate(Given(noise), AsItIs(), data(y, x=z))
    assert bad["node_accuracy"] < 0.6
    assert bad["node_accuracy_raw"] > 0.9
    assert bad["node_accuracy_std"] > 0


def test_splits_belong_to_the_seed(three):
    y, _, noise = three

    def run(seed, splits=3):
        what = ["node_accuracy", "node_accuracy_std"]
        return NodeClassification(splits).evaluate(Given(noise), AsItIs(), data(y), seed=seed, what=what)

    assert run(0) == run(0) != run(1)
    assert "node_accuracy_std" not in run(0, splits=1)


def test_splits_are_disjoint_and_whole():
    train, validation, test = split(50, 0.1, 0.2, torch.Generator().manual_seed(0))
    assert (len(train), len(validation), len(test)) == (5, 10, 35)
    assert torch.cat([train, validation, test]).sort().values.tolist() == list(range(50))
    other = split(50, 0.1, 0.2, torch.Generator().manual_seed(1))[0]
    assert set(other.tolist()) != set(train.tolist())


def test_validation_nodes_choose_the_regularisation(three):
    """Test nodes are never looked at for a choice: other labels for them change the score, not the model."""
    y, z, _ = three
    rows = split(90, 0.1, 0.1, torch.Generator().manual_seed(0))
    right = accuracy_on(z, y, rows)
    wrong = y.clone()
    wrong[rows[2]] = (y[rows[2]] + 1) % 3
    assert right > 0.9
    assert accuracy_on(z, wrong, rows) < 0.1


def test_nodes_without_a_class_are_left_out(three):
    y, z, _ = three
    holes = y.clone()
    holes[::2] = -1
    far = z.clone()
    far[::2] = 1e3
    found = NodeClassification(3, train_share=0.4).evaluate(Given(far), AsItIs(), data(holes))
    assert found["node_accuracy"] > 0.85
    assert found["chance"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("labels", [None, torch.rand(90), torch.zeros(90, dtype=torch.int64)])
def test_without_classes_the_geometry_is_left(three, labels):
    found = NodeClassification(2).evaluate(Given(three[1]), AsItIs(), data(labels))
    assert set(found) == {"effective_rank", "uniformity", "std", "anisotropy", "dim"}


def test_a_probe_is_quick_and_small(three):
    y, z, _ = three
    found = NodeClassification(20).probe(Given(z), AsItIs(), data(y), rows=50, seed=0)
    assert set(found) == {"node_accuracy", "effective_rank", "uniformity"}


def test_what_the_measure_refuses(three):
    with pytest.raises(InputError, match="did you mean 'node_accuracy'"):
        NodeClassification(2).evaluate(Given(three[1]), AsItIs(), data(three[0]), what=["node_acuracy"])
    with pytest.raises(InputError, match="splits=0"):
        NodeClassification(0)
    with pytest.raises(InputError, match="leave nodes to test on"):
        NodeClassification(train_share=0.6, validation_share=0.4)
