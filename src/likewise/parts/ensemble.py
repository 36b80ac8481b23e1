"""Several encoders of one kind, whose features stand side by side."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from likewise.core.learner import Encoder


def fresh(network: Encoder) -> nn.Module:
    """A copy as if newly made: each weight tensor holds the same numbers in another random order.

    This keeps every layer's own way of starting (its scale, its zeros), which drawing anew would have to know. It is
    for networks that have not been trained.
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"a fresh copy needs a torch module, got {type(network).__name__}")
    out = copy.deepcopy(network)
    with torch.no_grad():
        for weight in out.parameters():
            weight.copy_(weight.flatten()[torch.randperm(weight.numel())].view_as(weight))
    return out


class Ensemble(nn.Module):
    """``size`` encoders that start differently; the features of the first ``used`` of them are concatenated.

    Args:
        encoder: the first; the others are fresh copies.
        size: how many.
    """

    used: Tensor

    def __init__(self, encoder: Encoder, size: int) -> None:
        super().__init__()
        self.width = encoder.dim
        self.members = nn.ModuleList([encoder, *(fresh(encoder) for _ in range(size - 1))])  # type: ignore[list-item]
        self.register_buffer("used", torch.ones((), dtype=torch.int64))

    @property
    def num_used(self) -> int:
        """How many of the encoders are in use; one where there are shapes alone (meta tensors)."""
        return 1 if self.used.is_meta else int(self.used)

    @property
    def dim(self) -> int:
        """Width of the features as things stand."""
        return self.width * self.num_used

    @property
    def newest(self) -> nn.Module:
        """The last of those in use."""
        return self.members[self.num_used - 1]

    def forward(self, view: Any) -> Tensor:
        """Features ``(n, used * width)``, those of the first member first."""
        return torch.cat([member(view) for member in self.members[: self.num_used]], 1)
