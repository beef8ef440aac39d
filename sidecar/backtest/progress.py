"""A progress bar for a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

_WIDTH = 30
_REDRAW_SECS = 0.1


class Progress:
    """Shows the progress of a long task in one line that is overwritten.

    Args:
        stream: where to write; nothing is written if it is not a terminal.
        clock: returns monotonic seconds.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream if stream is not None and stream.isatty() else None
        self._clock = clock
        self._what = ""
        self._total = self._done = 0
        self._drawn_at = float("-inf")

    @classmethod
    def on_stderr(cls) -> Progress:
        """A progress bar on stderr."""
        return cls(sys.stderr)

    def begin(self, what: str, total: int) -> None:
        """Begin a task of ``total`` units."""
        self._what, self._total, self._done = what, max(1, total), 0
        self._draw()

    def advance(self, units: int) -> None:
        """Count finished units."""
        self._done += units
        if self._clock() - self._drawn_at >= _REDRAW_SECS:
            self._draw()

    def clear(self) -> None:
        """Remove the line."""
        if self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _draw(self) -> None:
        if self._stream is None:
            return
        self._drawn_at = self._clock()
        share = min(1.0, self._done / self._total)
        filled = int(share * _WIDTH)
        bar = "#" * filled + "-" * (_WIDTH - filled)
        self._stream.write(f"\r\x1b[K[{bar}] {share:4.0%} {self._what}")
        self._stream.flush()
