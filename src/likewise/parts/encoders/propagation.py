"""Propagation along interactions and hyperedges: sparse matrices that are constants of the data.

A graph is kept as its incidence alone. A layer of a hypergraph is two sparse products; the matrix of all pairs of
nodes that share an edge, which is often almost full, is never formed.
"""

import warnings
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class _Product(torch.autograd.Function):
    """``A x`` whose gradient is ``A^T g``, with both matrices at hand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:  # type: ignore[override]
        """The product."""
        ctx.matrices = matrix, transposed
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        """The same with the matrices exchanged."""
        matrix, transposed = ctx.matrices
        return cast(Tensor, _Product.apply(grad, transposed, matrix)), None, None


class SparseMatrix(nn.Module):
    """A constant sparse matrix ``(n, m)``, in buffers that are not saved: they come with the data again.

    Args:
        rows: ``(e,)`` int64.
        cols: ``(e,)`` int64.
        values: ``(e,)``.
        shape: ``(n, m)``.
    """

    def __init__(self, rows: Tensor, cols: Tensor, values: Tensor, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        for name, first, second, num in (("by_row", rows, cols, shape[0]), ("by_col", cols, rows, shape[1])):
            order = (first * (1 + int(second.max()) if len(second) else 1) + second).argsort()
            starts = torch.cat([first.new_zeros(1), first.bincount(minlength=num).cumsum(0)])
            self.register_buffer(f"{name}_starts", starts, persistent=False)
            self.register_buffer(f"{name}_other", second[order], persistent=False)
            self.register_buffer(f"{name}_values", values[order], persistent=False)

    def forward(self, x: Tensor, *, transposed: bool = False) -> Tensor:
        """``A x (n, d)`` of ``x (m, d)``, or ``A^T x (m, d)`` of ``x (n, d)``; in float32 or better."""
        x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        one, other = self._built("by_row", self.shape), self._built("by_col", self.shape[::-1])
        with torch.autocast(x.device.type, enabled=False):
            return cast(Tensor, _Product.apply(x, *((other, one) if transposed else (one, other))))

    def entries(self) -> tuple[Tensor, Tensor]:
        """Rows and columns ``(e,)`` of what is not left out, row by row."""
        starts, cols = cast(Tensor, self.by_row_starts), cast(Tensor, self.by_row_other)
        return torch.arange(self.shape[0], device=cols.device).repeat_interleave(starts.diff()), cols

    def _built(self, name: str, shape: tuple[int, ...]) -> Tensor:
        starts, other, values = (getattr(self, f"{name}_{part}") for part in ("starts", "other", "values"))
        with warnings.catch_warnings():  # "support is in beta state", once a process
            warnings.simplefilter("ignore", UserWarning)
            return torch.sparse_csr_tensor(starts, other, values, size=shape, check_invariants=False)


class Interactions(nn.Module):
    r"""LightGCN's propagation: each layer is the neighbours' sum, weighted by ``1 / sqrt(degree degree)``.

    .. math:: e^{(l+1)}_u = \sum_{i\in N_u} \frac{e^{(l)}_i}{\sqrt{|N_u||N_i|}},\qquad
              \bar e = \frac1{L+1}\sum_l e^{(l)}

    Who has no neighbours gets zeros from the layers above 0.
    Source: He et al., arXiv:2002.02126, Eq. 3 and 4, with equal weights of the layers.

    Args:
        pairs: ``(2, e)`` users and items of the interactions, each once.
        num_users: rows of the users' table.
        num_items: rows of the items' table.
        dtype: of the weights.
    """

    def __init__(self, pairs: Tensor, num_users: int, num_items: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        user, item = pairs
        degrees = user.bincount(minlength=num_users)[user] * item.bincount(minlength=num_items)[item]
        self.matrix = SparseMatrix(user, item, degrees.to(dtype).rsqrt(), (num_users, num_items))

    def forward(self, users: Tensor, items: Tensor, layers: int) -> tuple[Tensor, Tensor]:
        """The means of layers ``0 .. layers`` of ``users (u, d)`` and ``items (i, d)``."""
        u, i, mean_u, mean_i = users, items, users, items
        for _ in range(layers):
            u, i = self.matrix(i), self.matrix(u, transposed=True)
            mean_u, mean_i = mean_u + u, mean_i + i
        return mean_u / (layers + 1), mean_i / (layers + 1)


class Hypergraph(nn.Module):
    r"""Propagation between nodes that share hyperedges, by the number of edges that they share.

    .. math:: x \mapsto D^{-1}\big(HH^\top - \mathrm{diag}(HH^\top)\big)x \quad\text{or}\quad
              x \mapsto D^{-1/2} HH^\top D^{-1/2} x

    with H the incidence ``(nodes, edges)`` and D the row sums. A node that shares no edge gets zeros.
    Source: MMHCL's code (Xu107/MMHCL), its u2u graph without and its i2i graph with the diagonal.

    Args:
        incidence: H.
        loops: keep the diagonal, and divide on both sides; else leave it out and divide rows.
    """

    diagonal: Tensor
    weight: Tensor

    def __init__(self, incidence: SparseMatrix, *, loops: bool) -> None:
        super().__init__()
        self.incidence, self.loops = incidence, loops
        values, (row, _) = cast(Tensor, incidence.by_row_values), incidence.entries()
        self.register_buffer(
            "diagonal",
            values.new_zeros(incidence.shape[0], 1).index_add(0, row, values.square()[:, None]),
            persistent=False,
        )
        total = self._shared(values.new_ones(incidence.shape[0], 1))
        power = total.rsqrt() if loops else total.reciprocal()
        self.register_buffer("weight", torch.where(total > 0, power, 0.0), persistent=False)

    def _shared(self, x: Tensor) -> Tensor:
        out: Tensor = self.incidence(self.incidence(x, transposed=True))
        return out if self.loops else out - self.diagonal * x

    def forward(self, x: Tensor, layers: int = 1) -> Tensor:
        """The last of so many layers, ``(n, d)`` of ``x (n, d)``."""
        for _ in range(layers):
            x = self._shared(x * self.weight) * self.weight if self.loops else self._shared(x) * self.weight
        return x


def nearest(features: Tensor, k: int, *, tile: int = 1024) -> tuple[Tensor, Tensor]:
    """Pairs ``(rows, cols)`` of each row with its ``k`` rows of largest cosine, itself among them, above 0 only.

    Memory is ``tile`` rows of similarities at a time. A row of zeros is near to nothing, not even to itself.

    Args:
        features: ``(n, f)``.
        k: how many for each row.
        tile: rows at a time.
    """
    unit = normalize(features.double(), dim=1)
    rows, cols = [], []
    for first in range(0, len(unit), tile):
        value, index = (unit[first : first + tile] @ unit.T).topk(min(k, len(unit)), dim=1)
        row, place = (value > 0).nonzero().T
        rows.append(row + first)
        cols.append(index[row, place])
    return torch.cat(rows), torch.cat(cols)


def neighbourhoods(features: list[Tensor], k: int) -> SparseMatrix:
    """The incidence ``(n, n * kinds)`` of a hyperedge for each row and kind of features: who has the row near.

    Node i is in the edge of j when j is one of the ``k`` nearest of i (:func:`nearest`), as in MMHCL's code.

    Args:
        features: ``(n, f)`` of each kind.
        k: neighbours of each row.
    """
    num = len(features[0])
    found = [nearest(kind, k) for kind in features]
    rows = torch.cat([row for row, _ in found])
    cols = torch.cat([col + number * num for number, (_, col) in enumerate(found)])
    return SparseMatrix(rows, cols, torch.ones(len(rows)), (num, num * len(features)))
