"""Sums of candidates with a rule's values as weights, ``W @ candidates``, a tile at a time."""

import torch
from torch import Tensor

from likewise.similarity.rules import Drop, Rule


def listed_matrix(rule: Rule, n: int, m: int, like: Tensor) -> Tensor | None:
    """The weights as a sparse ``(n, m)`` matrix of ones, if the rule can list its pairs."""
    pairs = rule.pairs(n, m) if isinstance(rule, Drop) else None
    if pairs is None:
        return None
    at = torch.stack([side.to(like.device) for side in pairs])
    found = torch.sparse_coo_tensor(at, like.new_ones(at.shape[1]), (n, m), check_invariants=False).coalesce()
    found.values().fill_(1.0)  # a pair listed twice counts once
    return found


def weighted_forward(rule: Rule, n: int, candidates: Tensor, tile: int) -> Tensor:
    """``sum_j w_ij c_j``, ``(n, d)``."""
    return _multiply(rule, n, len(candidates), candidates, tile, transposed=False)


def weighted_backward(rule: Rule, m: int, grad: Tensor, tile: int) -> Tensor:
    """``sum_i w_ij g_i``, ``(m, d)``."""
    return _multiply(rule, len(grad), m, grad, tile, transposed=True)


def _multiply(rule: Rule, n: int, m: int, right: Tensor, tile: int, *, transposed: bool) -> Tensor:
    matrix = listed_matrix(rule, n, m, right)
    if matrix is not None:
        return torch.sparse.mm(matrix.t() if transposed else matrix, right)
    out = right.new_zeros(m if transposed else n, right.shape[1])
    for i in range(0, n, tile):
        rows = slice(i, min(i + tile, n))
        for j in range(0, m, tile):
            cols = slice(j, min(j + tile, m))
            weights = rule.tile(rows, cols).to(right.device, right.dtype)
            if transposed:
                out[cols].addmm_(weights.T, right[rows])
            else:
                out[rows].addmm_(weights, right[cols])
    return out
