"""Every loss that looks at other processes' rows: the same value and gradient as one process on the joined batch."""

import pytest
import torch
from torch.nn.functional import normalize

from likewise import functional, losses, similarity
from likewise.core.comm import Collective
from likewise.functional import redundancy

DIM = 5


def batch(n):
    """Rows of the joined batch, the same in every process; some ids and labels occur twice."""
    generator = torch.Generator().manual_seed(n)
    a, b = (torch.randn(n, DIM, generator=generator, dtype=torch.float64) for _ in range(2))
    ids = torch.arange(n) * 3
    ids[-1] = ids[0]  # one sample on two processes
    return a, b, ids, torch.arange(n) % 3


def queue():
    return normalize(torch.randn(6, DIM, generator=torch.Generator().manual_seed(9), dtype=torch.float64), dim=1)


def ntxent(a, b, ids, labels, comm):
    return losses.NTXent(0.3)(a, b, ids=ids, comm=comm)


def dcl(a, b, ids, labels, comm):
    return losses.DCL(0.3)(a, b, ids=ids, comm=comm)


def dclw(a, b, ids, labels, comm):
    return losses.DCL(0.3, sigma=0.5, detach_weight=False)(a, b, ids=ids, comm=comm)


def supcon(a, b, ids, labels, comm):
    return losses.SupCon(0.3)([a, b], labels, comm=comm)


def supcon_one(a, b, ids, labels, comm):
    return losses.SupCon(0.3, anchors="one")([a, b], labels, comm=comm)


def supcon_by_id(a, b, ids, labels, comm):
    return losses.SupCon(0.3)([a, b, a + b], ids=ids, comm=comm)


def info_nce(a, b, ids, labels, comm):
    return losses.InfoNCE(0.3)(a, b, ids=ids, comm=comm)


def info_nce_queue(a, b, ids, labels, comm):
    return losses.InfoNCE(0.3)(a, b, queue(), ids=ids, comm=comm)


def clip(a, b, ids, labels, comm):
    return losses.CLIP()(a, b, torch.tensor([4.0], dtype=a.dtype), ids=ids, comm=comm)


def hard_negative(a, b, ids, labels, comm):
    return losses.HardNegative(0.5, tau_plus=0.1, beta=1.0)(a, b, ids=ids, comm=comm)


def alignment_uniformity(a, b, ids, labels, comm):
    return losses.AlignmentUniformity()(a, b, ids=ids, comm=comm)


def barlow_twins(a, b, ids, labels, comm):
    return redundancy.barlow_twins(comm.gather(a), comm.gather(b))


def vicreg(a, b, ids, labels, comm):
    return redundancy.vicreg(comm.gather(a), comm.gather(b))


PER_ANCHOR = {
    f.__name__: f
    for f in (ntxent, dcl, supcon, supcon_one, supcon_by_id, info_nce, info_nce_queue, clip, hard_negative)
}
# terms that are the same number on every process: a mean over processes is right only with equal shares
STATISTICS = {f.__name__: f for f in (dclw, alignment_uniformity, barlow_twins, vicreg)}
LOSSES = PER_ANCHOR | STATISTICS


def step(comm, name, sizes, path):
    """A rank's loss and the gradients of a linear map and of its own rows, by the convention of the library."""
    n = sum(sizes)
    torch.manual_seed(3)
    head = torch.nn.Linear(DIM, DIM).double()
    cut = slice(None) if comm.world == 1 else slice(sum(sizes[: comm.rank]), sum(sizes[: comm.rank + 1]))
    a, b, ids, labels = (t[cut] for t in batch(n))
    a = a.clone().requires_grad_()
    # with unequal shares a rank counts by its rows; with equal ones the factor is 1
    share = len(ids) * comm.world / n
    with similarity.using(path, tile=3 if path == "tiled" else None):
        loss = LOSSES[name](head(a), head(b), ids, labels, comm) * share
    loss.backward()
    comm.average_gradients(head.parameters())
    rows = torch.zeros(0, DIM, dtype=a.dtype) if a.grad is None else a.grad / comm.world
    return comm.mean(loss.detach()), [p.grad for p in head.parameters()], rows


def agree(pool, name, sizes, path):
    loss, grads, rows = step(Collective(), name, sizes, "dense")
    answers = pool.run(step, name, list(sizes), path, world=len(sizes))
    for rank, (their_loss, their_grads, _) in enumerate(answers):
        torch.testing.assert_close(their_loss, loss, rtol=1e-10, atol=1e-12, msg=lambda m, r=rank: f"rank {r}: {m}")
        torch.testing.assert_close(their_grads, grads, rtol=1e-8, atol=1e-11)
    torch.testing.assert_close(torch.cat([answer[2] for answer in answers]), rows, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("path", ["dense", "tiled"])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_two_processes_give_the_joined_loss_and_gradient(pool, name, path):
    agree(pool, name, (4, 4), path)


@pytest.mark.parametrize("path", ["dense", "tiled"])
@pytest.mark.parametrize("name", sorted(PER_ANCHOR))
def test_three_processes_with_unequal_shares(pool, name, path):
    agree(pool, name, (2, 1, 5), path)


def test_the_loss_sees_the_other_processes(pool):
    """The comparison above can fail: without gathering, loss and gradient are others."""
    loss, _, _ = step(Collective(), "ntxent", (4, 4), "dense")
    alone = pool.run(ungathered, (4, 4))
    assert abs(float(alone[0]) - float(loss)) > 1e-2


def ungathered(comm, sizes):
    a, b, ids, labels = (t[4 * comm.rank : 4 * comm.rank + 4] for t in batch(sum(sizes)))
    torch.manual_seed(3)
    head = torch.nn.Linear(DIM, DIM).double()
    return comm.mean(ntxent(head(a), head(b), ids, labels, Collective()).detach())


def uniformity_of_shares(comm, sizes):
    a = batch(sum(sizes))[0]
    cut = slice(sum(sizes[: comm.rank]), sum(sizes[: comm.rank + 1])) if comm.world > 1 else slice(None)
    mine = normalize(a[cut], dim=1).requires_grad_()
    value = functional.uniformity(mine, comm=comm)
    value.backward()
    # the same number on every rank, so every rank sends the same gradient
    return value.detach(), mine.grad / comm.world


def test_uniformity_with_unequal_shares(pool):
    value, grad = uniformity_of_shares(Collective(), (3, 1, 4))
    answers = pool.run(uniformity_of_shares, [3, 1, 4], world=3)
    for theirs, _ in answers:
        torch.testing.assert_close(theirs, value, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.cat([g for _, g in answers]), grad, rtol=1e-10, atol=1e-12)
