"""What recommenders that learn an embedding for each user and item have in common."""

from typing import Any

import torch
from torch import Tensor, nn

from likewise.core.batch import Batch, View
from likewise.core.errors import InputError


def table(num: int, dim: int) -> nn.Parameter:
    """An embedding for each of ``num`` things, ``(num, dim)``, from Xavier's uniform distribution."""
    if num < 1 or dim < 1:
        raise InputError(f"a table of {num} embeddings of {dim} numbers holds nothing")
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(num, dim)))


def triple(users: Tensor, items: Tensor, batch: Batch) -> dict[str, Tensor]:
    """The rows ``(n, d)`` of each triple of a batch: ``user`` from ``users``, the others from ``items``."""
    views: dict[str, Any] = batch.views
    return {role: (users if role == "user" else items)[views[role]] for role in ("user", "positive", "negative")}


def index(tables: tuple[Tensor, Tensor], view: View, role: str | None) -> Tensor:
    """Rows by number: of the users' table if ``role`` says so, else of the items'."""
    assert isinstance(view, Tensor)
    return tables[0 if role == "user" else 1][view]
