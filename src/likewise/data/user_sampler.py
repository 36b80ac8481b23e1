"""Whose turn it is: interactions in an order that treats users alike."""

import torch
from torch import Tensor

from likewise.core.draws import Draws
from likewise.core.recipe import part
from likewise.data.dataset import Dataset
from likewise.data.sampler import epoch_order


@part("sampler", "distinct-users")
class DistinctUsers:
    """Every step as many different users as fit into a batch, each with one of its training interactions.

    With fewer users than rows in a batch, users are drawn with replacement. Every user counts alike, however many
    interactions it has. Source: the sampler of MMHCL's code (and of LightGCN's, which draws with replacement).
    """

    def rows(self, dataset: Dataset, batch: int, seed: int, epoch: int) -> Tensor:
        """Training rows in order; every ``batch`` of them is a step."""
        where = dataset.train_rows
        column = dataset.columns["user"]
        assert isinstance(column, Tensor)
        order = column[where].argsort(stable=True)
        where, user = where[order], column[where[order]]
        present, count = user.unique_consecutive(return_counts=True)
        starts = count.cumsum(0) - count
        steps = len(where) // batch
        draws = Draws(seed, epoch, torch.arange(steps * batch)).fork("distinct users")
        if len(present) < batch:
            chosen = (draws.uniform().double() * len(present)).long()
        else:
            chosen = torch.cat([epoch_order(len(present), seed, epoch, f"users {s}")[:batch] for s in range(steps)])
        nth = (draws.uniform().double() * count[chosen]).long()
        return where[starts[chosen] + nth]
