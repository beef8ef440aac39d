"""The thread of a store runs work in order, and survives any exception of the work."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from sidecar.core.events import HistoryNoted
from sidecar.store import Batch
from sidecar.store.sqlite import SqliteStore
from sidecar.store.store_thread import StoreThread


def test_work_runs_in_order_on_one_thread_and_then_the_callback_runs() -> None:
    done: list[str] = []

    async def main() -> set[int]:
        thread = StoreThread("store", lambda: done.append("after"))
        found = await asyncio.gather(
            *(thread.run(lambda name=name: done.append(name) or threading.get_ident()) for name in "abc")
        )
        thread.stop()
        return set(found)

    idents = asyncio.run(main())
    assert len(idents) == 1
    assert threading.get_ident() not in idents
    assert done == ["a", "after", "b", "after", "c", "after"]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()])
def test_an_exception_of_work_reaches_only_its_caller(error: BaseException) -> None:
    def fail() -> None:
        raise error

    async def main() -> int:
        thread = StoreThread("store", lambda: None)
        raised: BaseException | None = None
        try:
            await thread.run(fail)
        except BaseException as found:  # noqa: BLE001 - compared
            raised = found
        assert raised is error
        try:
            return await thread.run(lambda: 7)
        finally:
            thread.stop()

    assert asyncio.run(main()) == 7


def test_stop_waits_for_queued_work() -> None:
    done: list[int] = []

    async def main() -> None:
        thread = StoreThread("store", lambda: None)
        gate = threading.Event()
        first = asyncio.ensure_future(thread.run(gate.wait))
        second = asyncio.ensure_future(thread.run(lambda: done.append(1)))
        await asyncio.sleep(0)
        gate.set()
        thread.stop()
        assert done == [1]
        await asyncio.gather(first, second)

    asyncio.run(main())


def test_a_result_that_is_no_longer_awaited_stops_nothing() -> None:
    async def main() -> int:
        thread = StoreThread("store", lambda: None)
        gate = threading.Event()
        left = asyncio.ensure_future(thread.run(gate.wait))
        await asyncio.sleep(0)
        left.cancel()
        gate.set()
        try:
            return await thread.run(lambda: 7)
        finally:
            thread.stop()

    assert asyncio.run(main()) == 7


def test_many_changes_are_written_by_the_checkpoint_after_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    notes = tuple(
        HistoryNoted("s", float(number), "store", "down", "up", "x", "y") for number in range(3_000)
    )

    async def main() -> None:
        store = SqliteStore(path)
        await store.load(0.0)
        small = path.stat().st_size
        at_commit: list[int] = []
        commit = store._commit

        def watch(batch: Batch) -> None:
            commit(batch)
            at_commit.append(path.stat().st_size)

        store._commit = watch
        await store.commit(Batch({}, {}, notes, frozenset(), 1.0, None))
        # The thread has returned from the checkpoint when it runs this.
        await store.load_values()
        assert at_commit == [small]
        assert path.stat().st_size > small + 100_000
        await store.close()

    asyncio.run(main())
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM history").fetchone() == (3_000,)
