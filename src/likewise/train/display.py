"""What a person sees while a run trains: a live line on a terminal, a line an epoch elsewhere, or nothing."""

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

from likewise.evaluate.catalogue import LEADS, METRICS


class Display(Protocol):
    """Shows a run's progress."""

    def start(self, epochs: float, steps: int, done: int) -> None:
        """Training begins at step ``done`` of ``steps``."""

    def step(self, step: int, epoch: float, logs: Mapping[str, float]) -> None:
        """A step was taken."""

    def probe(self, metrics: Mapping[str, Any]) -> None:
        """A probe was taken."""

    def note(self, text: str) -> None:
        """Something to say above the bar."""

    def close(self) -> None:
        """Training has ended, somehow."""


class Silent:
    """Shows nothing."""

    def start(self, epochs: float, steps: int, done: int) -> None:
        """Nothing."""

    def step(self, step: int, epoch: float, logs: Mapping[str, float]) -> None:
        """Nothing."""

    def probe(self, metrics: Mapping[str, Any]) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Live(Silent):
    """A rich progress bar on a terminal, plain lines where stderr is a file or a pipe."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=22),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[logs]}"),
        )
        self.live = self.console.is_terminal
        self.bar = Progress(*columns, console=self.console, transient=False)
        self.task: Any = None
        self.held: dict[str, float] = {}
        self._printed = -1.0

    def start(self, epochs: float, steps: int, done: int) -> None:
        """Open the bar at step ``done``."""
        self.epochs, self.steps, self.first, self.begun = epochs, steps, done, time.monotonic()
        if self.live:
            self.bar.start()
            self.task = self.bar.add_task("train", total=steps, completed=done, epoch=f"0/{epochs:g}", logs="")

    def step(self, step: int, epoch: float, logs: Mapping[str, float]) -> None:
        """Move the bar; off a terminal, say a line when an epoch or a tenth of the run has passed."""
        parts = [f"loss {logs['loss']:.3f}"]
        parts += [f"{label} {self.held[key]:{form}}" for key, label, form in _PROBES if key in self.held] or [
            f"{key} {value:.3f}" for key, value in list(self.held.items())[:1]
        ]
        parts.append(f"{logs['samples_per_s']:.0f}/s")
        parts.append(f"data {100 * logs['wait_share']:.0f}%")
        left = (self.steps - step) * (time.monotonic() - self.begun) / max(1, step - self.first)
        parts.append(f"eta {int(left) // 60}:{int(left) % 60:02d}")
        text = "  ".join(parts)
        where = f"{min(int(epoch) + 1, max(1, round(self.epochs)))}/{self.epochs:g}"
        if self.live:
            self.bar.update(self.task, completed=step, epoch=where, logs=text)
            return
        share = max(1.0, self.epochs / 10)
        if step == self.steps or epoch // share > self._printed:
            self._printed = epoch // share
            self.console.print(f"epoch {where}  {100 * step // self.steps:3d}%  {text}")

    def probe(self, metrics: Mapping[str, Any]) -> None:
        """Keep the newest probe for the line."""
        self.held = {k: v for k, v in metrics.items() if isinstance(v, int | float)}

    def note(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(text)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self.live and self.task is not None:
            self.bar.stop()


_PROBES = (
    *((name, METRICS[name].title, ".3f") for name in LEADS),
    ("knn", "knn", ".3f"),
    ("effective_rank", "rank", ".0f"),
)


def make_display(quiet: bool) -> Display:
    """The display for this terminal."""
    return Silent() if quiet or sys.stderr is None else Live()
