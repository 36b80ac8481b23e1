import math

import pytest

from likewise.core.errors import InputError
from likewise.core.recipe import part_names
from likewise.parts.schedules import constant, cosine, exponential, linear_scale, step


def test_every_schedule_is_a_part() -> None:
    # other tests of this process may have registered more
    assert {"constant", "cosine", "step"} <= set(part_names("schedule"))


def test_linear_scaling_rule() -> None:
    assert linear_scale(0.3, batch=4096) == pytest.approx(4.8)


def test_cosine_is_the_papers() -> None:
    f = cosine()
    for t in range(21):
        assert f(t, 20, "all") == pytest.approx((1 + math.cos(math.pi * t / 20)) / 2)
    assert cosine(end=0.25)(20, 20, "all") == pytest.approx(0.25)


def test_exponential_falls_alike_at_every_step() -> None:
    f = exponential(end=0.96**20)
    assert f(0, 1000, "all") == 1
    assert [f(t, 1000, "all") for t in (50, 500, 1000)] == pytest.approx([0.96, 0.96**10, 0.96**20])


@pytest.mark.parametrize("make", [cosine, constant, step])
def test_warm_up_rises_in_a_line_and_wastes_no_step(make) -> None:
    f = make(warmup=0.25)
    assert [f(t, 40, "all") for t in range(10)] == pytest.approx([(t + 1) / 10 for t in range(10)])
    assert f(10, 40, "all") == pytest.approx(1.0)


def test_cosine_after_warm_up_spans_what_is_left() -> None:
    f = cosine(warmup=0.5)
    assert f(30, 40, "all") == pytest.approx(0.5)
    assert f(40, 40, "all") == pytest.approx(0.0)


def test_held_groups_keep_their_rate() -> None:
    f = cosine(warmup=0.1, hold=("predictor",))
    assert {f(t, 100, "predictor") for t in range(101)} == {1.0}
    assert f(90, 100, "encoder") < 0.1


def test_steps_fall_at_their_shares() -> None:
    f = step(at=(0.6, 0.8), factor=0.1)
    found = [f(t, 200, "all") for t in (0, 119, 120, 159, 160, 200)]
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_finite_positive_rate(steps) -> None:
    for f in (cosine(warmup=0.05), cosine(warmup=1.0), constant(), step()):
        assert all(0 < f(t, steps, "all") <= 1 for t in range(steps))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: cosine(warmup=5), "warmup is a share of the run and must be from 0 to 1, got 5"),
        (lambda: step(at=(0.5, 80)), r"at\[1\] is a share"),
        (lambda: cosine(end=-0.1), "end is a share"),
    ],
)
def test_shares_are_checked(make, says) -> None:
    with pytest.raises(InputError, match=says):
        make()
