"""Momentum teachers: slow copies of modules that follow the trained ones after every update."""

import copy
import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from likewise.core.batch import V, count, rows
from likewise.core.errors import InputError
from likewise.core.learner import Encoder


class Momentum(nn.Module):
    r"""A copy of modules, applied in turn, whose weights follow :math:`\theta' \leftarrow m\theta' + (1-m)\theta`.

    Call :meth:`update` after the optimiser's step. Code that updates the copy *before* it computes keys (MoCo) does
    the same thing, one step later and with the momentum of that step: at step 0 both copies are equal, so that
    update changes nothing, and every other one is the update that ends the step before. The copy takes no gradient, so
    it is no part of the learner's parameter groups; it is saved with the learner.

    Args:
        modules: what to copy; the copy runs them one after the other.
        momentum: m at the start.
        final: m at the end, reached along half a cosine; None: ``momentum`` throughout.
        buffers: ``own``: the copy keeps the running statistics of its own forward passes (MoCo, BYOL); ``copy``: it
            takes over the student's at each update, for a teacher that runs in evaluation mode.
    """

    def __init__(
        self,
        *modules: Encoder | nn.Module,
        momentum: float,
        final: float | None = None,
        buffers: Literal["own", "copy"] = "own",
    ) -> None:
        super().__init__()
        for value in (momentum, final):
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"momentum must be from 0 to 1, got {value}")
        self.copies = nn.ModuleList(copy.deepcopy(_module(m)).requires_grad_(False) for m in modules)
        self.momentum, self.final, self.buffers_from = momentum, final, buffers

    def forward(self, view: object) -> Tensor:
        """The copy's output, without gradient."""
        out = view
        with torch.no_grad():
            for module in self.copies:
                out = module(out)
        assert isinstance(out, Tensor)
        return out

    def at(self, progress: float) -> float:
        """The momentum when the share ``progress`` of the run is done."""
        if self.final is None:
            return self.momentum
        return self.final - (self.final - self.momentum) * (1 + math.cos(math.pi * progress)) / 2

    @torch.no_grad()
    def update(self, *modules: Encoder | nn.Module, progress: float = 0.0) -> None:
        """Move towards ``modules``, the originals in the same order."""
        m = self.at(progress)
        for mine, theirs in zip(self.copies, map(_module, modules), strict=True):
            for slow, fast in zip(mine.parameters(), theirs.parameters(), strict=True):
                slow.mul_(m).add_(fast, alpha=1 - m)
            if self.buffers_from == "copy":
                for held, new in zip(mine.buffers(), theirs.buffers(), strict=True):
                    held.copy_(new)


def _module(network: Encoder | nn.Module) -> nn.Module:
    if not isinstance(network, nn.Module):
        raise TypeError(f"a momentum copy needs a torch module, got {type(network).__name__}")
    return network


def in_norm_groups(network: Callable[[Any], Tensor], view: V, groups: int, *, shuffle: bool = False) -> Tensor:
    """``network`` on ``groups`` parts of the batch one by one, each with batch-norm statistics of its own.

    MoCo's Shuffling BN (arXiv:1911.05722, section 3.3) on one device: queries in order, keys in random order, so that
    a query can't recognise its key by the statistics that they share. Rows come back in the order they went in.

    Args:
        network: view of rows -> ``(n, d)``.
        view: n rows.
        groups: parts, of two rows at least (fewer parts if need be); 1 runs the batch as a whole.
        shuffle: deal the rows to the parts at random.
    """
    n = count(view)
    groups = max(1, min(groups, n // 2))
    if groups == 1:
        return network(view)
    order = torch.randperm(n) if shuffle else torch.arange(n)
    out = torch.cat([network(rows(view, part)) for part in order.tensor_split(groups)])
    return out[order.argsort().to(out.device)]
