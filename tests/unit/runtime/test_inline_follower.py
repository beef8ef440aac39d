"""A sidecar applies a commit of another sidecar on receipt. If that is impossible, the writer applies it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from harness.shared_store import SharedData, SharedMemoryStore
from harness.virtual_time import VirtualClock, run_virtual
from harness.waiters import RecordingWaiter
from sidecar.core.commands import ClaimState, Pause, Resume
from sidecar.core.policy import PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.gates.gate import Ending
from sidecar.runtime.fleet_controller import FleetController


@asynccontextmanager
async def two_sidecars() -> AsyncIterator[tuple[FleetController, FleetController, list[bool]]]:
    """Two controllers, and whether the second one applied each received commit at once."""
    data = SharedData()
    clock = VirtualClock(asyncio.get_running_loop())
    stores = [SharedMemoryStore(data, number) for number in range(2)]
    one, two = (FleetController(PolicyTable(), store, clock=clock) for store in stores)
    taken: list[bool] = []
    apply_at_once = stores[1].on_commit
    stores[1].on_commit = lambda commit: taken.append(apply_at_once(commit)) or taken[-1]
    for controller in (one, two):
        await controller.start()
    await asyncio.sleep(1.0)
    taken.clear()
    yield one, two, taken
    for controller in (one, two):
        await controller.stop()


def closed(controller: FleetController, scope: str) -> bool:
    gate = controller.tree.gates.get(scope)
    return gate is not None and gate.closed


def test_a_small_commit_closes_the_gate_in_the_step_in_which_it_arrives() -> None:
    async def main() -> None:
        async with two_sidecars() as (one, two, taken):
            shown: list[bool] = []
            two.on_structure_change = lambda: shown.append(closed(two, "team"))
            await one.submit(Pause("team", "x", "me"))
            assert taken == [True]
            assert shown == [True]
            await asyncio.sleep(1.0)
            await one.submit(Resume("team", "me"))
            assert taken == [True, True]
            assert not closed(two, "team")

    run_virtual(main)


def test_a_commit_that_concerns_many_gates_is_left_to_the_writer() -> None:
    async def main() -> None:
        async with two_sidecars() as (one, two, taken):
            claims = [
                ClaimState(f"team/{number}", "agent:x", WellbeingState.CAUTIOUS) for number in range(500)
            ]
            await asyncio.gather(*(one.submit(claim) for claim in claims))
            await asyncio.sleep(1.0)
            assert len(two.tree.gates) > 500
            shown: list[bool] = []
            change = two._gate_updater.apply_at_once
            two._gate_updater.apply_at_once = lambda *args: shown.append(change(*args)) or shown[-1]
            await one.submit(Pause("", "x", "me"))
            await asyncio.sleep(1.0)
            assert taken[-1]
            assert shown == [False]
            assert all(gate.closed for gate in two.tree.gates.values())
            assert not sum(two.counters.task_failures.counts.values())

    run_virtual(main)


def fail_once(call: Callable) -> Callable:
    failures = [RuntimeError("a fault")]

    def first_fail(*args: object) -> object:
        if failures:
            raise failures.pop()
        return call(*args)

    return first_fail


@pytest.mark.parametrize("part", ["replica", "records", "tree"])
def test_a_commit_is_applied_again_after_an_error(part: str) -> None:
    async def main() -> None:
        async with two_sidecars() as (one, two, taken):
            if part == "replica":
                two._replica.apply = fail_once(two._replica.apply)
            elif part == "records":
                two._shown_records = fail_once(two._shown_records)
            else:
                two.tree.change_leaf = fail_once(two.tree.change_leaf)
            await one.submit(Pause("team", "x", "me"))
            assert taken == [True]
            await asyncio.sleep(2.0)
            assert closed(two, "team")
            assert sum(two.counters.task_failures.counts.values()) == 1
            await one.submit(Resume("team", "me"))
            await asyncio.sleep(1.0)
            assert not closed(two, "team")

    run_virtual(main)


def test_parked_requests_are_woken_even_if_the_commit_cannot_be_counted() -> None:
    def fails(_: object) -> None:
        raise RuntimeError("a fault of our own")

    async def main() -> None:
        async with two_sidecars() as (one, two, taken):
            await one.submit(Pause("team", "x", "me"))
            await asyncio.sleep(1.0)
            waiter = RecordingWaiter()
            gate, path = two.tree.find("team")
            assert two.waiting_room.request(waiter, gate, path, 60.0) is None
            two._count_changes = fails
            await one.submit(Resume("team", "me"))
            await asyncio.sleep(1.0)
            assert taken[-1]
            assert waiter.endings == [Ending.OPENED]
            assert two.counters.task_failures.counts["fleet_follower"] == 1

    run_virtual(main)
