"""Prints tables with aligned columns, with colours on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from .output import print_text, printable

_GAP = "  "
_RESET = "\x1b[0m"
_RED, _YELLOW, _GREEN, _CYAN, _BOLD = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[36m", "\x1b[1m"
_COLOURS = {
    "closed": _RED, "distressed": _RED, "pause": _RED, "blind": _RED,
    "restricted": _YELLOW, "concerned": _YELLOW, "cautious": _YELLOW, "advice": _YELLOW, "hold": _YELLOW,
    "open": _GREEN, "healthy": _GREEN, "resume": _GREEN,
    "intervention": _CYAN, "engine": _CYAN, "store": _CYAN,
}  # fmt: skip


def use_colours() -> bool:
    """Whether to print colours: on a terminal, unless ``NO_COLOR`` is set (https://no-color.org)."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Table:
    """A table whose rows may come one at a time. Columns only get wider.

    Args:
        headings: the headings of the columns.
        least: minimum widths of the first columns, for rows that come later.
    """

    def __init__(self, headings: Sequence[str], least: Sequence[int] = ()) -> None:
        self._headings = headings
        self._widths = [max(len(one), width) for one, width in zip(headings, _filled(least), strict=False)]
        self._colours = use_colours()
        self._headed = False

    def fit(self, rows: Iterable[Sequence[str]]) -> None:
        """Make the columns wide enough for ``rows``."""
        for row in rows:
            for number, cell in enumerate(row):
                self._widths[number] = max(self._widths[number], len(printable(cell)))

    def lines(self, row: Sequence[str]) -> list[str]:
        """The line of ``row``, with the headings before the first row."""
        self.fit([row])
        lines = [] if self._headed else [self._line(self._headings, heading=True)]
        self._headed = True
        return [*lines, self._line(row)]

    def _line(self, row: Sequence[str], *, heading: bool = False) -> str:
        cells = []
        for width, text in zip(self._widths, row, strict=True):
            cell = printable(text)
            padding = " " * (width - len(cell))
            colour = _BOLD if heading else _COLOURS.get(cell.partition(" ")[0], "")
            cells.append(f"{colour}{cell}{_RESET}{padding}" if colour and self._colours else cell + padding)
        return _GAP.join(cells).rstrip()


def _filled(least: Sequence[int]) -> Iterable[int]:
    yield from least
    while True:
        yield 0


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a whole table."""
    table = Table(headings)
    table.fit(rows)
    for row in rows:
        for line in table.lines(row):
            print_text(line)


def short_time(moment: str | None) -> str:
    """A time from the sidecar's JSON without fractions of a second; empty if there is no time."""
    return "" if not moment else moment.partition(".")[0].rstrip("Z") + "Z"
