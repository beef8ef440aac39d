"""Several controllers on one store: for any interleaving and any lost messages, all reach one state, and
nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from typing import Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.examples import examples
from harness.shared_store import SharedData, SharedMemoryStore
from harness.virtual_time import VirtualClock, run_virtual
from harness.waiters import RecordingWaiter
from sidecar.core.commands import AlertFired, AlertResolved, ClaimState, Pause, ReceiveAlerts, Resume
from sidecar.core.events import HoldLifted, HoldPut
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.values import EMPTY
from sidecar.runtime.fleet_controller import FleetController
from sidecar.store import HistoryQuery, StoredState, StoreUnavailable

SCOPES = ("", "team", "team/one", "team/two", "other")
POLICIES = PolicyTable(
    Policy(pause_on_distressed=True, max_pause_secs=30.0),
    (("team", Policy(pause_on_concerned=True, max_pause_secs=7.0, min_pause_secs=2.0)),),
)


class Fleet:
    def __init__(self, size: int) -> None:
        self.data = SharedData()
        self.clock = VirtualClock(asyncio.get_running_loop())
        self.stores = [SharedMemoryStore(self.data, number) for number in range(size)]
        self.controllers: list[FleetController] = []
        self.operators: dict[str, bool] = {}
        self.claims: dict[tuple[str, str], WellbeingState] = {}
        self.lost = False

    async def __aenter__(self) -> Self:
        self.stores[0].status.leader = True
        for store in self.stores:
            controller = FleetController(POLICIES, store, clock=self.clock)
            await controller.start()
            self.controllers.append(controller)
        return self

    async def __aexit__(self, *_: object) -> None:
        for controller in self.controllers:
            await controller.stop()

    def check(self) -> None:
        for store in self.stores:
            store.check()

    async def pass_time(self, secs: float) -> None:
        for _ in range(max(1, int(secs))):
            await asyncio.sleep(min(secs, 1.0))
            self.check()

    async def command(self, step: tuple) -> None:
        kind, number, *rest = step
        controller = self.controllers[number % len(self.controllers)]
        now = self.clock.now()
        match kind, rest:
            case "pause", [scope]:
                await controller.submit(Pause(scope, "operator", "me", 0.0))
                self.operators[scope] = True
            case "resume", [scope]:
                await controller.submit(Resume(scope, "me"))
                self.operators[scope] = False
            case "claim", [scope, agent, state]:
                await controller.submit(ClaimState(scope, f"agent:{agent}", WellbeingState(state)))
                self.claims[scope, agent] = WellbeingState(state)
            case "fire", [scope, alert]:
                fired = AlertFired(
                    f"alert:{alert}", scope, WellbeingState.DISTRESSED, "x", now, now + 20, "", "A"
                )
                await controller.submit(ReceiveAlerts((fired,)))
            case "resolve", [_, alert]:
                await controller.submit(ReceiveAlerts((AlertResolved(f"alert:{alert}", now, now + 60),)))
            case "park", [scope]:
                gate, path = controller.tree.find(scope)
                gate.requests += 1
                if gate.closed:
                    controller.waiting_room.request(RecordingWaiter(), gate, path, 3.0)

    async def step(self, step: tuple) -> None:
        match step:
            case "together", *commands:
                before = dict(self.operators), dict(self.claims)
                await asyncio.gather(*(self.quietly(one) for one in commands))
                for known, then in zip((self.operators, self.claims), before, strict=True):
                    keys = [tuple(one[2:4]) if one[0] == "claim" else one[2] for one in commands]
                    for key in set(keys):
                        if keys.count(key) > 1:
                            # Either order is correct.
                            known.pop(key, None)
                            then.pop(key, None)
            case "hold", number:
                self.stores[number % len(self.stores)].held ^= True
            case "delay", number, secs:
                self.stores[number % len(self.stores)].delay = secs
            case "unanswered", number:
                self.stores[number % len(self.stores)].loses_answer = True
            case "garble", number:
                self.stores[number % len(self.stores)].garbles = True
            case "amid", loss, *commands:
                for store in self.stores:
                    store.delay = 0.5
                working = asyncio.gather(*(self.quietly(one) for one in commands))
                # They are stored after half a second, and answered after another half.
                await asyncio.sleep(0.7)
                await self.step(loss)
                await working
            case "lose", number:
                self.stores[number % len(self.stores)].inbox.clear()
            case "down", secs:
                self.data.up = False
                self.check()
                await self.pass_time(secs)
                self.data.up = True
                self.check()
            case ("trim",):
                self.data.trimmed = len(self.data.log)
            case ("wipe",):
                self.lost = True
                self.data.wipe()
            case "back", commits:
                self.lost = True
                self.data.go_back(commits)
            case "lead", number:
                for store in self.stores:
                    store.status.leader = False
                    store.on_status()
                self.stores[number % len(self.stores)].status.leader = True
                self.check()
            case "time", secs:
                await self.pass_time(secs)
            case _:
                await self.quietly(step)

    async def quietly(self, step: tuple) -> None:
        try:
            await self.command(step)
        except StoreUnavailable:
            # Not acknowledged, so it may or may not take effect.
            self.operators.pop(step[2], None)
            self.claims.pop(tuple(step[2:4]), None)

    async def settle(self) -> None:
        for store in self.stores:
            store.held, store.delay, store.loses_answer, store.garbles = False, 0.0, False, False
        await self.pass_time(60.0)
        # Tombstones end after 60 s. Sidecars for which nobody waits apply it a little later.
        await asyncio.sleep(0.1)
        self.check()
        await asyncio.sleep(0.1)

    def verify(self) -> None:
        wanted = {scope: record for scope, record in self.data.records.items() if record != EMPTY}
        for controller in self.controllers:
            here = {s: r for s, r in controller.core_state.records.items() if r != EMPTY}
            assert here == wanted
            assert dict(controller.core_state.tombstones) == self.data.tombstones
            for gate in controller.tree.gates.values():
                assert gate.record == controller.core_state.records[gate.scope]
                holds = [controller.core_state.records.get(s) for s in _line(gate.scope)]
                assert gate.closed == any(r is not None and r.hold is not None for r in holds)
                ended = gate.waited + gate.timed_out + gate.abandoned + gate.rejected
                assert gate.blocked == ended + gate.waiting
            sources = {
                source: scope
                for scope, record in controller.core_state.records.items()
                for source, signal in record.signals.items()
                if signal.kind == "alert"
            }
            assert sources == controller.core_state.scope_by_alert
            assert not sum(controller.counters.task_failures.counts.values())
        for scope, paused in self.operators.items():
            record = wanted.get(scope, EMPTY)
            if paused or not self.lost:
                assert (record.manual is not None) == paused, scope
        for (scope, agent), state in self.claims.items():
            signal = wanted.get(scope, EMPTY).signals.get(f"agent:{agent}")
            if state or not self.lost:
                assert (signal.state if signal else WellbeingState.HEALTHY) == state, (scope, agent)
        if not self.lost:
            committed = [event for _, batch in self.data.log for event in batch.events]
            pauses = sum(1 for event in committed if isinstance(event, HoldPut) and event.paused)
            resumes = sum(1 for event in committed if isinstance(event, HoldLifted) and event.resumed)
            gates = [gate for one in self.controllers for gate in one.tree.gates.values()]
            assert sum(sum(gate.pauses.values()) for gate in gates) == pauses
            assert sum(sum(gate.resumes.values()) for gate in gates) == resumes


def _line(scope: str) -> list[str]:
    line = [""]
    for part in scope.split("/") if scope else []:
        line.append(f"{line[-1]}/{part}".lstrip("/"))
    return line


numbers = st.integers(0, 3)
scopes = st.sampled_from(SCOPES)
commands = st.one_of(
    st.tuples(st.just("pause"), numbers, scopes),
    st.tuples(st.just("resume"), numbers, scopes),
    st.tuples(st.just("claim"), numbers, scopes, st.sampled_from("ab"), st.sampled_from([0, 2, 3])),
    st.tuples(st.just("fire"), numbers, scopes, st.sampled_from("xyz")),
    st.tuples(st.just("resolve"), numbers, scopes, st.sampled_from("xyz")),
    st.tuples(st.just("park"), numbers, scopes),
)
together = st.lists(commands, min_size=2, max_size=5).map(lambda some: ("together", *some))
troubles = st.one_of(
    st.tuples(st.just("hold"), numbers),
    st.tuples(st.just("lose"), numbers),
    st.tuples(st.just("unanswered"), numbers),
    st.tuples(st.just("garble"), numbers),
    st.tuples(st.just("delay"), numbers, st.sampled_from([0.01, 0.5])),
    st.tuples(st.just("down"), st.sampled_from([0.5, 4.0, 40.0])),
    st.tuples(st.just("lead"), numbers),
    st.tuples(st.just("time"), st.sampled_from([0.1, 1.5, 9.0])),
    st.just(("trim",)),
)
losses = st.one_of(st.just(("wipe",)), st.tuples(st.just("back"), st.integers(1, 3)))
amid = st.tuples(losses, st.lists(commands, min_size=1, max_size=3, unique_by=lambda one: one[2])).map(
    lambda both: ("amid", both[0], *both[1])
)


def play(size: int, steps: list[tuple]) -> None:
    async def main() -> None:
        async with Fleet(size) as fleet:
            for step in steps:
                await fleet.step(step)
            await fleet.settle()
            fleet.verify()

    run_virtual(main)


relaxed = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(size=st.integers(2, 4), steps=st.lists(st.one_of(commands, together, troubles), max_size=25))
def test_all_sidecars_reach_the_same_state_and_no_acknowledged_change_is_lost(
    size: int, steps: list[tuple]
) -> None:
    play(size, steps)


@relaxed
@given(
    size=st.integers(2, 3),
    before=st.lists(st.one_of(commands, together), min_size=1, max_size=12),
    loss=st.one_of(losses, amid),
    after=st.lists(st.one_of(commands, troubles, losses), max_size=8),
)
def test_changes_that_the_store_lost_are_restored(
    size: int, before: list[tuple], loss: tuple, after: list[tuple]
) -> None:
    play(size, [*before, loss, *after])


def test_a_claim_after_two_losses_of_the_store_is_kept() -> None:
    """Between the losses, one sidecar loads the state twice while it owes the store a withdrawn claim."""
    before = [("claim", 0, "team", "b", 3), ("pause", 0, "")]
    losses = [("amid", ("back", 2), ("claim", 1, "team", "b", 0)), ("wipe",), ("lead", 0)]
    play(2, [*before, *losses, ("claim", 1, "team", "b", 3)])


def test_a_pause_whose_number_was_that_of_a_commit_lost_before_is_kept() -> None:
    amid = ("amid", ("back", 2), ("resume", 1, "team"), ("claim", 0, "team/one", "b", 0))
    before = [("fire", 1, "team/two", "y"), amid, ("pause", 0, "team/one"), ("time", 9.0)]
    play(3, [*before, ("back", 2), ("resume", 0, "team")])


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_hold_whose_end_passed_during_its_commit_ends(size: int) -> None:
    """The alert moves to the root before ``min_pause_secs`` of the team are over, and is stored after."""
    alert = [("fire", 0, "team", "z"), ("time", 1.5), *(("delay", number, 0.5) for number in range(size))]
    play(size, [*alert, ("fire", size - 1, "", "z")])


def test_a_hold_that_a_loss_of_the_store_brings_back_ends() -> None:
    play(2, [("fire", 0, "team", "x"), ("amid", ("wipe",)), ("fire", 0, "team/one", "x")])


def test_a_resume_after_a_loss_is_stored_before_another_sidecar_restores_the_pause() -> None:
    play(2, [("pause", 0, ""), ("wipe",), ("down", 0.5), ("resume", 0, "")])


def test_what_the_store_lost_is_written_again_after_a_failure() -> None:
    """The sidecars that have the tombstone try to write it at a random time, perhaps while the store is down."""
    amid = ("amid", ("wipe",), ("resolve", 1, "", "x"), ("fire", 0, "team", "x"))
    for _ in range(10):
        play(3, [("pause", 0, ""), amid, ("down", 0.5)])


def test_a_commit_whose_response_was_lost_is_counted_once() -> None:
    steps = [("unanswered", 0), ("pause", 0, "team"), ("time", 1.5), ("resume", 1, "team")]
    play(2, [*steps, ("unanswered", 0), ("pause", 0, "other"), ("trim",), ("time", 1.5)])


def test_the_leader_records_once_that_the_store_was_down() -> None:
    async def main() -> None:
        async with Fleet(3) as fleet:
            told = []
            for number, controller in enumerate(fleet.controllers):
                controller.on_store_down = lambda note, number=number: told.append((number, note.new))
            await fleet.step(("down", 40.0))
            await fleet.settle()
            assert told == [(0, "down")]
            notes = [e for e in await fleet.controllers[1].history(HistoryQuery()) if e.kind == "store"]
            assert [(note.old, note.new) for note in notes] == [("down", "up"), ("up", "down")]
            assert notes[0].at - notes[1].at >= 39.0

    run_virtual(main)


def test_the_leader_learns_of_a_resolve_that_a_blind_sidecar_held_back() -> None:
    async def main() -> None:
        async with Fleet(2) as fleet:
            leader, other = fleet.controllers
            held = []
            leader.on_resolves_held = lambda: held.append("leader")
            other.on_resolves_held = lambda: held.append("other")
            await fleet.step(("fire", 0, "team", "x"))
            await fleet.pass_time(1.0)
            now = fleet.clock.now()
            await other.submit(ReceiveAlerts((AlertResolved("alert:x", now, now + 60),), blind=True))
            await fleet.pass_time(1.0)
            assert held == ["leader"]

    run_virtual(main)


def test_a_commit_that_cannot_be_parsed_is_reported_even_if_the_next_load_fails() -> None:
    async def main() -> None:
        async with Fleet(2) as fleet:
            one, other = fleet.controllers
            store = fleet.stores[1]
            load, tries = store.load, []

            async def fail_first(now: float) -> StoredState:
                tries.append(now)
                if len(tries) == 1:
                    raise StoreUnavailable("not now")
                return await load(now)

            store.load, store.garbles = fail_first, True
            await one.submit(Pause("team", "x", "me", 0.0))
            await fleet.pass_time(5.0)
            # No other commit follows.
            assert other.tree.gates["team"].closed
            assert len(tries) == 2

    run_virtual(main)
