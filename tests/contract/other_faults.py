"""Faults that the checks of agents and recommenders have to see: each spoils a working method in one place."""

import torch

from likewise.core.registry import load
from likewise.testing.subject import Subject


def changed(name, change):
    """A fault of contrastive-ucb: what a member function gives, changed."""

    def spoil(monkeypatch):
        method = load("contrastive-ucb")
        whole = getattr(method.cls, name)
        monkeypatch.setattr(method.cls, name, lambda self, *args: change(self, whole(self, *args)))
        return method

    return spoil


def remembering(self, policy):
    """Goes by a count that is not saved."""
    self.__dict__["count"] = self.__dict__.get("count", 0) + 1
    return policy.flip(2) if self.__dict__["count"] % 3 == 0 else policy


def drawn(self, policy):
    """Goes by the global generator."""
    return policy.flip(2) if torch.rand(()) < 0.5 else policy


def without_paper(monkeypatch):
    method = load("contrastive-ucb")
    monkeypatch.delitem(method.recipes, "paper")
    return method


def leaking(monkeypatch):
    """A recommender whose graph has the held-out interactions, too."""
    method = load("lightgcn")
    columns, attach = Subject(method).dataset.columns, method.cls.attach
    every = torch.stack([columns["user"], columns["item"]])
    monkeypatch.setattr(method.cls, "attach", lambda self, shared: attach(self, {**shared, "train": every}))
    return method


FAULTS = {
    "a-bonus-shrinks-with-visits": changed("bonus", lambda self, found: torch.ones_like(found)),
    "a-covariance-is-one": changed("covariance", lambda self, found: -found),
    "a-model-is-probabilities": changed("model", lambda self, found: 2 * found),
    "a-policy-is-probabilities": changed("policy", lambda self, found: 2 * found),
    "a-seed-decides-an-agent": changed("policy", drawn),
    "an-agent-is-saved-whole": changed("policy", remembering),
    "courses-come-in-three-sizes": without_paper,
    "held-out-interactions-stay-out": leaking,
}
"""Name of the check -> spoils a method and gives it."""
