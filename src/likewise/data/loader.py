"""Rows read ahead in a thread, so that a step does not wait for the disk."""

import queue
import threading
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from likewise.core.batch import View
from likewise.data.dataset import Dataset

_END: Any = object()


@dataclass(frozen=True)
class _Failure:
    error: BaseException


class Loader:
    """``for index, columns in loader: ...`` with the rows of each index read ahead.

    Args:
        dataset: whose columns are read.
        indices: rows ``(k,)`` int64 of each step.
        ahead: how many steps to read ahead; 0 reads when asked, in the caller's thread.

    Attributes:
        waited: seconds that the consumer has waited for rows so far.
    """

    def __init__(self, dataset: Dataset, indices: Iterable[Tensor], ahead: int = 2) -> None:
        if ahead < 0:
            raise ValueError(f"ahead must be >= 0, got {ahead}")
        self.dataset, self.indices, self.ahead = dataset, indices, ahead
        self.waited = 0.0

    def __iter__(self) -> Generator[tuple[Tensor, dict[str, View]], None, None]:
        return self._threaded() if self.ahead else self._direct()

    def _direct(self) -> Generator[tuple[Tensor, dict[str, View]], None, None]:
        indices = iter(self.indices)
        while True:
            started = time.perf_counter()
            index = next(indices, None)
            if index is None:
                return
            columns = self.dataset.take(index)
            self.waited += time.perf_counter() - started
            yield index, columns

    def _threaded(self) -> Generator[tuple[Tensor, dict[str, View]], None, None]:
        ready: queue.Queue[Any] = queue.Queue(self.ahead)
        stop = threading.Event()

        def put(item: Any) -> None:
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.1)
                    return
                except queue.Full:
                    continue

        def read() -> None:
            try:
                for index in self.indices:
                    if stop.is_set():
                        return
                    put((index, self.dataset.take(index)))
                put(_END)
            except BaseException as error:  # handed to the consumer, whatever it is
                put(_Failure(error))

        thread = threading.Thread(target=read, name="likewise-loader", daemon=True)
        thread.start()
        try:
            while True:
                started = time.perf_counter()
                item = ready.get()
                self.waited += time.perf_counter() - started
                if item is _END:
                    return
                if isinstance(item, _Failure):
                    raise item.error
                yield item
        finally:
            stop.set()
            thread.join()


def loader(dataset: Dataset, indices: Iterable[Tensor], ahead: int = 2) -> Loader:
    """A :class:`Loader`."""
    return Loader(dataset, indices, ahead)
