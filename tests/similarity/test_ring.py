"""Real processes with unequal batches against one process that has all rows: values and gradients."""

import pytest
import torch
from torch.testing import assert_close
from whole_matrix import leaves, unit

from likewise import losses, similarity
from likewise.core.comm import Collective
from likewise.similarity import Different, Kernel, Own, Same, Self, Term, attend, both_lse, row_lse, sweep, weighted_sum

SIZES = {2: (5, 3), 3: (4, 1, 6), 4: (3, 0, 5, 2)}


@pytest.fixture(scope="module")
def four():
    from likewise.testing.pool import Pool

    with Pool(size=4) as pool:
        yield pool


def everyone(sizes):
    """Rows and facts of all processes, split by process."""
    n = sum(sizes)
    a, b, side = unit(n, 3), unit(n, 3, seed=1), unit(n, 2, seed=2)
    ids, labels = torch.arange(n) // 2, torch.arange(n) % 3  # neighbours are duplicates, also across processes
    return [x.split(list(sizes)) for x in (a, b, side, ids, labels)]


def product(x, y):
    return x @ y.T


def per_row(name, a, b, side, ids, labels, s, comm, mode):
    """A reduction as a list of tensors with a row per anchor (or per candidate) of this process."""
    n = len(a)
    i = torch.arange(n)
    rules = {"drop": [Same(ids, ids, keep=i)], "bias": [Kernel(side, side, product)], "comm": comm, "similarity": mode}
    if name == "rows":
        return [row_lse(a, b, scale=s, tile=2, **rules)]
    if name == "one set":
        return [row_lse(a, scale=s, drop=[Self(), Own(i.flip(0))], comm=comm, similarity=mode, tile=2)]
    if name == "side embeddings":
        alike = {"drop": [Self(), Same(labels, labels)], "bias": [Kernel(side, side, product, commutes=True)]}
        return [row_lse(a, scale=s, comm=comm, similarity=mode, tile=2, **alike)]
    if name == "both":
        return list(both_lse(a, b, scale=s, tile=2, **rules))
    if name == "temperatures":
        terms = [Term(s, [Same(ids, ids)]), Term(200.0, [Self()]), Term(0.0, [Same(ids, ids)])]
        return sweep(a, None, terms, comm=comm, similarity=mode, tile=2)
    if name == "attention":
        return list(attend(a, b, side, scale=s, tile=2, **rules))
    if name == "constant bank":
        return [row_lse(a, b.detach(), scale=s, tile=2, **rules)]
    return [weighted_sum(n, b, Different(labels, labels), comm=comm, similarity=mode, tile=2)]


NAMES = ("rows", "one set", "side embeddings", "both", "temperatures", "attention", "constant bank", "weights")


def weighting(outs):
    """A scalar that gives every entry another gradient, a function of the values so that processes agree on it."""
    total = outs[0].new_zeros(())
    for k, out in enumerate(outs):
        finite = torch.where(out > -torch.inf, out, 0.0)
        total = total + (finite * (k + 1)).sum() + finite.square().sum() / 2
    return total


def on_ring(comm, name, sizes, mode):
    a, b, side, ids, labels = (x[comm.rank] for x in everyone(sizes))
    a, b, s = leaves(a, b, torch.tensor([7.0], dtype=torch.float64))
    outs = per_row(name, a, b, side, ids, labels, s, comm, mode)
    weighting(outs).backward()
    grads = [torch.zeros_like(x) if x.grad is None else x.grad for x in (a, b, s)]
    return [o.detach() for o in outs], grads


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_the_ring_is_one_process_with_all_rows(four, world, name):
    sizes = SIZES[world]
    a, b, side, ids, labels = (torch.cat(x) for x in everyone(sizes))
    a, b, s = leaves(a, b, torch.tensor([7.0], dtype=torch.float64))
    outs = whole(name, a, b, side, ids, labels, s, sizes)
    weighting(outs).backward()
    expected = [torch.zeros_like(x) if x.grad is None else x.grad for x in (a, b, s)]
    for mode in ("tiled", "dense"):
        answers = four.run(on_ring, name, list(sizes), mode, world=world)
        for k, out in enumerate(outs):
            assert_close(torch.cat([found[k] for found, _ in answers]), out.detach(), rtol=1e-9, atol=1e-10)
        for k in (0, 1):
            assert_close(torch.cat([grads[k] for _, grads in answers]), expected[k], rtol=1e-8, atol=1e-9)
        assert_close(sum(grads[2] for _, grads in answers), expected[2], rtol=1e-8, atol=1e-9)


def whole(name, a, b, side, ids, labels, s, sizes):
    if name != "one set":
        return per_row(name, a, b, side, ids, labels, s, Collective(), "dense")
    flipped = torch.cat([i.flip(0) for i in torch.arange(len(a)).split(list(sizes))])
    return [row_lse(a, scale=s, drop=[Self(), Own(flipped)], similarity="dense")]


def loss_and_gradients(name, a, b, labels, comm, share, mode):
    scale = losses.LogitScale(0.1).double()
    queue = unit(6, a.shape[1], seed=9)
    with similarity.using(mode):
        loss = {
            "nt-xent": lambda: losses.NTXent(0.2)(a, b, comm=comm),
            "nt-xent with duplicates": lambda: losses.NTXent(0.2)(a, b, ids=labels, comm=comm),
            "dclw": lambda: losses.DCL(0.1, sigma=0.5, detach_weight=False)(a, b, ids=labels, comm=comm),
            "supcon": lambda: losses.SupCon()([a, b], labels, comm=comm),
            "supcon without labels": lambda: losses.SupCon(anchors="one")([a, b], comm=comm),
            "moco v3": lambda: losses.InfoNCE(0.3)(a, b.detach(), comm=comm),
            "nnclr": lambda: losses.InfoNCE(0.3)(a.detach(), b, comm=comm),
            "moco": lambda: losses.InfoNCE(0.3)(a, b.detach(), queue, comm=comm),
            "clip": lambda: losses.CLIP()(a, b, scale(), ids=labels, comm=comm),
            "hcl": lambda: losses.HardNegative()(a, b, ids=labels, comm=comm),
            "uniformity": lambda: losses.AlignmentUniformity(weights=(0.0, 1.0))(a, b, ids=labels, comm=comm),
        }[name]()
    if name == "uniformity":  # over everybody's pairs, the same on each process: the processes' mean is the value
        share = 1 / comm.world
    # each process's mean counts by its number of rows: the sum is the mean over everybody's
    (loss * share).backward()
    grads = [torch.zeros_like(x) if x.grad is None else x.grad for x in (a, b)]
    grads.append(torch.zeros(1).double() if scale.log_scale.grad is None else scale.log_scale.grad)
    return loss.detach() * share, grads


LOSSES = (
    "nt-xent",
    "nt-xent with duplicates",
    "dclw",
    "supcon",
    "supcon without labels",
    "moco v3",
    "nnclr",
    "moco",
    "clip",
    "hcl",
    "uniformity",
)


def losses_on_ring(comm, sizes, mode):
    out = []
    for name in LOSSES:
        a, b, _, _, labels = (x[comm.rank] for x in everyone(sizes))
        a, b = leaves(a, b)
        loss, grads = loss_and_gradients(name, a, b, labels, comm, sizes[comm.rank] / sum(sizes), mode)
        out.append([loss, *grads])
    return out


@pytest.mark.parametrize(("world", "mode"), [(2, "auto"), (3, "auto"), (2, "dense")])
def test_losses_over_processes_are_those_of_the_joined_batch(four, world, mode):
    sizes = (4, 2) if world == 2 else (2, 5, 1)
    answers = four.run(losses_on_ring, list(sizes), mode, world=world)
    for at, name in enumerate(LOSSES):
        a, b, _, _, labels = (torch.cat(x) for x in everyone(sizes))
        a, b = leaves(a, b)
        expected, grads = loss_and_gradients(name, a, b, labels, Collective(), 1.0, "dense")
        found = [answer[at] for answer in answers]
        joined = [
            sum(f[0] for f in found),
            *(torch.cat([f[k] for f in found]) for k in (1, 2)),
            sum(f[3] for f in found),
        ]
        for ours, theirs in zip(joined, (expected, *grads)):
            assert torch.allclose(ours, theirs, rtol=1e-8, atol=1e-9), name


def held_at_once(comm, n):
    """The most candidate rows that this process got from others and still holds, over a circle."""
    from likewise.similarity.ring import Ring

    seen = []
    most = 0

    def visit(block, rank):
        nonlocal most
        import weakref

        seen.append(weakref.ref(block[0]))
        most = max(most, sum(ref() is not None for ref in seen))
        return [block[0].sum(1, keepdim=True) + comm.rank]

    ring = Ring(comm, n, torch.device("cpu"))
    home = ring.circulate([torch.full((n, 2), float(comm.rank))], visit, torch.add)
    return most, home[0]


def test_a_process_holds_two_blocks_however_many_there_are(four):
    for rank, (most, home) in enumerate(four.run(held_at_once, 3, world=4)):
        assert most <= 2
        assert home.tolist() == [[4 * 2 * rank + 0 + 1 + 2 + 3]] * 3


def derived_twice(comm):
    (a,) = leaves(unit(3, 2, seed=comm.rank))
    loss = row_lse(a, scale=3.0, drop=[Self()], comm=comm).sum()
    try:
        torch.autograd.grad(loss, a, create_graph=True)
    except RuntimeError as error:
        return str(error)
    return ""


def test_second_derivatives_over_processes_are_refused(four):
    assert all("single process" in message for message in four.run(derived_twice, world=2))


def pairs_compared(comm, sizes, one_set):
    """How many pairs this process compares, forward and backward."""
    from unittest import mock

    from likewise.similarity.walk import Walk

    counted = []
    product = Walk.product

    def counting(self, left, at, **options):
        counted.append(len(left) * (at.cols.stop - at.cols.start))
        return product(self, left, at, **options)

    (a,) = leaves(everyone(sizes)[0][comm.rank])
    b = None if one_set else a.detach().clone().requires_grad_()
    with mock.patch.object(Walk, "product", counting):
        loss = row_lse(a, b, scale=3.0, drop=[Self()], comm=comm, tile=1).sum()
        forward = sum(counted)
        loss.backward()
    return forward, sum(counted) - forward


@pytest.mark.parametrize("sizes", [(6, 5), (4, 1, 6), (6, 6, 6, 6), (3, 0, 5, 2)])
def test_one_set_is_compared_once_over_all_processes(four, sizes):
    n, world = sum(sizes), len(sizes)
    found = four.run(pairs_compared, list(sizes), True, world=world)
    for counts in zip(*found):
        assert sum(counts) == n * (n + 1) // 2
    if len(set(sizes)) == 1:  # opposite processes share: nobody waits for another
        assert len(set(found)) == 1
    for counts in zip(*four.run(pairs_compared, list(sizes), False, world=world)):
        assert sum(counts) == n * n


def unlike_rules(comm, sizes):
    """One process drops a pair one way only: then nobody may take the shorter way."""
    a, *_ = (x[comm.rank] for x in everyone(sizes))
    (a,) = leaves(a)
    index = torch.arange(len(a)).roll(1) if comm.rank == 1 else torch.arange(len(a)).flip(0)
    out = row_lse(a, scale=5.0, drop=[Own(index)], comm=comm, tile=2)
    weighting([out]).backward()
    return out.detach(), a.grad


def test_processes_agree_on_the_way(four):
    sizes = (4, 3, 5)
    answers = four.run(unlike_rules, list(sizes), world=3)
    (a,) = leaves(torch.cat(everyone(sizes)[0]))
    parts = torch.arange(len(a)).split(list(sizes))
    index = torch.cat([part.roll(1) if rank == 1 else part.flip(0) for rank, part in enumerate(parts)])
    out = row_lse(a, scale=5.0, drop=[Own(index)], similarity="dense")
    weighting([out]).backward()
    assert_close(torch.cat([answer[0] for answer in answers]), out.detach())
    assert_close(torch.cat([answer[1] for answer in answers]), a.grad)
