"""The store extends the WAL file with zeros so that a commit does not extend it. Recovery ignores the zeros."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from sidecar.core.values import Tombstone
from sidecar.store import Batch, sqlite, wal_file
from sidecar.store.sqlite import _WAL_BYTES, SqliteStore


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_EXTEND_WAL_AFTER", 8)


def batch(number: int) -> Batch:
    return Batch({}, {f"alert:{number}": Tombstone(float(number), 1e9)}, (), frozenset(), float(number), None)


async def filled(path: Path) -> tuple[SqliteStore, int]:
    """A store that has extended its WAL file, and the number of its commits."""
    store = SqliteStore(path)
    await store.load(0.0)
    commits = 8
    for number in range(commits):
        await store.commit(batch(number))
    # The work after a commit ends before the next commit.
    await store.commit(batch(commits))
    return store, commits + 1


def test_the_wal_file_is_extended_once_and_overwritten(tmp_path: Path) -> None:
    async def main() -> None:
        store, commits = await filled(tmp_path / "store.db")
        wal = tmp_path / "store.db-wal"
        assert wal.stat().st_size == _WAL_BYTES
        for number in range(20):
            await store.commit(batch(commits + number))
        assert wal.stat().st_size == _WAL_BYTES
        await store.close()
        assert not wal.exists()

    asyncio.run(main())


def test_after_a_crash_the_zeros_are_not_read(tmp_path: Path) -> None:
    async def main() -> None:
        store, commits = await filled(tmp_path / "store.db")
        # A copy of the files as a crash of the machine would leave them.
        (tmp_path / "crashed").mkdir()
        for name in ("store.db", "store.db-wal"):
            shutil.copy(tmp_path / name, tmp_path / "crashed" / name)
        await store.close()
        again = SqliteStore(tmp_path / "crashed" / "store.db")
        stored = await again.load(0.0)
        assert stored.tombstones == {f"alert:{one}": Tombstone(float(one), 1e9) for one in range(commits)}
        await again.commit(batch(commits))
        await again.close()

    asyncio.run(main())


def test_without_space_for_zeros_the_store_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        monkeypatch.setattr(wal_file.os, "fsync", no_space)
        store, commits = await filled(tmp_path / "store.db")
        assert (tmp_path / "store.db-wal").stat().st_size < _WAL_BYTES
        await store.commit(batch(commits))
        await store.close()
        again = SqliteStore(tmp_path / "store.db")
        assert len((await again.load(0.0)).tombstones) == commits + 1
        await again.close()

    asyncio.run(main())
