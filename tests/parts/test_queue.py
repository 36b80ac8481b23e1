import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from likewise.core.errors import InputError
from likewise.parts.memory import Queue


@given(st.integers(1, 12), st.lists(st.integers(0, 15), max_size=8))
def test_a_queue_holds_the_newest_rows_whatever_the_batches(size, batches) -> None:
    queue = Queue(size, 1)
    written = torch.arange(1.0, 1 + sum(batches))[:, None] * 10  # no random unit row has length above 1
    for rows in written.split(batches) if batches else ():
        queue.write(rows)
    expected = set(written.flatten().tolist()[-size:]) if batches else set()
    held = [x for x in queue.read().flatten().tolist() if abs(x) > 5]
    assert set(held) == expected
    assert len(held) == len(queue) == min(size, len(written))


def test_rows_are_replaced_in_the_order_they_came() -> None:
    queue = Queue(5, 1)
    for first in (0.0, 3.0, 6.0):
        queue.write(first + torch.arange(3.0)[:, None] + 10)
    # 10 11 12 13 14 | 15 16 17 18 went over 10 11 12 13
    assert queue.read().flatten().tolist() == [15, 16, 17, 18, 14]


def test_an_empty_queue_has_random_unit_rows() -> None:
    queue = Queue(50, 8)
    assert len(queue) == 0
    assert torch.allclose(queue.read().norm(dim=1), torch.ones(50))
    assert queue.read().std() > 0.1


def test_a_queue_is_saved_with_its_place() -> None:
    queue, other = Queue(4, 2), Queue(4, 2)
    queue.write(torch.randn(6, 2))
    other.load_state_dict(queue.state_dict())
    rows = torch.randn(3, 2)
    queue.write(rows)
    other.write(rows)
    assert torch.equal(queue.read(), other.read())
    assert len(other) == 4


def test_written_rows_carry_no_gradient() -> None:
    queue = Queue(4, 2)
    queue.write(torch.randn(2, 2, requires_grad=True) * 2)
    assert not queue.read().requires_grad


def test_a_queue_needs_room() -> None:
    with pytest.raises(InputError, match="got size 0"):
        Queue(0, 8)
