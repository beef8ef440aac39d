"""A store on a full disk. The test limits the size of files to simulate the full disk."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.core.events import HistoryNoted
from sidecar.store import Batch, HistoryQuery, StoreUnavailable
from sidecar.store.sqlite import SqliteStore


def batch(note: str, entries: int = 1) -> Batch:
    events = tuple(HistoryNoted("", 1.0, "store", "", "", "test", note) for _ in range(entries))
    return Batch({}, {}, events, frozenset(), 1.0, None)


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def wal_size(store: SqliteStore) -> int:
    return store.path.with_name("store.db-wal").stat().st_size


async def newest(store: SqliteStore) -> list[str]:
    return [one.reason for one in await store.history(HistoryQuery(limit=1))]


async def store_with_commits(folder: Path) -> SqliteStore:
    store = SqliteStore(folder / "store.db")
    await store.load(0.0)
    for number in range(20):
        await store.commit(batch(f"before {number}"))
    return store


def test_a_disk_without_space_for_a_longer_wal_file_still_takes_commits(tmp_path: Path) -> None:
    async def main() -> None:
        store = await store_with_commits(tmp_path)
        full = wal_size(store)
        with no_file_longer_than(full):
            for number in range(200):
                await store.commit(batch(f"full {number}"))
                assert await newest(store) == [f"full {number}"]
        assert wal_size(store) <= full
        await store.close()

    asyncio.run(main())


def test_a_checkpoint_without_space_is_repeated_and_nothing_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        store = await store_with_commits(tmp_path)
        with no_file_longer_than(8192):
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="disk I/O error"):
                    await store.commit(batch("x" * 1000, 700))
        assert await newest(store) == ["before 19"]
        await store.commit(batch("after"))
        await store.close()
        await store.load(0.0)
        assert await newest(store) == ["after"]
        await store.close()

    asyncio.run(main())


def test_killed_processes_do_not_let_the_wal_file_grow_without_limit(tmp_path: Path) -> None:
    def copy_of_a_running_store(number: int) -> int:
        """Run the store, copy its files before it closes them, and return the size of its WAL file in bytes."""
        folder = tmp_path / str(number)
        folder.mkdir()
        if number:
            for name in ("store.db", "store.db-wal"):
                (folder / name).write_bytes((tmp_path / str(number - 1) / name).read_bytes())

        async def main() -> int:
            store = SqliteStore(folder / "store.db")
            await store.load(0.0)
            for one in range(20):
                await store.commit(batch(f"{number}.{one}"))
            size = wal_size(store)
            for name in ("store.db", "store.db-wal"):
                (folder / f"{name}.copy").write_bytes((folder / name).read_bytes())
            await store.close()
            for name in ("store.db", "store.db-wal"):
                (folder / f"{name}.copy").rename(folder / name)
            return size

        return asyncio.run(main())

    first, *later = [copy_of_a_running_store(number) for number in range(4)]
    assert max(later) <= first * 1.5
