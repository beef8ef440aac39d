"""Any exception of SQLite becomes a `StoreUnavailable`, and the store works afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from sidecar.core.values import Tombstone
from sidecar.store import Batch, HistoryQuery, StoreUnavailable
from sidecar.store.sqlite import SqliteStore

GOOD = Batch({}, {}, (), frozenset(), 1.0, None)


class Connection:
    """A connection whose first ``failing`` rollbacks fail."""

    def __init__(self, db: sqlite3.Connection, failing: int) -> None:
        self._db = db
        self._failing = failing

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        if statement == "ROLLBACK" and self._failing:
            self._failing -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(statement, *values)


def test_a_failed_rollback_is_retried_and_the_store_continues(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "store.db")
        await store.load(0.0)
        store._db = Connection(store._db, failing=1)
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            await store.commit(Batch({}, {"a": Tombstone(object(), 0.0)}, (), frozenset(), 1.0, None))
        await store.commit(GOOD)
        await store.close()

    asyncio.run(main())


def test_a_number_out_of_range_for_sqlite_is_a_clear_error(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "store.db")
        await store.load(0.0)
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            await store.history(HistoryQuery(before_id=2**70))
        await store.close()

    asyncio.run(main())
