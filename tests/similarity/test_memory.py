"""Nothing of the size of the matrix is ever allocated; the same recorder sees it in the dense path."""

import inspect

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from whole_matrix import unit

from likewise import functional as f
from likewise import similarity
from likewise.functional import series
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


def scores_of(a, b, bank):
    return list(f.score_statistics(a, b, bank, temperature=0.1).values())


def equations():
    """Calls of every equation that reads a similarity matrix, by its name in ``likewise.functional``."""
    ids, labels = torch.arange(N), torch.arange(N) % 5
    queue = unit(2 * N, DIM, torch.float32, seed=2)
    hard = {"temperature": 0.5, "tau_plus": 0.1, "beta": 1.0}
    soft = {"temperature": 0.1, "base_temperature": 0.1}
    scale = torch.tensor([100.0], requires_grad=True)
    codes = torch.full((1, 1), 1 / N).expand(N, N)
    orders = torch.stack([torch.randperm(N), torch.randperm(N)])[:, None]
    yield "nt_xent", lambda a, b: f.nt_xent(a, b, temperature=0.5)
    yield "nt_xent of duplicates", lambda a, b: f.nt_xent(a, b, temperature=0.5, ids=ids // 2)
    yield "decoupled_nce", lambda a, b: f.decoupled_nce(a, b, temperature=0.1)
    yield "decoupled_nce weighted", lambda a, b: f.decoupled_nce(a, b, temperature=0.1, sigma=0.5, ids=ids)
    yield "sup_con", lambda a, b: f.sup_con([a, b], labels, **soft)
    yield "sup_con of one view", lambda a, b: f.sup_con([a, b], labels, anchors="one", **soft)
    yield "info_nce", lambda a, b: f.info_nce(a, b.detach(), temperature=0.1, ids=ids)
    yield "info_nce of a bank", lambda a, b: f.info_nce(a.detach(), b, temperature=0.1)
    yield "info_nce with a queue", lambda a, b: f.info_nce(a, b.detach(), queue, temperature=0.1)
    yield "clip", lambda a, b: f.clip(a, b, scale, ids=ids)
    yield "hard_negative_nce", lambda a, b: f.hard_negative_nce(a, b, ids=ids, **hard)
    yield "uniformity", lambda a, b: f.uniformity(torch.cat([a, b]), ids=torch.cat([ids, ids]))
    yield "uniformity of unit rows", lambda a, b: f.uniformity(torch.cat([a, b]), unit=True)
    yield "prototype_nce", lambda a, b: f.prototype_nce(a, b.detach(), labels, torch.full((N,), 0.2), ids=ids)
    yield "score_statistics", lambda a, b: scores_of(a, b, queue)
    yield "swapped_prediction", lambda a, b: f.swapped_prediction([a, b], [codes, codes], b, temperature=0.1)
    yield "mv_info_nce", lambda a, b: f.mv_info_nce([a, b], temperature=0.5)
    yield "mv_info_nce of the code", lambda a, b: f.mv_info_nce([a, b], temperature=0.5, variant="code", ids=ids)
    yield "mv_dhel", lambda a, b: f.mv_dhel([a, b], temperature=0.5)
    yield "poly_view_nce", lambda a, b: f.poly_view_nce([a, b], temperature=0.5, ids=ids)
    yield "repulsion", lambda a, b: f.repulsion([a, b], sharpness=2.0)
    yield "repulsion of even weights", lambda a, b: f.repulsion([a, b], sharpness=0.0, ids=ids)
    yield "key_attraction_repulsion", lambda a, b: f.key_attraction_repulsion([a, b], queue[:N], temperature=0.2)
    yield "node_nt_xent", lambda a, b: f.node_nt_xent(a, b, temperature=0.5, bias=torch.linspace(0, 1, N))
    yield "node_info_nce", lambda a, b: f.node_info_nce(a, b, temperature=0.5)
    yield "grouped_nt_xent", lambda a, b: f.grouped_nt_xent(a[None], b[None])
    yield "hierarchical_contrast", lambda a, b: f.hierarchical_contrast(a[None], b[None])
    yield "pairwise_clip", lambda a, b: f.pairwise_clip([a, b, b.flip(0)], 10.0, ids=ids)
    yield "multilinear_nce", lambda a, b: f.multilinear_nce([a, b], 10.0, permutations=orders)
    yield "multilinear_nce of all pairs", lambda a, b: f.multilinear_nce([a, b], 10.0)
    yield "reconstruction_nce", lambda a, b: f.reconstruction_nce((a, b), (b, a), queue, temperature=0.1)


def test_every_equation_is_watched():
    reads = {
        name
        for name, function in vars(f).items()
        if callable(function) and "similarity" in inspect.signature(function).parameters
    }
    watched = {name.split()[0] for name, _ in equations()}
    assert reads == watched, "an equation that reads a similarity matrix needs a call in equations()"


@pytest.mark.parametrize("name", [name for name, _ in equations()])
def test_equations_allocate_tiles_not_the_matrix(name, monkeypatch):
    monkeypatch.setattr(similarity.tiles, "pick_tile", lambda *_: TILE)
    monkeypatch.setattr(series, "IN_ONE_PRODUCT", 2 * LIMIT)
    function = dict(equations())[name]
    a, b = unit(N, DIM, torch.float32), unit(N, DIM, torch.float32, seed=1)
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
