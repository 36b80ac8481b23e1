import io
import sys
from contextlib import suppress

import pytest

from likewise.data.progress import Bar


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "patience", "shown"), [(True, 0.0, True), (True, 60.0, False), (False, 0.0, False)]
)
def test_only_long_work_on_a_terminal_shows_a_bar(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, patience: float, shown: bool
) -> None:
    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with Bar(10, "reading pictures", patience) as bar:
        for _ in range(5):
            bar.advance(2)
    assert bar.done == 10
    assert ("reading pictures" in screen.getvalue()) is shown


def test_an_error_closes_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Screen(True))
    bar = Bar(10, "reading pictures", 0.0)
    with suppress(RuntimeError), bar:
        bar.advance(1)
        assert bar._shown.live.is_started
        raise RuntimeError("stop")
    assert not bar._shown.live.is_started
