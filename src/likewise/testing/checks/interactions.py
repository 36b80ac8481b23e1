"""What recommenders may know of the interactions that they are measured on: nothing."""

import torch
from torch import Tensor

from likewise.core.card import Card
from likewise.core.draws import Draws
from likewise.parts.encoders.propagation import SparseMatrix
from likewise.testing.contract import check, learners_only
from likewise.testing.subject import Subject, expect


def _no_interactions(card: Card) -> str:
    return learners_only(card) or ("" if card.modality == "interactions" else "its data are no interactions")


@check(_no_interactions)
def held_out_interactions_stay_out(subject: Subject) -> None:
    """No held-out interaction is in the graph that a recommender trains on, nor among what is shared or in a batch."""
    data = subject.dataset
    users, items = int(data.known["num_users"]), int(data.known["num_items"])
    train, held = (_keys(data.columns["user"], data.columns["item"], items, rows) for rows in (~data.test, data.test))
    expect(not torch.isin(held, train).any(), "an interaction is held out and trained on")
    shared = data.shared["train"]
    given = shared[0] * items + shared[1]
    expect(torch.equal(given.sort().values, train), "what is shared as training pairs are other interactions")
    learner = subject.learner()
    for name, module in learner.named_modules():
        if isinstance(module, SparseMatrix):
            found = _pairs(module, users, items)
            leaked = int(torch.isin(found, held).sum())
            expect(not leaked, f"{leaked} held-out interactions are in the graph {name}")
    rows = data.train_rows
    views = subject.views(data.take(rows), Draws(subject.seed, 0, torch.arange(len(rows))))
    for role, view in views.items():
        if role == "positive":
            expect(torch.isin(views["user"] * items + view, train).all(), "a positive is no training interaction")
        if role == "negative":
            wrong = int(torch.isin(views["user"] * items + view, train).sum())
            expect(not wrong, f"{wrong} negatives are training interactions of their user")


def _keys(user: object, item: object, items: int, rows: Tensor) -> Tensor:
    assert isinstance(user, Tensor)
    assert isinstance(item, Tensor)
    return (user * items + item)[rows].sort().values


def _pairs(matrix: SparseMatrix, users: int, items: int) -> Tensor:
    """User and item of every entry of a matrix of users x items, or of both in one list: ``user * items + item``."""
    row, col = matrix.entries()
    if matrix.shape == (users + items, users + items):
        across = (row < users) & (col >= users)
        return row[across] * items + col[across] - users
    return row * items + col if matrix.shape == (users, items) else row[:0]
