"""Signals that ask a run to stop: remembered, and acted upon between two steps."""

import signal
import threading
from typing import Any

from likewise.train.events import Interrupted, Preempted, Stopped


class Signals:
    """While entered, Ctrl-C, SIGTERM and SIGUSR1 are noted in ``number``; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._held: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            names = ("SIGINT", "SIGTERM", "SIGUSR1")
            numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
            self._held = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._held.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: Any) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number

    def reason(self, message: str) -> Stopped:
        """The exception for what was asked; a rank that got no signal itself was told by one that was preempted."""
        return (Interrupted if self.number == signal.SIGINT else Preempted)(message)
