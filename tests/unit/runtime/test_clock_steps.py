"""Steps of the wall clock: times written before a step are shifted, times written after it are not."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.examples import examples
from sidecar.core.commands import AlertResolved, ClaimState, Expire, Pause, ReceiveAlerts, Resume
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.values import Hold, HoldKind, ScopeRecord
from sidecar.runtime.controller import Controller
from sidecar.store import Batch, MemoryStore, StoredState, StoreUnavailable

POLICIES = PolicyTable(Policy(pause_on_distressed=True, max_pause_secs=300.0))
AT = 1_700_000_000.0


class ManualClock:
    def __init__(self) -> None:
        self.passed = 1000.0
        self.set_by = 0.0

    def now(self) -> float:
        return AT + self.passed + self.set_by

    def monotonic(self) -> float:
        return self.passed


class Store(MemoryStore):
    """A store that records its commits and can be unavailable."""

    def __init__(self, state: StoredState | None = None) -> None:
        super().__init__()
        self.state = state
        self.down = False

    async def load(self, now: float) -> StoredState:
        return self.state or await super().load(now)

    async def commit(self, batch: Batch) -> None:
        if self.down:
            raise StoreUnavailable("down")
        await super().commit(batch)


def run(story, state: StoredState | None = None, clock: ManualClock | None = None) -> None:
    async def tell() -> None:
        own = clock or ManualClock()
        store = Store(state)
        controller = Controller(POLICIES, store, clock=own)
        await controller.start()
        try:
            await story(controller, own, store)
        finally:
            await controller.stop()

    asyncio.run(tell())


async def let_pass(controller: Controller, clock: ManualClock, secs: float) -> None:
    clock.passed += secs
    await controller.submit(Expire(tuple(controller.core_state.records)))


def closed(controller: Controller) -> dict[str, bool]:
    return {scope: gate.closed for scope, gate in controller.tree.gates.items() if scope}


@pytest.mark.parametrize("steps", [(-600.0,), (-10.0, -600.0), (600.0, -1200.0), (-600.0, 600.0, -600.0)])
def test_a_hold_put_right_after_a_backward_step_keeps_its_full_duration(steps) -> None:
    async def story(controller: Controller, clock: ManualClock, _: Store) -> None:
        for index, step in enumerate(steps):
            clock.set_by += step
            await controller.submit(Pause(f"p{index}", "right after the step", "op", 300.0))
            await controller.submit(
                ClaimState(f"c{index}", "agent:x", WellbeingState.DISTRESSED, "hurts", 300.0)
            )
        last = len(steps) - 1
        await let_pass(controller, clock, 299.0)
        gates = closed(controller)
        assert gates[f"p{last}"]
        assert gates[f"c{last}"]
        await let_pass(controller, clock, 2.0)
        assert not any(closed(controller).values())

    run(story)


def test_a_tick_after_the_step_shifts_expiries_once() -> None:
    async def story(controller: Controller, clock: ManualClock, _: Store) -> None:
        await controller.submit(Pause("before", "why", "op", 300.0))
        clock.set_by = -600.0
        await controller.submit(Pause("after", "why", "op", 300.0))
        controller._tick()
        await controller.submit(Expire(()))
        controller._tick()
        await controller.submit(Expire(()))
        await let_pass(controller, clock, 299.0)
        assert closed(controller) == {"before": True, "after": True}
        await let_pass(controller, clock, 2.0)
        assert closed(controller) == {"before": False, "after": False}

    run(story)


def test_a_tick_alone_shifts_existing_expiries() -> None:
    async def story(controller: Controller, clock: ManualClock, _: Store) -> None:
        await controller.submit(Pause("a", "why", "op", 300.0))
        clock.set_by = -3600.0
        controller._tick()
        await controller.submit(Expire(()))
        assert controller.core_state.records["a"].manual.until == pytest.approx(clock.now() + 300.0)

    run(story)


def test_a_backward_step_while_the_store_is_down_is_applied_once() -> None:
    async def story(controller: Controller, clock: ManualClock, store: Store) -> None:
        await controller.submit(Pause("a", "why", "op", 300.0))
        store.down = True
        clock.set_by = -600.0
        with pytest.raises(StoreUnavailable):
            await controller.submit(Pause("b", "why", "op", 300.0))
        controller._tick()
        store.down = False
        await controller.submit(Pause("c", "why", "op", 300.0))
        await let_pass(controller, clock, 299.0)
        assert closed(controller) == {"a": True, "c": True}
        await let_pass(controller, clock, 2.0)
        assert closed(controller) == {"a": False, "c": False}

    run(story)


def test_a_backward_step_while_the_sidecar_was_down_shifts_stored_expiries(caplog) -> None:
    caplog.set_level(logging.WARNING)
    clock = ManualClock()
    hold = Hold(HoldKind.MANUAL, "why", clock.now() + 590.0, clock.now() + 890.0, "op")
    kept = StoredState({"a": ScopeRecord(manual=hold)}, last_written_at=clock.now() + 600.0)

    async def story(controller: Controller, own: ManualClock, _: Store) -> None:
        await controller.submit(Pause("b", "why", "op", 300.0))
        assert controller.core_state.records["a"].manual == replace(
            hold, since=pytest.approx(hold.since - 600.0), until=pytest.approx(hold.until - 600.0)
        )
        assert controller.core_state.records["b"].manual.until == pytest.approx(own.now() + 300.0)
        assert caplog.messages == ["clock_went_back"]

    run(story, kept, clock)


def test_a_backward_step_shifts_the_tombstones_of_alerts() -> None:
    async def story(controller: Controller, clock: ManualClock, _: Store) -> None:
        resolved = AlertResolved("alert:a", 5.0, clock.now() + 900.0)
        await controller.submit(ReceiveAlerts((resolved,)))
        clock.set_by = -86_400.0
        controller._tick()
        await controller.submit(Expire(()))
        tombstone = controller.core_state.tombstones["alert:a"]
        assert (tombstone.ended_at, tombstone.received_at) == (5.0, pytest.approx(clock.now()))
        clock.passed += 901.0
        await controller.submit(Expire(()))
        assert controller.core_state.tombstones == {}

    run(story)


def test_after_a_suspension_of_the_machine_overdue_holds_have_expired(caplog) -> None:
    async def story(controller: Controller, clock: ManualClock, _: Store) -> None:
        await controller.submit(Pause("a", "why", "op", 300.0))
        # The monotonic clock stops while a machine sleeps.
        clock.set_by = 400.0
        controller._tick()
        await controller.submit(Expire(("a",)))
        assert closed(controller) == {"a": False}
        assert "clock_went_forward" in caplog.messages

    run(story)


moves = st.one_of(
    st.tuples(st.just("pause"), st.sampled_from("ab"), st.sampled_from([5.0, 100.0, 1000.0])),
    st.tuples(st.just("resume"), st.sampled_from("ab"), st.just(0.0)),
    st.tuples(st.just("pass"), st.just(""), st.sampled_from([0.5, 4.0, 60.0])),
    st.tuples(st.just("set"), st.just(""), st.sampled_from([-3600.0, -60.0, -2.0, 30.0, 600.0])),
    st.tuples(st.just("tick"), st.just(""), st.just(0.0)),
)


@settings(max_examples=examples(25))
@given(st.lists(moves, max_size=25))
def test_a_pause_lasts_its_full_duration_whatever_the_clock_does(sequence) -> None:
    """A step back does not change the remaining time; a step forward counts as time that has passed."""
    left: dict[str, float] = {}

    def passes(secs: float) -> None:
        for scope in left:
            left[scope] -= secs

    async def story(controller: Controller, clock: ManualClock, _: Store) -> None:
        for what, scope, secs in sequence:
            if what == "pause":
                await controller.submit(Pause(scope, "why", "op", secs))
                left[scope] = secs
            elif what == "resume":
                await controller.submit(Resume(scope, "op"))
                left.pop(scope, None)
            elif what == "pass":
                clock.passed += secs
                passes(secs)
            elif what == "set":
                clock.set_by += secs
                if secs > 0:
                    passes(secs)
                    # Two steps without a check in between count as one.
                    controller._tick()
                else:
                    await controller.submit(Expire(()))
            else:
                controller._tick()
            await controller.submit(Expire(tuple(controller.core_state.records)))
            for gone in [one for one, secs in left.items() if secs <= 0]:
                del left[gone]
            standing = {
                one: record.manual.until - clock.now()
                for one, record in controller.core_state.records.items()
                if record.manual
            }
            assert standing == {one: pytest.approx(secs, abs=1e-3) for one, secs in left.items()}

    run(story)
