"""Memories of past embeddings."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likewise.core.errors import InputError


class Queue(nn.Module):
    """First in, first out: the newest ``size`` rows and whose they are, on every process the same.

    Write gathered rows only: data-parallel training keeps one copy of every buffer, so rows of one process alone
    would be lost. The objective reads, ``after_update`` writes.

    Args:
        size: rows that it holds; it need not be a multiple of the batch.
        dim: width of a row.
    """

    rows: Tensor
    ids: Tensor
    written: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1:
            raise InputError(f"a queue needs room for at least one row, got size {size}")
        # random unit rows until they are overwritten, as in MoCo's and NNCLR's code
        self.register_buffer("rows", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("ids", torch.full((size,), -1))
        self.register_buffer("written", torch.zeros(1, dtype=torch.int64))

    def __len__(self) -> int:
        """How many rows were written and are still held."""
        return min(int(self.written), self.rows.shape[0])

    def read(self) -> Tensor:
        """All ``(size, dim)`` rows, in no particular order, until the next write; those never written are random."""
        return self.rows

    @torch.no_grad()
    def write(self, rows: Tensor, ids: Tensor | None = None) -> None:
        """Replace the oldest rows by ``rows (n, dim)``; of more than ``size``, the last ones stay.

        ``ids (n,)`` are the samples that they belong to; :attr:`ids` holds -1 where nobody said.
        """
        size, n = self.rows.shape[0], len(rows)
        # the ring pointer is a tensor, so that a device never has to wait for it
        places = (self.written + torch.arange(n, device=self.rows.device)) % size
        self.rows[places[-size:]] = rows[-size:].to(self.rows)
        self.ids[places[-size:]] = -1 if ids is None else ids[-size:].to(self.ids)
        self.written += n
