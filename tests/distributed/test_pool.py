import os
import signal
import time

import pytest
import torch

from likewise.testing.pool import Pool, RankError


def report(comm, value):
    return {"rank": comm.rank, "world": comm.world, "value": value, "pid": os.getpid()}


def fail(comm, who):
    if comm.rank == who:
        raise KeyError(f"rank {comm.rank} has had enough")
    return comm.sum(torch.ones(1))  # waits for the one that is gone


def sleep(comm, who, seconds):
    if comm.rank == who:
        time.sleep(seconds)
    return comm.rank


def end(comm, who):
    if comm.rank == who:
        os.kill(os.getpid(), signal.SIGKILL)
    return comm.sum(torch.ones(1))


def refuse(comm):
    return object()


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_rank_answers_in_order(pool, world):
    value = {"t": torch.arange(3), "nested": [(1.5, None, "text"), True]}
    answers = pool.run(report, value, world=world)
    assert [a["rank"] for a in answers] == list(range(world))
    assert {a["world"] for a in answers} == {world}
    for answer in answers:
        assert answer["value"]["t"].tolist() == [0, 1, 2]
        assert answer["value"]["nested"] == value["nested"]


def test_the_processes_are_kept(pool):
    first = [a["pid"] for a in pool.run(report, 0, world=3)]
    assert first == [a["pid"] for a in pool.run(report, 0, world=3)]
    assert len({*first, os.getpid()}) == 4


def test_an_exception_comes_with_its_traceback(pool):
    with pytest.raises(RankError, match=r"rank 1 of 2 failed:(.|\n)*in fail(.|\n)*KeyError: 'rank 1 has had enough'"):
        pool.run(fail, 1)
    assert [a["rank"] for a in pool.run(report, 0, world=3)] == [0, 1, 2]


def test_a_result_that_is_not_plain_is_refused(pool):
    with pytest.raises(RankError, match=r"rank [01] of 2 failed:(.|\n)*only tensors, numbers, strings"):
        pool.run(refuse)
    with pytest.raises(TypeError, match="only tensors, numbers, strings"):
        pool.run(report, {"a": {1}})


def test_functions_without_a_name_are_refused(pool):
    with pytest.raises(ValueError, match="must stand at the top level"):
        pool.run(lambda comm: 0)
    with pytest.raises(ValueError, match=r"world must be 1 \.\. 3, got 4"):
        pool.run(report, 0, world=4)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_timeouts_and_deaths_leave_no_process_behind():
    with Pool(size=2) as own:
        before = [a["pid"] for a in own.run(report, 0)]
        with pytest.raises(TimeoutError, match=r"no answer from rank 1 of 2 within 0\.2 s"):
            own.run(sleep, 1, 30.0, timeout=0.2)
        assert not any(alive(pid) for pid in before)
        after = [a["pid"] for a in own.run(report, 0)]
        assert not {*before} & {*after}
        with pytest.raises(RankError, match="rank 0 of 2 failed:\nthe process ended without an answer"):
            own.run(end, 0)
        assert not any(alive(pid) for pid in after)
        last = [a["pid"] for a in own.run(report, 0)]
    assert not any(alive(pid) for pid in last)
