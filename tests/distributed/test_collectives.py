import pytest
import torch

from likewise.core.comm import Collective, Distributed


def parts(sizes, width=3, dtype=torch.float64):
    """Rows of every rank, the same in every process."""
    generator = torch.Generator().manual_seed(sum(sizes) + len(sizes))
    return [torch.randn(n, width, generator=generator, dtype=dtype) for n in sizes]


def probe(rows):
    """A function of all rows whose gradient differs from row to row."""
    weights = torch.arange(1, rows.numel() + 1, dtype=rows.dtype).view_as(rows)
    return (rows * weights).sum() + (rows @ rows.T).logsumexp(1).sum()


def gathered(comm, sizes):
    mine = parts(sizes)[comm.rank].requires_grad_()
    everyone = comm.gather(mine)
    # each rank weighs what it sees differently: the backward has to bring all of it home
    loss = probe(everyone) * (comm.rank + 1)
    loss.backward()
    return everyone.detach(), mine.grad


@pytest.mark.parametrize("sizes", [(4, 4), (1, 5), (3, 0), (2, 2, 2), (0, 4, 1)])
def test_gather_is_in_rank_order_with_everybodys_gradient(pool, sizes):
    answers = pool.run(gathered, list(sizes), world=len(sizes))
    whole = torch.cat(parts(sizes)).requires_grad_()
    total = sum(r + 1 for r in range(len(sizes)))
    (probe(whole) * total).backward()
    for (everyone, grad), expected in zip(answers, whole.grad.split(list(sizes)), strict=True):
        assert torch.equal(everyone, whole.detach())
        torch.testing.assert_close(grad, expected, rtol=1e-12, atol=1e-12)


def gathered_plain(comm):
    ids = torch.arange(comm.rank + 1) + 10 * comm.rank
    grid = torch.full((comm.rank + 1, 2, 2), float(comm.rank))
    return comm.gather(ids), comm.gather(ids % 2 == 0), comm.gather(grid), comm.gather(grid.bfloat16())


def test_gather_takes_any_rows(pool):
    for ids, even, grid, half in pool.run(gathered_plain, world=3):
        assert ids.tolist() == [0, 10, 11, 20, 21, 22]
        assert even.tolist() == [True, True, False, True, False, True]
        assert grid.shape == (6, 2, 2)
        assert grid[:, 0, 0].tolist() == [0, 1, 1, 2, 2, 2]
        assert half.dtype == torch.bfloat16


def summed(comm, verb):
    mine = parts((2,) * comm.world)[comm.rank].requires_grad_()
    total = getattr(comm, verb)(mine)
    (probe(total) * (comm.rank + 1)).backward()
    return total.detach(), mine.grad


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("verb", ["sum", "mean"])
def test_sums_carry_everybodys_gradient(pool, verb, world):
    all_parts = [p.requires_grad_() for p in parts((2,) * world)]
    factor = 1 / world if verb == "mean" else 1.0
    expected = torch.stack(all_parts).sum(0) * factor
    (probe(expected) * sum(r + 1 for r in range(world))).backward()
    for rank, (total, grad) in enumerate(pool.run(summed, verb, world=world)):
        torch.testing.assert_close(total, expected.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(grad, all_parts[rank].grad, rtol=1e-12, atol=1e-12)


def sum_leaves_alone(comm):
    value = torch.full((2,), float(comm.rank + 1))
    comm.sum(value)
    comm.mean(value)
    return value


def test_verbs_do_not_change_their_argument(pool):
    assert [v.tolist() for v in pool.run(sum_leaves_alone)] == [[1, 1], [2, 2]]


def averaged(comm):
    used, unused, frozen = (torch.nn.Parameter(torch.zeros(2, 2)) for _ in range(3))
    frozen.requires_grad_(False)
    used.grad = torch.full((2, 2), float(comm.rank))
    if comm.rank == 0:
        unused.grad = torch.ones(2, 2)  # the other rank's data never touched it
    comm.average_gradients([used, unused, frozen])
    comm.average_gradients([])
    return used.grad, unused.grad, frozen.grad


def test_gradients_are_averaged_also_where_a_rank_has_none(pool):
    for used, unused, frozen in pool.run(averaged):
        assert (used == 0.5).all()
        assert (unused == 0.5).all()
        assert frozen is None


def rank_zero(comm):
    value = torch.full((3,), float(comm.rank + 5))
    comm.barrier()
    return comm.broadcast(value), value


def test_broadcast_gives_rank_zeros_value_in_place(pool):
    for returned, held in pool.run(rank_zero, world=3):
        assert returned.tolist() == held.tolist() == [5, 5, 5]


def trained(comm, world):
    """The convention as a whole: local anchors, gathered candidates, mean over anchors, averaged gradients."""
    torch.manual_seed(1)
    model = torch.nn.Linear(4, 3).double()
    rows = parts((6,), width=4)[0]
    mine = rows.view(world, -1, 4)[comm.rank] if comm.world > 1 else rows
    z = model(mine)
    everyone = comm.gather(z)
    loss = (z @ everyone.T).logsumexp(1).mean()
    loss.backward()
    comm.average_gradients(model.parameters())
    return comm.mean(loss.detach()), [p.grad for p in model.parameters()]


@pytest.mark.parametrize("world", [2, 3])
def test_the_convention_gives_the_one_process_loss_and_gradient(pool, world):
    loss, grads = trained(Collective(), 1)
    for their_loss, their_grads in pool.run(trained, world, world=world):
        torch.testing.assert_close(their_loss, loss, rtol=1e-12, atol=0)
        torch.testing.assert_close(their_grads, grads, rtol=1e-11, atol=1e-13)


def test_one_process_is_the_identity():
    comm, rows = Collective(), torch.randn(3, 2)
    assert comm.gather(rows) is comm.sum(rows) is comm.mean(rows) is comm.broadcast(rows) is rows
    assert (comm.rank, comm.world) == (0, 1)
    comm.barrier()


def test_distributed_needs_a_process_group():
    with pytest.raises(RuntimeError, match="needs an initialised"):
        Distributed()
