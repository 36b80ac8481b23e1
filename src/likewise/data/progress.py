"""A progress bar for long work: on a terminal only, and only once the work has proved long."""

import sys
import time
from types import TracebackType
from typing import Any


class Bar:
    """``with Bar(total, "reading pictures") as bar: bar.advance(n)``; writes to stderr, leaves no trace."""

    def __init__(self, total: int, says: str, patience: float = 1.0) -> None:
        self.total, self.says, self.patience = total, says, patience
        self.done = 0
        self._started = time.monotonic()
        self._shown: Any = None

    def __enter__(self) -> "Bar":
        return self

    def advance(self, count: int) -> None:
        """``count`` more are done."""
        self.done += count
        if self._shown is None:
            if time.monotonic() - self._started < self.patience or not sys.stderr.isatty():
                return
            self._shown = self._open()
        self._shown.update(self._task, completed=self.done)

    def _open(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        shown = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = shown.add_task(self.says, total=self.total)
        shown.start()
        return shown

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.stop()
