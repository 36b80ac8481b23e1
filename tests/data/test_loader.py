import threading
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from likewise.data.dataset import Dataset
from likewise.data.loader import Loader, loader

IMAGES = torch.arange(40 * 3).view(40, 3, 1, 1).to(torch.uint8)


def dataset(pause: float = 0.0) -> Dataset:
    class Slow(Dataset):
        def take(self, index: Tensor) -> dict[str, object]:
            time.sleep(pause)
            return super().take(index)

    held = torch.zeros(40, dtype=torch.bool)
    return Slow("made", {"image": IMAGES, "number": torch.arange(40.0)}, [str(i) for i in range(40)], held)


def indices(count: int = 6) -> Iterator[Tensor]:
    for step in range(count):
        yield torch.arange(step, step + 4)


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "likewise-loader"]


@pytest.mark.parametrize("ahead", [0, 1, 2, 20])
def test_rows_in_order(ahead: int) -> None:
    seen = 0
    for (index, columns), expected in zip(loader(dataset(), indices(), ahead), indices(), strict=True):
        assert torch.equal(index, expected)
        assert torch.equal(columns["image"], IMAGES[expected])
        assert columns["number"].tolist() == expected.tolist()
        seen += 1
    assert seen == 6
    assert not threads()


@pytest.mark.parametrize("ahead", [0, 2])
def test_errors_reach_the_consumer_after_the_rows_before(ahead: int) -> None:
    def wrong() -> Iterator[Tensor]:
        yield torch.tensor([1])
        yield torch.tensor([2])
        yield torch.tensor([400])

    seen = []
    with pytest.raises(IndexError):
        seen.extend(int(index) for index, _ in loader(dataset(), wrong(), ahead))
    assert seen == [1, 2]

    def broken() -> Iterator[Tensor]:
        yield torch.tensor([1])
        raise RuntimeError("from the indices")

    with pytest.raises(RuntimeError, match="from the indices"):
        list(loader(dataset(), broken(), ahead))
    assert not threads()


def test_leaving_early_stops_the_thread() -> None:
    def endless() -> Iterator[Tensor]:
        while True:
            yield torch.tensor([0, 1])

    started = time.monotonic()
    rows = iter(loader(dataset(), endless(), 2))
    next(rows)
    assert len(threads()) == 1
    rows.close()
    assert not threads()
    for _ in loader(dataset(), endless(), 2):
        break
    assert not threads()
    assert time.monotonic() - started < 2


def test_it_reads_ahead_and_no_further() -> None:
    asked = []

    def counted() -> Iterator[Tensor]:
        for step in range(20):
            asked.append(step)
            yield torch.tensor([step])

    rows = iter(loader(dataset(), counted(), 3))
    next(rows)
    deadline = time.monotonic() + 5
    while len(asked) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(asked) == 5  # one taken, three ready, one in hand
    rows.close()


def test_waiting_is_measured() -> None:
    slow = Loader(dataset(pause=0.02), indices(5), ahead=0)
    list(slow)
    assert 0.1 <= slow.waited < 1.0
    hidden = Loader(dataset(pause=0.02), indices(5), ahead=2)
    for _ in hidden:
        time.sleep(0.04)
    assert hidden.waited < slow.waited / 2


def test_ahead_is_not_negative() -> None:
    with pytest.raises(ValueError, match="ahead"):
        loader(dataset(), indices(), -1)
