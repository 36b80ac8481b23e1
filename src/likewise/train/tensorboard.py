"""Curves for TensorBoard, from the events that a run writes anyway: the trainer does not know that they are read."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from likewise.core.errors import require

EVERY = 2.0
"""Seconds between looks at ``events.jsonl``."""
_DRAWN = {"step": "train", "probe": "probe"}


@contextmanager
def mirrored(folder: Path) -> Iterator[None]:
    """While entered, copy the numbers of the run's ``events.jsonl`` to ``folder/tensorboard``.

    Args:
        folder: of the run. What stands in its ``tensorboard`` folder is replaced: the events are the truth.

    Raises:
        InputError: TensorBoard is not installed.
    """
    require("tensorboard", "tensorboard", "writing curves for TensorBoard")
    mirror = _Mirror(folder)
    thread = threading.Thread(target=mirror.follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        mirror.done.set()
        thread.join()


class _Mirror:
    def __init__(self, folder: Path) -> None:
        self.events, self.out = folder / "events.jsonl", folder / "tensorboard"
        self.done = threading.Event()
        self.file, self.place = 0, 0
        self.writer: Any = None

    def follow(self) -> None:
        while not self.done.wait(EVERY):
            self.copy()
        self.copy()
        if self.writer is not None:
            self.writer.close()

    def copy(self) -> None:
        """The whole lines that have come since the last look."""
        if not self.events.is_file():
            return
        with self.events.open("rb") as file:
            if (number := self.events.stat().st_ino) != self.file:
                # a resumed run has cut its events back, into a file of their own
                self.file, self.place = number, 0
                self._begin()
            file.seek(self.place)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self.place += len(whole)
        for line in whole.splitlines():
            self._draw(json.loads(line))

    def _begin(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if self.writer is not None:
            self.writer.close()
        shutil.rmtree(self.out, ignore_errors=True)
        self.writer = SummaryWriter(str(self.out))

    def _draw(self, event: dict[str, Any]) -> None:
        group = _DRAWN.get(event["event"])
        for name, value in event.items():
            if group and isinstance(value, int | float) and name not in ("time", "step"):
                self.writer.add_scalar(f"{group}/{name}", value, event["step"], walltime=event["time"])
        if self.writer is not None:
            self.writer.flush()
