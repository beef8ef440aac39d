"""Event streams: each receives every change of its subtree, and a change is rendered once for all streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sidecar.core.policy import PolicyTable
from sidecar.core.scope import ROOT
from sidecar.core.values import Hold, HoldKind, ScopeRecord
from sidecar.gates.counters import Counters
from sidecar.gates.event_streams import EventStream, EventStreams
from sidecar.gates.gate import ScopeGate
from sidecar.gates.tree import GateTree
from sidecar.gates.waiting_room import WaitingRoom

HOLD = Hold(HoldKind.MANUAL, "x", 0.0, None, "op")
PAUSED, EMPTY = ScopeRecord(manual=HOLD), ScopeRecord()
LONG = 60.0


class World:
    """A tree with its streams; `rendered` has each rendered event."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.counters = Counters()
        self.tree = GateTree(PolicyTable(), 0, WaitingRoom(loop, self.counters))
        self.streams = EventStreams(loop, self.counters.task_failures)
        self.rendered: list[str] = []

    def change(self, records: dict) -> None:
        update = self.tree.update(records, 0.0)
        for _ in self.streams.publish(update.changed, update.forgotten, self.tree):
            pass

    def render(self, gate: ScopeGate, path: str | None) -> bytes:
        line = f"{gate.scope if path is None else path}={'closed' if gate.closed else 'open'}"
        self.rendered.append(line)
        return f"{line};".encode()

    async def read(self, stream: EventStream, secs: float = LONG) -> str | None:
        data = await stream.wait(self.tree, secs, self.render)
        return None if data is None else data.decode()


def run(test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        await test(world)
        world.streams.shut_down()
        assert not sum(world.counters.task_failures.counts.values())

    asyncio.run(main())


def test_a_stream_gets_its_subtree_and_the_ancestor_of_an_unnamed_scope() -> None:
    async def test(world: World) -> None:
        world.change({"a": EMPTY, "a/b": EMPTY, "other": EMPTY})
        at_a, unnamed, other = (world.streams.open(scope) for scope in ("a", "a/x/y", "other/z"))
        world.change({"a/b": PAUSED})
        assert await world.read(at_a) == "a/b=closed;"
        assert await world.read(unnamed, 0) == ""
        world.change({"a": PAUSED})
        assert await world.read(unnamed) == "a/x/y=closed;"
        # a/b was already closed by its own hold, so its snapshot is unchanged.
        assert await world.read(at_a) == "a=closed;"
        assert await world.read(other, 0) == ""

    run(test)


def test_streams_of_one_scope_share_rendered_events() -> None:
    async def test(world: World) -> None:
        world.change({f"s{number}": EMPTY for number in range(10)})
        streams = [world.streams.open("") for _ in range(50)]
        world.change({ROOT: PAUSED})
        texts = [await world.read(stream) for stream in streams]
        assert len(set(texts)) == 1
        assert len(world.rendered) == 11

    run(test)


def test_a_slow_stream_gets_each_gate_once_in_its_latest_state() -> None:
    async def test(world: World) -> None:
        world.change({"a": EMPTY})
        stream = world.streams.open("")
        for _ in range(200):
            world.change({"a": PAUSED})
            world.change({"a": EMPTY})
        assert len(stream.topic._log) < 200, "the number of unread events is limited"
        assert await world.read(stream) == "a=open;"
        assert await world.read(stream, 0) == ""

    run(test)


def test_unread_events_of_forgotten_scopes_do_not_accumulate() -> None:
    async def test(world: World) -> None:
        stream = world.streams.open("")
        for number in range(500):
            world.change({f"s{number}": EMPTY})
            world.change({f"s{number}": None})
        assert len(stream.topic._latest) <= 2
        assert len(stream.topic._log) <= 80

    run(test)


def test_an_event_that_one_stream_has_read_remains_for_the_other_streams() -> None:
    async def test(world: World) -> None:
        world.change({"a": EMPTY, "b": EMPTY})
        quick, slow = world.streams.open(""), world.streams.open("")
        world.change({"a": PAUSED})
        assert await world.read(slow) == "a=closed;"
        update = world.tree.update({"b": PAUSED}, 0.0)
        telling = world.streams.publish(update.changed, update.forgotten, world.tree)
        next(telling)
        assert await world.read(quick) == "a=closed;b=closed;"
        for _ in telling:
            pass
        assert await world.read(slow) == "b=closed;"

    run(test)


def test_many_events_are_sent_in_chunks_and_streams_take_turns() -> None:
    async def test(world: World) -> None:
        world.change({f"{number:04}" + "x" * 60: EMPTY for number in range(2000)})
        streams = [world.streams.open("") for _ in range(20)]
        world.change({ROOT: PAUSED})
        first = [await world.read(stream) for stream in streams]
        assert all(len(text) < 40_000 for text in first)
        texts = list(first)
        while not all(text.count(";") == 2001 for text in texts):
            texts = [
                text + (await world.read(stream, 1) or "")
                for text, stream in zip(texts, streams, strict=True)
            ]
        assert len(set(texts)) == 1
        assert len(world.rendered) == 2001

    run(test)


def test_only_a_few_streams_are_served_in_one_iteration_of_the_loop() -> None:
    async def test(world: World) -> None:
        streams = [world.streams.open("") for _ in range(100)]
        world.change({ROOT: PAUSED})
        reads = [asyncio.ensure_future(world.read(stream)) for stream in streams]
        done = 0
        while done < 100:
            await asyncio.sleep(0)
            now = sum(read.done() for read in reads)
            assert now - done <= 12
            done = now

    run(test)


def test_a_closed_stream_leaves_no_data() -> None:
    async def test(world: World) -> None:
        streams = [world.streams.open("a/b/c"), world.streams.open("a/b"), world.streams.open("a/b")]
        world.change({ROOT: PAUSED})
        for stream in streams:
            world.streams.leave(stream)
            world.streams.leave(stream)
        assert len(world.streams) == 0
        assert not world.streams._topics
        assert not world.streams._inside

    run(test)


def test_all_streams_end_at_shutdown() -> None:
    async def test(world: World) -> None:
        stream = world.streams.open("a")
        world.streams.shut_down()
        assert await world.read(stream) is None
        assert world.streams.open("a") is None

    run(test)
