"""Many rows in few statements."""

from __future__ import annotations

import random
import sqlite3

import pytest

from sidecar.store.bulk_insert import insert_rows, sorted_in_pieces


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1_000, 2_345])
def test_every_row_is_inserted_once_with_few_statements(count: int) -> None:
    rows = [(f"s/{number}", number, None) for number in range(count)]
    random.Random(count).shuffle(rows)
    statements: list[str] = []
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        db.execute("CREATE TABLE scopes (scope TEXT PRIMARY KEY, state, more) WITHOUT ROWID")
        db.set_trace_callback(statements.append)
        db.execute("BEGIN")
        insert_rows(db, "INSERT OR REPLACE INTO scopes", sorted_in_pieces(rows))
        db.execute("COMMIT")
        db.set_trace_callback(None)
        assert len(statements) <= count // 64 + 64 + 2
        assert sorted(db.execute("SELECT * FROM scopes")) == sorted(rows)
    finally:
        db.close()


def test_rows_of_one_piece_are_in_the_order_of_their_key() -> None:
    rows = [(f"s/{number % 7}", f"alert:{number % 900:03d}", object()) for number in range(900)]
    ordered = sorted_in_pieces(rows)
    assert [row[:2] for row in ordered] == sorted(row[:2] for row in rows)
    assert set(ordered) == set(rows)


def test_not_all_rows_are_sorted_at_once() -> None:
    rows = [(number, 0) for number in reversed(range(3_000))]
    ordered = sorted_in_pieces(rows)
    assert sorted(ordered) == sorted(rows)
    assert ordered[0] == (2_000, 0)
