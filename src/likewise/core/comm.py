"""Talking to the other processes: the only place that knows ``torch.distributed``.

One convention for every method: anchors are local, candidates are gathered with gradient in rank order, the loss is
the mean over local anchors, and gradients of parameters are averaged over ranks. With equal rows per rank this is the
gradient of the one-process loss on the joined batch.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Collective:
    """The verbs of a single process: every one is the identity."""

    rank: int = 0
    world: int = 1

    def gather(self, rows: Tensor) -> Tensor:
        """Rows ``(n, ...)`` of every rank, in rank order, with gradient: ``(sum of n, ...)``."""
        return rows

    def sum(self, value: Tensor) -> Tensor:
        """Elementwise sum over ranks, with gradient."""
        return value

    def mean(self, value: Tensor) -> Tensor:
        """Elementwise mean over ranks, with gradient."""
        return value

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every parameter's gradient by its mean over ranks."""

    def broadcast(self, value: Tensor) -> Tensor:
        """Rank 0's value on every rank, in place, without gradient."""
        return value

    def barrier(self) -> None:
        """Wait until every rank is here."""


class Distributed(Collective):
    """The same verbs over the default ``torch.distributed`` process group."""

    def __init__(self) -> None:
        import torch.distributed as dist

        if not dist.is_initialized():
            raise RuntimeError("Distributed needs an initialised torch.distributed process group")
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def gather(self, rows: Tensor) -> Tensor:
        """Rows of every rank, padded on the way where ranks differ in their number."""
        return _Gather.apply(rows, self.rank, self.world)

    def sum(self, value: Tensor) -> Tensor:
        """Sum over ranks."""
        return _Sum.apply(value)

    def mean(self, value: Tensor) -> Tensor:
        """Mean over ranks."""
        return self.sum(value) / self.world

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """One reduction over all gradients, flattened."""
        import torch.distributed as dist

        # every rank must run the same collectives: a parameter without gradient here contributes zeros
        held = [p for p in parameters if p.requires_grad]
        if not held:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in held])
        dist.all_reduce(flat)
        flat /= self.world
        for p, grad in zip(held, flat.split([p.numel() for p in held])):
            p.grad = grad.view_as(p).clone()

    def broadcast(self, value: Tensor) -> Tensor:
        """Rank 0's value."""
        import torch.distributed as dist

        dist.broadcast(value, 0)
        return value

    def barrier(self) -> None:
        """Wait for every rank."""
        import torch.distributed as dist

        dist.barrier()


def _sizes(rows: Tensor, world: int) -> list[int]:
    """How many rows each rank has; ranks may differ."""
    import torch.distributed as dist

    mine = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.zeros_like(mine) for _ in range(world)]
    dist.all_gather(sizes, mine)
    return [int(s) for s in sizes]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int, world: int) -> Tensor:
        import torch.distributed as dist

        sizes = _sizes(rows, world)
        ctx.rank, ctx.sizes = rank, sizes
        # padded to the largest rank: gloo and nccl both want equal shapes
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        import torch.distributed as dist

        (grad,) = grads
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad.split(ctx.sizes)[ctx.rank], None, None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        import torch.distributed as dist

        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        import torch.distributed as dist

        grad = grads[0].clone()
        dist.all_reduce(grad)
        return grad
