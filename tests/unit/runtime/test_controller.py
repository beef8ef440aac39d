"""The controller: what is told is true, and nothing that fails on the way keeps anybody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sidecar.core.commands import ClaimState, Forget, Pause, Resume, SetPolicies
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.gates.gate import Ending, Gate, Waiter
from sidecar.gates.snapshot import snapshot_of
from sidecar.runtime.controller import Controller
from sidecar.store import Batch, MemoryStore


class GatedStore(MemoryStore):
    """Commits wait while ``slow`` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.go.set()
        self.committing = asyncio.Event()

    async def commit(self, batch: Batch) -> None:
        self.committing.set()
        await self.go.wait()
        await super().commit(batch)


class One(Waiter):
    def __init__(self) -> None:
        self.gate = None
        self.told: list[tuple[Ending, str, str | None]] = []
        self.ended = asyncio.Event()

    def end(self, ending: Ending, gate: Gate) -> None:
        self.ended.set()
        shot = snapshot_of(gate, self.path)
        self.told.append((ending, shot.gate, shot.reason))


def run(
    test: Callable[[Controller, GatedStore], Awaitable[None]], policies: PolicyTable | None = None
) -> None:
    async def main() -> None:
        store = GatedStore()
        controller = Controller(policies or PolicyTable(), store)
        await controller.start()
        try:
            await test(controller, store)
        finally:
            store.go.set()
            await controller.stop()

    asyncio.run(main())


def test_a_reload_tells_watchers_no_state_that_never_was() -> None:
    on = Policy(pause_on_distressed=True, min_pause_secs=60)
    off = Policy(enabled=False, min_pause_secs=60)

    async def test(controller: Controller, _: GatedStore) -> None:
        await controller.submit(ClaimState("", "agent:x", WellbeingState.DISTRESSED, "hurts"))
        await controller.submit(SetPolicies(PolicyTable(off)))
        watcher = One()
        controller.waiting_room.watch(watcher, controller.tree.root, None, 60)
        await controller.submit(SetPolicies(PolicyTable(Policy())))
        assert not controller.tree.root.closed
        assert [gate for _, gate, _ in watcher.told] in ([], ["open"])

    run(test, PolicyTable(on))


def test_a_resume_and_a_forget_of_one_batch_leave_the_scopes_inside_open() -> None:
    async def test(controller: Controller, store: GatedStore) -> None:
        await controller.submit(ClaimState("a/d", "agent:x", WellbeingState.CAUTIOUS))
        await controller.submit(Pause("a", "x", "op"))
        assert controller.tree.gates["a/d"].closed
        store.go.clear()
        store.committing.clear()
        first = controller.submit(Pause("a", "again", "op"))
        await store.committing.wait()
        # Both come while the store is busy, and share the next commit.
        rest = asyncio.gather(controller.submit(Resume("a", "op")), controller.submit(Forget(("a",))))
        store.go.set()
        await first
        await rest
        assert "a" not in controller.tree.gates
        assert not controller.tree.gates["a/d"].closed

    run(test)


def test_a_scope_where_a_request_has_been_parked_meanwhile_is_not_forgotten() -> None:
    async def test(controller: Controller, _: GatedStore) -> None:
        await controller.submit(Pause("a/b", "x", "op"))
        await controller.submit(Resume("a/b", "op"))
        await controller.submit(Pause("a", "x", "op"))
        gate = controller.tree.gates["a/b"]
        forget = controller.submit(Forget(("a/b",)))
        waiter = One()
        controller.waiting_room.request(waiter, gate, None, 60)
        await forget
        assert controller.tree.gates["a/b"] is gate
        await controller.submit(Resume("a", "op"))
        assert [ending for ending, *_ in waiter.told] == [Ending.OPENED]

    run(test)


def test_a_listener_that_fails_keeps_nobody_waiting() -> None:
    async def test(controller: Controller, _: GatedStore) -> None:
        def broken() -> None:
            raise RuntimeError("an engine's driver, perhaps")

        controller.on_gate_change = broken
        await controller.submit(Pause("", "x", "op"))
        waiter, watcher = One(), One()
        controller.waiting_room.request(waiter, controller.tree.root, None, 60)
        controller.waiting_room.watch(watcher, controller.tree.root, None, 60)
        await controller.submit(Resume("", "op"))
        assert waiter.told == [(Ending.OPENED, "open", None)]
        assert watcher.told == [(Ending.CHANGED, "open", None)]
        assert controller.counters.task_failures.counts["on_gate_change"] == 2

    run(test)


def test_a_pause_of_thousands_of_scopes_lets_others_run_and_is_seen_at_once() -> None:
    async def test(controller: Controller, _: GatedStore) -> None:
        many = 3000
        await controller.submit(SetPolicies(PolicyTable(named=tuple(f"s{number}" for number in range(many)))))
        gates = list(controller.tree.gates.values())
        pause = controller.submit(Pause("", "x", "op"))
        turns, seen = 0, set()
        while not pause.done():
            turns += 1
            seen.add((gates[0].closed, gates[1].closed, gates[many // 2].closed, gates[-1].closed))
            await asyncio.sleep(0)
        assert turns > 3, "it is done in slices"
        assert seen <= {(False,) * 4, (True,) * 4}, "no gate is seen without the others"

    run(test)


def test_clients_are_told_another_share_of_a_ramp() -> None:
    async def test(controller: Controller, _: GatedStore) -> None:
        await controller.submit(Pause("", "x", "op"))
        root, room = controller.tree.root, controller.waiting_room
        root.clients["c"] = True
        await controller.submit(Resume("", "op"))
        watcher = One()
        room.watch(watcher, root, None, 60)
        version = root.version
        room.on_client_rate(root)
        await watcher.ended.wait()
        assert root.version > version
        assert watcher.told == [(Ending.CHANGED, "open", None)]

    run(test, PolicyTable(Policy(resume_ramp_per_sec=5)))
