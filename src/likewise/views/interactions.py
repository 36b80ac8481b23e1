"""Triples for learning to rank: who, what they took, and something that they did not."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likewise.core.batch import View
from likewise.core.draws import Draws
from likewise.core.recipe import part


@part("views")
class Triples(nn.Module):
    """``user``, ``positive`` and ``negative``: for each interaction an item that its user has none with in training.

    The negative is uniform over those items, from one draw, without trying again. A user who has everything gets the
    positive for a negative: a constant loss without gradient.
    """

    starts: Tensor
    keys: Tensor

    def attach(self, shared: Mapping[str, Any]) -> None:
        """Keep the training interactions, sorted."""
        user, item = shared["train"]
        self.num_items = int(shared["num_items"])
        count = user.bincount(minlength=int(shared["num_users"]))
        starts = torch.cat([count.new_zeros(1), count.cumsum(0)])
        # how many items before the user's j-th one are free: ascending within a user
        free = item - (torch.arange(len(item)) - starts[user])
        self.register_buffer("starts", starts, persistent=False)
        self.register_buffer("keys", user * (self.num_items + 1) + free, persistent=False)

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """The triples' numbers, ``(n,)`` int64 each."""
        user, positive = columns["user"], columns["item"]
        assert isinstance(user, Tensor)
        assert isinstance(positive, Tensor)
        return {"user": user, "positive": positive, "negative": self.negatives(user, positive, draws.uniform())}

    def negatives(self, user: Tensor, positive: Tensor, chance: Tensor) -> Tensor:
        """The item at the share ``chance (n,)`` of those that each user has not taken, in their order."""
        free = self.num_items - (self.starts[user + 1] - self.starts[user])
        nth = (chance.double() * free).long().minimum((free - 1).clamp(min=0))
        taken = torch.searchsorted(self.keys, user * (self.num_items + 1) + nth, right=True) - self.starts[user]
        return torch.where(free > 0, nth + taken, positive)

    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """Items, and users: whichever there are."""
        return {role: columns[role] for role in ("item", "user") if role in columns}
