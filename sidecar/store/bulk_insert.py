"""Inserts many rows with few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter

from .rows import Row

_ROWS_AT_ONCE = 64
"""With eleven columns these are 704 values; every version of SQLite allows 999."""
_SORTED_AT_ONCE = 1_000
"""Rows. Sorting more at once would hold the interpreter for longer than a millisecond."""
_KEY = itemgetter(0, 1)


def insert_rows(db: sqlite3.Connection, statement: str, rows: Sequence[Row]) -> None:
    """Run ``statement``, an INSERT without its values, for all ``rows``, many at a time.

    A statement with one row would release the interpreter lock and wait for it again for each row.
    """
    start = 0
    while len(rows) - start >= _ROWS_AT_ONCE:
        some = rows[start : start + _ROWS_AT_ONCE]
        db.execute(_with_values(statement, len(some[0]), _ROWS_AT_ONCE), list(chain.from_iterable(some)))
        start += _ROWS_AT_ONCE
    if start < len(rows):
        db.executemany(_with_values(statement, len(rows[0]), 1), rows[start:])


def sorted_in_pieces(rows: list[Row]) -> list[Row]:
    """``rows``, a thousand at a time in the order of their key, so that SQLite writes neighbours together.

    Args:
        rows: the key is the first column, or the first two.
    """
    starts = range(0, len(rows), _SORTED_AT_ONCE)
    pieces = [sorted(rows[start : start + _SORTED_AT_ONCE], key=_KEY) for start in starts]
    return list(chain.from_iterable(pieces))


@lru_cache(maxsize=32)
def _with_values(statement: str, columns: int, rows: int) -> str:
    """``statement`` with placeholders for the values of ``rows`` rows."""
    row = f"({', '.join('?' * columns)})"
    return f"{statement} VALUES {', '.join([row] * rows)}"
