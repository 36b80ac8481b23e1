"""Nothing of the size of the matrix is ever allocated; the same recorder sees it in the dense path."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from whole_matrix import unit

from likewise import losses, similarity
from likewise.similarity import Columns, Kernel, Same, Self, Term, attend, both_lse, row_lse, sweep, weighted_sum

N, DIM, TILE = 320, 6, 32


class Allocations(TorchDispatchMode):
    """Remembers the largest tensor that any operation gave, forward and backward."""

    def __init__(self):
        super().__init__()
        self.largest, self.by = 0, None

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                # a sparse matrix holds its entries, not its shape
                size = tensor._nnz() if tensor.is_sparse else tensor.untyped_storage().nbytes() // tensor.itemsize
                if size > self.largest:
                    self.largest, self.by = size, str(func)
        return out


def largest(function, *inputs):
    leaves = [x.clone().requires_grad_() for x in inputs]
    with Allocations() as seen:
        out = function(*leaves)
        total = sum(o.flatten().sum() for o in (out if isinstance(out, tuple | list) else [out]))
        total.backward()
    return seen


def product_kernel(x, y):
    return x[:, None] * y[None]


LIMIT = 4 * TILE**2 + 4 * N * DIM
assert LIMIT < N * N / 4


def reductions():
    keys = torch.arange(N) // 2
    labels = torch.arange(N) % 3
    side = torch.linspace(0, 1, N)
    few, many = (Same(keys, keys),), (Same(labels, labels),)
    bias = (Kernel(side, side, product_kernel), Columns(side))
    options = {"scale": 9.0, "tile": TILE}
    yield "rows of one set", lambda a, b: row_lse(a, drop=(Self(),), **options)
    yield "listed pairs", lambda a, b: row_lse(a, drop=few, **options)
    yield "labels", lambda a, b: row_lse(a, drop=many, **options)
    yield "two sets", lambda a, b: both_lse(a, b, drop=few, bias=bias, **options)
    yield "scale 400", lambda a, b: both_lse(a, b, drop=many, scale=400.0, tile=TILE)
    yield "temperatures", lambda a, b: sweep(a, None, [Term(9.0, few), Term(3.0, few), Term(0.0, few)], tile=TILE)
    yield "attention", lambda a, b: attend(a, b, drop=few, **options)
    yield "constant bank", lambda a, b: row_lse(a, b.detach(), **options)
    yield "weights", lambda a, b: weighted_sum(N, b, many[0], tile=TILE)
    yield "listed weights", lambda a, b: weighted_sum(N, b, few[0], tile=TILE)


@pytest.mark.parametrize("name", [name for name, _ in reductions()])
def test_reductions_allocate_tiles_not_the_matrix(name):
    seen = largest(dict(reductions())[name], unit(N, DIM, torch.float32), unit(N, DIM, torch.float32, seed=1))
    assert seen.largest <= LIMIT, f"{seen.by} gave {seen.largest} numbers"


def all_losses():
    ids = torch.arange(N)
    yield "nt-xent", lambda a, b: losses.NTXent(0.5)(a, b, ids=ids)
    yield "dcl", lambda a, b: losses.DCL(0.1, sigma=0.5)(a, b, ids=ids)
    yield "supcon", lambda a, b: losses.SupCon()([a, b], ids % 5)
    yield "supcon one", lambda a, b: losses.SupCon(anchors="one")([a, b], ids % 5)
    yield "moco", lambda a, b: losses.InfoNCE()(a, b.detach(), torch.cat([b, b]).detach())
    yield "moco v3", lambda a, b: losses.InfoNCE()(a, b.detach(), ids=ids)
    yield "nnclr", lambda a, b: losses.InfoNCE()(a.detach(), b)
    yield "clip", lambda a, b: losses.CLIP()(a, b, torch.tensor([100.0], requires_grad=True), ids=ids)
    yield "hcl", lambda a, b: losses.HardNegative()(a, b, ids=ids)
    yield "alignment and uniformity", lambda a, b: losses.AlignmentUniformity()(a, b, ids=ids)
    yield "prototypes", lambda a, b: losses.PrototypeNCE()(a, b.detach(), ids % 7, torch.full((N,), 0.2))


@pytest.mark.parametrize("name", [name for name, _ in all_losses()])
def test_losses_allocate_tiles_not_the_matrix(name, monkeypatch):
    monkeypatch.setattr(similarity.tiles, "pick_tile", lambda *_: TILE)
    function = dict(all_losses())[name]
    a, b = torch.randn(2, N, DIM).unbind()
    seen = largest(function, a, b)
    assert seen.largest <= 2 * LIMIT, f"{seen.by} gave {seen.largest} numbers"
    with similarity.using("dense"):
        assert largest(function, a, b).largest >= N * N


def test_tiles_are_kept_within_a_budget(monkeypatch):
    from likewise.similarity import forward
    from likewise.similarity.rules import Term
    from likewise.similarity.tiles import Sweep

    monkeypatch.setattr(forward, "KEEP_BYTES", 10 * TILE**2 * 4)
    a = unit(N, DIM, torch.float32)
    sweep_ = Sweep(N, N, True, False, (Term(9.0, (Self(),)),), TILE)
    _, _, trace = forward.lse_forward(sweep_, a, a, [9.0], keep=True)
    assert 8 <= len(trace.kept) <= 10
    _, _, trace = forward.lse_forward(sweep_, a, a, [9.0], keep=False)
    assert not trace.kept
