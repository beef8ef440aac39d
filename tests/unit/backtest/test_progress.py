from __future__ import annotations

import io

from sidecar.backtest.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_written_without_a_terminal() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin("read ALERTS", 10)
    progress.advance(5)
    progress.clear()
    assert stream.getvalue() == ""


def test_the_progress_is_shown_on_a_terminal() -> None:
    stream, now = Terminal(), iter(range(100))
    progress = Progress(stream, lambda: float(next(now)))
    progress.begin("read ALERTS", 10)
    progress.advance(5)
    progress.clear()
    drawn = stream.getvalue().split("\r\x1b[K")
    assert drawn == [
        "",
        "[------------------------------]   0% read ALERTS",
        "[###############---------------]  50% read ALERTS",
        "",
    ]


def test_the_progress_is_shown_at_a_limited_rate() -> None:
    stream = Terminal()
    progress = Progress(stream, lambda: 0.0)
    progress.begin("x", 1_000)
    before = stream.getvalue()
    for _ in range(1_000):
        progress.advance(1)
    assert stream.getvalue() == before
