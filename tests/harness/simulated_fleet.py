"""Controllers on one store in memory: any interleaving of commands, delays, losses and failures."""

from __future__ import annotations

import asyncio
from typing import Self

from hypothesis import strategies as st

from sidecar.core.commands import (
    AlertFired,
    AlertResolved,
    ClaimState,
    ForgetScopes,
    Pause,
    ReceiveAlerts,
    Resume,
)
from sidecar.core.events import HoldLifted, HoldPut
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.values import EMPTY
from sidecar.runtime.fleet_controller import FleetController
from sidecar.store import StoreUnavailable

from .shared_store import SharedData, SharedMemoryStore
from .virtual_time import VirtualClock
from .waiters import RecordingWaiter

SCOPES = ("", "team", "team/one", "team/two", "other")
POLICIES = PolicyTable(
    Policy(pause_on_distressed=True, max_pause_secs=30.0),
    (("team", Policy(pause_on_concerned=True, max_pause_secs=7.0, min_pause_secs=2.0)),),
)


class Fleet:
    def __init__(self, size: int, policies: PolicyTable = POLICIES) -> None:
        self.policies = policies
        self.data = SharedData()
        self.clock = VirtualClock(asyncio.get_running_loop())
        self.stores = [SharedMemoryStore(self.data, number) for number in range(size)]
        self.controllers: list[FleetController] = []
        self.operators: dict[str, bool] = {}
        self.claims: dict[tuple[str, str], WellbeingState] = {}
        self.lost = False
        self.forgets = False

    async def __aenter__(self) -> Self:
        self.stores[0].status.leader = True
        for store in self.stores:
            controller = FleetController(self.policies, store, clock=self.clock)
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
            case "forget", [scope]:
                self.forgets = True
                await controller.submit(ForgetScopes((scope,)))
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
                # Commands are stored after half a second, and answered half a second later.
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
            # The command was not acknowledged, so it may or may not take effect.
            self.operators.pop(step[2], None)
            self.claims.pop(tuple(step[2:4]), None)

    async def settle(self) -> None:
        for store in self.stores:
            store.held, store.delay, store.loses_answer, store.garbles = False, 0.0, False, False
        await self.pass_time(60.0)
        # Tombstones end after 60 s. Sidecars without a waiting caller apply that end a little later.
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
        # The counters of a scope are deleted when it is forgotten.
        if not (self.lost or self.forgets):
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
"""Of sidecars."""

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
