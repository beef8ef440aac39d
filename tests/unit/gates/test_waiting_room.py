"""The waiting room: which requests are woken, which watches are notified, and changes between two time
slices."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from harness.waiters import RecordingWaiter
from sidecar import time_slice
from sidecar.core.policy import PolicyTable
from sidecar.core.values import Hold, HoldKind, ScopeRecord
from sidecar.gates.counters import Counters
from sidecar.gates.gate import Ending, ScopeGate
from sidecar.gates.tree import GateTree
from sidecar.gates.tree_update import TreeUpdate
from sidecar.gates.waiting_room import WaitingRoom

HOLD = Hold(HoldKind.MANUAL, "x", 0.0, None, "op")
PAUSED, EMPTY = ScopeRecord(manual=HOLD), ScopeRecord()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def tree(loop: asyncio.AbstractEventLoop) -> GateTree:
    return GateTree(PolicyTable(), 0, WaitingRoom(loop, Counters()))


def park(
    tree: GateTree, scope: str, waiter: RecordingWaiter | None = None, wait: float = 60
) -> RecordingWaiter:
    waiter = waiter or RecordingWaiter()
    gate, path = tree.find(scope)
    gate.requests += 1
    assert tree.waiting_room.request(waiter, gate, path, wait) is None
    return waiter


def watch(tree: GateTree, scope: str) -> RecordingWaiter:
    waiter = RecordingWaiter()
    gate, path = tree.find(scope)
    assert tree.waiting_room.watch(waiter, gate, path, 60) is None
    return waiter


def test_a_connection_that_has_begun_another_wait_is_not_woken(tree: GateTree) -> None:
    tree.update({"a": PAUSED, "b": PAUSED}, 0.0)
    room = tree.waiting_room
    waiters = [park(tree, "a") for _ in range(20)]
    tree.update({"a": EMPTY}, 1.0)
    waking = room.release(tree.gates["a"])
    next(waking)
    # Between two steps the last wait ends, and its connection sends a request for another gate.
    last = waiters[-1]
    room.abandon(last)
    park(tree, "b", last)
    for _ in waking:
        pass
    assert last.endings == []
    assert last.gate is tree.gates["b"]
    assert all(waiter.endings == [Ending.OPENED] for waiter in waiters[:-1])


def test_a_watch_that_already_has_the_new_snapshot_is_not_notified_again(tree: GateTree) -> None:
    room = tree.waiting_room
    before = watch(tree, "")
    tree.update({"": PAUSED}, 0.0)
    after = watch(tree, "")
    for _ in room.notify_watchers(tree.root):
        pass
    assert before.endings == [Ending.CHANGED]
    assert after.endings == []


def test_the_new_gate_decides_a_wait_that_times_out_while_requests_move(
    tree: GateTree, loop: asyncio.AbstractEventLoop
) -> None:
    # In one step, the root opens, and a scope inside the root becomes known and closes.
    tree.update({"": PAUSED}, 0.0)
    waiter = park(tree, "a/b")
    update = TreeUpdate({"": EMPTY, "a/b": PAUSED}, 1.0)
    for _ in tree.prepare(update):
        pass
    tree.apply(update)
    tree.waiting_room._time_out(waiter)
    tree.waiting_room._admit(tree.root, [waiter])
    assert waiter.endings == []
    for _ in tree.reassign(update):
        pass
    assert waiter.gate is tree.gates["a/b"]
    for _ in tree.waiting_room.release(tree.root):
        pass
    assert waiter.endings == []
    tree.waiting_room._time_out(waiter)
    assert waiter.endings == [Ending.TIMED_OUT]


def test_one_broken_connection_does_not_stop_the_others_from_being_woken(tree: GateTree) -> None:
    tree.update({"": PAUSED}, 0.0)
    waiters = [park(tree, "") for _ in range(3)]

    def broken(ending: Ending, gate: ScopeGate) -> None:
        raise OSError("gone")

    waiters[1].end = broken
    tree.update({"": EMPTY}, 1.0)
    for _ in tree.waiting_room.release(tree.root):
        pass
    assert [waiter.endings for waiter in waiters] == [[Ending.OPENED], [], [Ending.OPENED]]
    assert tree.root.waited == 3


def test_thousands_of_simultaneous_timeouts_are_processed_in_slices(
    tree: GateTree, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Time passes only when it is read: each reading takes a tenth of a slice.
    now = iter(range(10**9))
    monkeypatch.setattr(time_slice.time, "perf_counter", lambda: next(now) * 0.0001)
    tree.update({"": PAUSED}, 0.0)
    waiters = [park(tree, "", wait=0.01) for _ in range(100)]
    turns: list[int] = []

    async def look() -> None:
        while not all(waiter.endings for waiter in waiters):
            turns.append(sum(bool(waiter.endings) for waiter in waiters))
            await asyncio.sleep(0)

    loop.run_until_complete(look())
    between = [after - before for before, after in itertools.pairwise(turns)]
    assert max(between) <= 15
    assert tree.root.timed_out == 100


def test_a_connection_that_has_begun_another_wait_does_not_move(tree: GateTree) -> None:
    tree.update({"": PAUSED, "z": PAUSED, "gone": PAUSED, "a/b": PAUSED}, 0.0)
    room = tree.waiting_room
    to_a, to_gone = [[park(tree, path) for _ in range(4)] for path in ("a", "gone")]
    update = TreeUpdate({"a": PAUSED, "gone": None}, 1.0)
    for _ in tree.prepare(update):
        pass
    tree.apply(update)
    moving = tree.reassign(update)
    next(moving)
    # Between two steps the other waits end, and their connections send requests for other gates.
    for waiters in (to_a, to_gone):
        for waiter, scope in zip(waiters[1:], ("z", "z/y", "a/b/c"), strict=True):
            room.abandon(waiter)
            park(tree, scope, waiter)
    for _ in moving:
        pass
    for waiters, scope in ((to_a, "a"), (to_gone, "")):
        assert [waiter.gate.scope for waiter in waiters] == [scope, "z", "z", "a/b"]
        assert [waiter.path for waiter in waiters[1:]] == [None, "z/y", "a/b/c"]
    for gate in tree.gates.values():
        tree.update({gate.scope: EMPTY}, 2.0)
    for gate in tree.gates.values():
        for _ in room.release(gate):
            pass
    assert all(waiter.endings == [Ending.OPENED] for waiter in to_a + to_gone)
    assert len(room._unnamed) == 0


def test_a_watch_that_times_out_just_before_its_notification_still_gets_it(tree: GateTree) -> None:
    watcher = watch(tree, "")
    tree.update({"": PAUSED}, 0.0)
    tree.waiting_room._time_out(watcher)
    assert watcher.endings == [Ending.CHANGED]


def test_a_request_that_does_not_wait_needs_no_place(tree: GateTree) -> None:
    room = tree.waiting_room
    tree.update({"": PAUSED}, 0.0)
    park(tree, "")
    watch(tree, "")
    room.max_waiters = room.max_watchers = 1
    for wait, request, kept in (
        (60.0, Ending.TOO_MANY_WAITERS, Ending.TOO_MANY_WATCHERS),
        (0.0, Ending.TIMED_OUT, Ending.TIMED_OUT),
    ):
        assert room.request(RecordingWaiter(), tree.root, None, wait) is request
        assert room.watch(RecordingWaiter(), tree.root, None, wait) is kept
    gate = tree.root
    assert (gate.blocked, gate.rejected, gate.timed_out, gate.waiting) == (3, 1, 1, 1)
