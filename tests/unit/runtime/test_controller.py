"""The controller: responses and snapshots are correct, and no failure on the way keeps a request waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from sidecar.core.commands import (
    ClaimState,
    Command,
    CommandOutcome,
    ForgetScopes,
    Pause,
    Resume,
    SetPolicies,
)
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.gates.admission_control import ClientDemand
from sidecar.gates.gate import Ending, ScopeGate, Waiter
from sidecar.gates.snapshot import snapshot_of
from sidecar.gates.tree_update import TreeUpdate
from sidecar.runtime import controller as controller_module
from sidecar.runtime.controller import Controller
from sidecar.runtime.gate_updates import GatesBehind
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


class SnapshotWaiter(Waiter):
    def __init__(self) -> None:
        self.gate = None
        self.told: list[tuple[Ending, str, str | None]] = []
        self.ended = asyncio.Event()

    def end(self, ending: Ending, gate: ScopeGate) -> None:
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


def test_watchers_receive_no_intermediate_state_of_a_reload() -> None:
    on = Policy(pause_on_distressed=True, min_pause_secs=60)
    off = Policy(enabled=False, min_pause_secs=60)

    async def test(controller: Controller, _: GatedStore) -> None:
        await controller.submit(ClaimState("", "agent:x", WellbeingState.DISTRESSED, "hurts"))
        await controller.submit(SetPolicies(PolicyTable(off)))
        watcher = SnapshotWaiter()
        controller.waiting_room.watch(watcher, controller.tree.root, None, 60)
        await controller.submit(SetPolicies(PolicyTable(Policy())))
        assert not controller.tree.root.closed
        assert [gate for _, gate, _ in watcher.told] in ([], ["open"])

    run(test, PolicyTable(on))


def test_a_resume_and_a_forget_in_one_batch_leave_the_scopes_below_open() -> None:
    async def test(controller: Controller, store: GatedStore) -> None:
        await controller.submit(ClaimState("a/d", "agent:x", WellbeingState.CAUTIOUS))
        await controller.submit(Pause("a", "x", "op"))
        assert controller.tree.gates["a/d"].closed
        store.go.clear()
        store.committing.clear()
        first = controller.submit(Pause("a", "again", "op"))
        await store.committing.wait()
        # Both arrive while the store is busy, and share the next commit.
        rest = asyncio.gather(controller.submit(Resume("a", "op")), controller.submit(ForgetScopes(("a",))))
        store.go.set()
        await first
        await rest
        assert "a" not in controller.tree.gates
        assert not controller.tree.gates["a/d"].closed

    run(test)


def test_a_scope_with_a_newly_parked_request_is_not_forgotten() -> None:
    async def test(controller: Controller, _: GatedStore) -> None:
        await controller.submit(Pause("a/b", "x", "op"))
        await controller.submit(Resume("a/b", "op"))
        await controller.submit(Pause("a", "x", "op"))
        gate = controller.tree.gates["a/b"]
        forget = controller.submit(ForgetScopes(("a/b",)))
        waiter = SnapshotWaiter()
        controller.waiting_room.request(waiter, gate, None, 60)
        await forget
        assert controller.tree.gates["a/b"] is gate
        await controller.submit(Resume("a", "op"))
        assert [ending for ending, *_ in waiter.told] == [Ending.OPENED]

    run(test)


def test_a_failing_listener_delays_no_request() -> None:
    async def test(controller: Controller, _: GatedStore) -> None:
        def broken() -> None:
            raise RuntimeError("an engine's driver, perhaps")

        controller.on_gate_change = broken
        await controller.submit(Pause("", "x", "op"))
        waiter, watcher = SnapshotWaiter(), SnapshotWaiter()
        controller.waiting_room.request(waiter, controller.tree.root, None, 60)
        controller.waiting_room.watch(watcher, controller.tree.root, None, 60)
        await controller.submit(Resume("", "op"))
        assert waiter.told == [(Ending.OPENED, "open", None)]
        assert watcher.told == [(Ending.CHANGED, "open", None)]
        assert controller.counters.task_failures.counts["on_gate_change"] == 2

    run(test)


def test_a_pause_of_thousands_of_scopes_yields_to_others_and_applies_in_one_step() -> None:
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
        assert turns > 3, "the update runs in slices"
        assert seen <= {(False,) * 4, (True,) * 4}, "all gates change in one step"

    run(test)


def test_a_ramp_begins_and_ends_with_a_new_version_of_the_snapshot_and_wakes_watches() -> None:
    async def test(controller: Controller, _: GatedStore) -> None:
        root, room = controller.tree.root, controller.waiting_room
        rates: dict[int, set[float | None]] = {}

        async def observe() -> None:
            while True:
                rates.setdefault(root.version, set()).add(root.admit_per_sec)
                await asyncio.sleep(0)

        observing = asyncio.ensure_future(observe())
        await controller.submit(Pause("", "x", "op"))
        waiters = [SnapshotWaiter(), SnapshotWaiter()]
        for waiter in waiters:
            room.request(waiter, root, None, 60)
        await controller.submit(Resume("", "op"))
        assert root.admit_per_sec == 50
        watcher = SnapshotWaiter()
        room.watch(watcher, root, None, 60)
        await watcher.ended.wait()
        assert watcher.told == [(Ending.CHANGED, "open", None)]
        assert root.admit_per_sec is None
        # A client that asks for tokens begins a ramp, too.
        room.admission.demand(ClientDemand("c", [0] * 5 + [1] + [0] * 4, root, lambda: None))
        room.watch(watcher := SnapshotWaiter(), root, None, 60)
        await watcher.ended.wait()
        assert root.admit_per_sec == 50
        observing.cancel()
        assert [version for version, seen in rates.items() if len(seen) > 1] == []

    run(test, PolicyTable(Policy(resume_ramp_per_sec=50)))


def break_prepare(controller: Controller, times: int) -> None:
    """Make the next ``times`` computations of new gate states fail after their first steps."""
    prepare = controller.tree.prepare
    left = times

    def broken(update: TreeUpdate) -> Iterator[None]:
        nonlocal left
        steps = prepare(update)
        if left:
            left -= 1
            yield from zip(range(2), steps, strict=False)
            raise RuntimeError("a bug")
        yield from steps

    controller.tree.prepare = broken
    # A change of a single scope does not call ``prepare``.
    controller.tree.change_leaf = lambda _: False


def test_gates_are_rebuilt_from_all_records_if_an_update_fails() -> None:
    async def test(controller: Controller, _: GatedStore) -> None:
        await controller.submit(Pause("a", "x", "op"))
        waiter, inside = SnapshotWaiter(), SnapshotWaiter()
        controller.waiting_room.request(waiter, controller.tree.gates["a"], None, 60)
        controller.waiting_room.watch(inside, controller.tree.root, "b/c", 60)
        break_prepare(controller, 1)
        await asyncio.gather(
            controller.submit(Resume("a", "op")),
            controller.submit(Pause("b", "y", "op", 0.05)),
            controller.submit(ForgetScopes(("a",))),
        )
        assert waiter.told == [(Ending.OPENED, "open", None)]
        assert inside.told == [(Ending.CHANGED, "closed", "y")]
        assert controller.tree.gates.keys() == controller.core_state.records.keys()
        assert controller.counters.task_failures.counts["gate_tree"] == 1
        # The end of the pause is scheduled nevertheless.
        waiting = SnapshotWaiter()
        controller.waiting_room.request(waiting, controller.tree.gates["b"], None, 60)
        await waiting.ended.wait()
        assert waiting.told == [(Ending.OPENED, "open", None)]

    run(test)


def test_gates_that_could_not_be_updated_are_updated_by_a_later_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(controller_module, "_AGAIN_SECS", 0.01)

    async def test(controller: Controller, _: GatedStore) -> None:
        await controller.submit(Pause("a", "x", "op"))
        waiter = SnapshotWaiter()
        controller.waiting_room.request(waiter, controller.tree.gates["a"], None, 60)
        break_prepare(controller, 3)
        with pytest.raises(GatesBehind):
            await controller.submit(Resume("a", "op"))
        assert controller.core_state.records["a"].hold is None
        await waiter.ended.wait()
        assert waiter.told == [(Ending.OPENED, "open", None)]

    run(test)


@pytest.mark.parametrize("part", ["rehome", "changed", "tell", "count", "log", "plan", "reshape"])
def test_an_error_after_the_gates_changed_delays_no_request(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    def broken_steps(*_: object) -> Iterator[None]:
        yield
        raise RuntimeError("a bug")

    async def test(controller: Controller, _: GatedStore) -> None:
        await controller.submit(Pause("a", "x", "op"))
        waiter = SnapshotWaiter()
        controller.waiting_room.request(waiter, controller.tree.gates["a"], None, 60)
        home = {
            "rehome": (controller.waiting_room, "move_in", broken_steps),
            "changed": (controller.waiting_room, "notify_watchers", broken_steps),
            "tell": (controller.streams, "publish", broken_steps),
            "count": (controller._event_log, "count", broken_steps),
            "log": (controller._event_log, "log", broken),
            "plan": (controller._expiry_timer, "schedule", broken),
            "reshape": (controller, "on_structure_change", broken),
        }
        monkeypatch.setattr(*home[part])
        await asyncio.gather(controller.submit(Resume("a", "op")), controller.submit(Pause("b", "y", "op")))
        assert waiter.told == [(Ending.OPENED, "open", None)]
        assert controller.tree.gates["b"].closed
        assert not controller.waiting_room.reassigning
        assert sum(controller.counters.task_failures.counts.values()) > 0
        monkeypatch.undo()

    run(test)


def test_a_request_that_moves_during_shutdown_is_turned_away() -> None:
    async def test(controller: Controller, store: GatedStore) -> None:
        await controller.submit(Pause("", "x", "op"))
        await controller.submit(Pause("a", "x", "op"))
        await controller.submit(Resume("a", "op"))
        store.go.clear()
        store.committing.clear()
        forget = controller.submit(ForgetScopes(("a",)))
        await store.committing.wait()
        waiter, gate = SnapshotWaiter(), controller.tree.gates["a"]
        gate.requests += 1
        controller.waiting_room.request(waiter, gate, None, 60)
        controller.on_structure_change = lambda: controller.waiting_room.shut_down(
            list(controller.tree.gates.values())
        )
        store.go.set()
        await forget
        assert [ending for ending, *_ in waiter.told] == [Ending.SHUTTING_DOWN]
        assert (gate.blocked, gate.rejected, gate.waiting) == (1, 1, 0)

    run(test)


def test_a_command_whose_decision_fails_does_not_affect_others(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Transaction.apply_command

    def fail_midway(transaction: Transaction, command: Command, now: float) -> CommandOutcome:
        outcome = decide(transaction, command, now)
        if isinstance(command, Pause) and command.scope == "bad":
            message = "a bug"
            raise RuntimeError(message)
        return outcome

    monkeypatch.setattr(Transaction, "apply_command", fail_midway)

    async def test(controller: Controller, _: GatedStore) -> None:
        answers = [controller.submit(Pause(scope, "a test", "me")) for scope in ("one", "bad", "two")]
        one, bad, two = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 60)
        assert isinstance(bad, RuntimeError)
        assert one.events
        assert two.events
        assert controller.core_state.records.keys() >= {"one", "two"}
        assert "bad" not in controller.core_state.records, "the changes of the failed command are discarded"
        assert controller.counters.task_failures.counts["writer"] == 1

    run(test)


def test_commands_that_arrive_between_the_slices_of_a_change_come_after_it() -> None:
    async def test(controller: Controller, _: GatedStore) -> None:
        many = 1500
        await controller.submit(
            SetPolicies(PolicyTable(named=tuple(f"s/{number}" for number in range(many))))
        )
        gates = [controller.tree.gates[f"s/{number}"] for number in (0, many // 2, many - 1)]
        watcher, waiter = SnapshotWaiter(), SnapshotWaiter()
        controller.waiting_room.watch(watcher, gates[1], None, 60)
        pause = controller.submit(Pause("", "first", "op"))
        turns = 0
        while not any(gate.following for gate in gates):
            turns += 1
            await asyncio.sleep(0)
        assert turns, "the first change is staged later, and is not visible yet"
        resume = controller.submit(Resume("", "op"))
        again = controller.submit(Pause("s", "second", "op"))
        seen = []
        while not again.done():
            now = tuple(snapshot_of(gate, None).reason for gate in gates)
            if pause.done() and not resume.done() and gates[1].closed and not waiter.gate:
                controller.waiting_room.request(waiter, gates[1], None, 60)
            if not seen or seen[-1] != now:
                seen.append(now)
            await asyncio.sleep(0)
        assert [len(set(reasons)) for reasons in seen] == [1] * len(seen), (
            "a request sees all of a change or none of it"
        )
        # The resume and the second pause share a commit.
        assert [reasons[0] for reasons in seen if reasons[0]] == ["first", "second"]
        assert watcher.told == [(Ending.CHANGED, "closed", "first")]
        assert not waiter.told
        await controller.submit(Resume("s", "op"))
        assert [ending for ending, *_ in waiter.told] == [Ending.OPENED]
        assert not any(gate.following for gate in controller.tree.gates.values())

    run(test)
