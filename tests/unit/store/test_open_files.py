"""A store refuses changes if another program removes its files, because a restart would lose the changes."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.core.events import HistoryNoted
from sidecar.store import Batch, StoreUnavailable
from sidecar.store.sqlite import SqliteStore


def batch(note: str, entries: int = 1) -> Batch:
    events = tuple(HistoryNoted("", 1.0, "store", "", "", "test", note) for _ in range(entries))
    return Batch({}, {}, events, frozenset(), 1.0, None)


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def delete_all(path: Path) -> None:
    for file in path.parent.glob("store.db*"):
        file.unlink()


def replace_with_a_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def overwrite_with_an_older_copy(path: Path) -> None:
    content = path.read_bytes()
    os.utime(path, ns=(0, 0))
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: path.unlink(), "moved or deleted"),
        (lambda path: path.rename(path.with_name("elsewhere.db")), "moved or deleted"),
        (lambda path: wal(path).unlink(), "store.db-wal was moved or deleted"),
        (delete_all, "moved or deleted"),
        (replace_with_a_copy, "replaced by another file"),
        (overwrite_with_an_older_copy, "changed by another program"),
        (lambda path: os.truncate(path, 0), "changed by another program"),
        (lambda path: os.truncate(wal(path), 0), "store.db-wal was changed by another program"),
    ],
)
def test_a_store_whose_file_is_gone_or_changed_refuses_changes(
    tmp_path: Path, damage: Callable[[Path], None], what: str
) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "store.db")
        await store.load(0.0)
        await store.commit(batch("before"))
        await store.commit(batch("before, too"))
        damage(store.path)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=f"cannot be written: .*{what}.*restart the sidecar"):
                await store.commit(batch("after"))
            with pytest.raises(StoreUnavailable, match=what):
                await store.save_values({"hook": "1"})
        await store.close()

    asyncio.run(main())


def test_a_restored_file_is_used_again(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "store.db"
        store = SqliteStore(path)
        await store.load(0.0)
        path.rename(tmp_path / "elsewhere.db")
        with pytest.raises(StoreUnavailable, match="moved or deleted"):
            await store.commit(batch("while it is away"))
        (tmp_path / "elsewhere.db").rename(path)
        await store.commit(batch("back"))
        await store.close()
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT reason FROM history").fetchall() == [("back",)]

    asyncio.run(main())


def test_a_checkpoint_of_the_store_does_not_count_as_a_change_by_another_program(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "link.db").symlink_to(tmp_path / "store.db")
        store = SqliteStore(tmp_path / "link.db")
        await store.load(0.0)
        size = store.path.stat().st_size
        for number in range(4):
            await store.commit(batch(f"batch {number}", 700))
        assert store.path.stat().st_size > size, "a checkpoint was made"
        await store.close()

    asyncio.run(main())
