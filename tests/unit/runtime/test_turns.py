"""Sidecars that change one scope at the same time take turns: each decides about twice, and no command is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from harness.shared_store import SharedData, SharedMemoryStore
from harness.virtual_time import VirtualClock, run_virtual
from sidecar.core.commands import ClaimState, Pause
from sidecar.core.policy import PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.runtime.fleet_controller import FleetController
from sidecar.runtime.turns import Turn
from sidecar.store import Conflict, LoggedCommit, Position

SIZE = 12


@asynccontextmanager
async def running_fleet(data: SharedData, delay: float) -> AsyncIterator[list[FleetController]]:
    clock = VirtualClock(asyncio.get_running_loop())
    fleet = []
    for number in range(SIZE):
        store = SharedMemoryStore(data, number)
        fleet.append(FleetController(PolicyTable(), store, clock=clock))
        await fleet[-1].start()
        store.delay = delay
    await asyncio.sleep(1.0)
    yield fleet
    for one in fleet:
        await one.stop()


async def claim_at_all(fleet: list[FleetController]) -> float:
    began = asyncio.get_running_loop().time()
    claims = [ClaimState("one", f"agent:{number}", WellbeingState.CAUTIOUS) for number in range(SIZE)]
    await asyncio.gather(*(one.submit(claim) for one, claim in zip(fleet, claims, strict=True)))
    return asyncio.get_running_loop().time() - began


def test_commands_of_all_sidecars_on_one_scope_conflict_once_each() -> None:
    async def main() -> None:
        data = SharedData()
        async with running_fleet(data, 0.001) as fleet:
            await claim_at_all(fleet)
            await asyncio.sleep(2.0)
            assert all(len(one.core_state.records["one"].signals) == SIZE for one in fleet)
            assert sum(one._fleet.conflicts for one in fleet) == SIZE - 1

    run_virtual(main)


def test_a_sidecar_that_stops_in_its_turn_delays_the_others_briefly() -> None:
    async def main() -> None:
        data = SharedData()
        async with running_fleet(data, 0.001) as fleet:
            data.turns["scope:one"] = dict.fromkeys(["stopped", "killed"])
            assert 0.4 <= await claim_at_all(fleet) < 0.8

    run_virtual(main)


def test_while_a_sidecar_waits_for_its_turn_other_scopes_close_and_commands_are_kept() -> None:
    async def main() -> None:
        data = SharedData()
        async with running_fleet(data, 0.001) as fleet:
            data.turns["scope:one"] = dict.fromkeys(range(100, 110))
            working = asyncio.ensure_future(claim_at_all(fleet))
            await asyncio.sleep(0.2)
            waiting = [one for one in fleet if one._turn is not None]
            assert len(waiting) > 1
            later = waiting[1].submit(Pause("team", "x", "me"))
            [idle] = [one for one in fleet if one._turn is None]
            await idle.submit(Pause("other", "x", "me"))
            assert waiting[0]._turn is not None
            assert waiting[0].tree.gates["other"].closed
            await working
            await later
            await asyncio.sleep(1.0)
            assert all(one.tree.gates["team"].closed for one in fleet)

    run_virtual(main)


def test_a_turn_counts_each_newer_commit_of_its_key_once() -> None:
    def commit(seq: int, text: bytes) -> LoggedCommit:
        return LoggedCommit(Position("e", seq), text, None)

    turn = Turn(Conflict(5, "source:alert:a", 2), 0.0)
    for seq, text in ((5, b'"alert:a"'), (6, b'"alert:b"'), (7, b'"alert:a"'), (7, b'"alert:a"')):
        turn.note(commit(seq, text), 1.0)
    assert turn.ahead == 1


async def commit_early(one: FleetController, two: FleetController) -> FleetController:
    """Let ``two`` apply its own commit before a commit of ``one``, which does not arrive. Return ``two``."""
    two._shared.held = True
    await one.submit(Pause("a", "x", "me"))
    await two.submit(Pause("b", "x", "me"))
    return two


def test_commits_before_an_own_one_are_read_from_the_log_if_they_do_not_arrive() -> None:
    """In that case the number of the newest known commit does not show that a commit is missing."""

    async def main() -> None:
        data = SharedData()
        async with running_fleet(data, 0.0) as fleet:
            two = await commit_early(fleet[0], fleet[1])
            assert "a" not in two.tree.gates
            assert two.tree.gates["b"].closed
            await asyncio.sleep(3.0)
            assert two.tree.gates["a"].closed
            assert not two._replica.early_to

    run_virtual(main)


@pytest.mark.parametrize("others", [0, 1, 2, 3])
def test_an_own_commit_that_was_applied_before_others_comes_back_if_the_store_loses_it(others: int) -> None:
    """Another sidecar's commit may have reused its number by then."""

    async def main() -> None:
        data = SharedData()
        async with running_fleet(data, 0.0) as fleet:
            two = await commit_early(fleet[0], fleet[1])
            assert two._replica.early_to
            data.go_back(2)
            for number in range(others):
                await fleet[0].submit(Pause(f"other{number}", "x", "me"))
            await asyncio.sleep(10.0)
            for each in fleet:
                for scope in ("a", "b", *(f"other{number}" for number in range(others))):
                    assert each.tree.gates[scope].closed, scope

    run_virtual(main)


def test_a_command_is_decided_in_time_if_its_turn_does_not_come() -> None:
    async def main() -> None:
        data = SharedData()
        async with running_fleet(data, 0.001) as fleet:
            one, two, *_ = fleet
            data.turns["scope:one"] = dict.fromkeys(range(100, 1_100))
            began = asyncio.get_running_loop().time()
            answers = await asyncio.gather(
                one.submit(Pause("one", "x", "me")),
                two.submit(Pause("one", "y", "me")),
                return_exceptions=True,
            )
            # The last attempt succeeds because no other sidecar commits.
            assert not [answer for answer in answers if isinstance(answer, Exception)]
            assert asyncio.get_running_loop().time() - began < 11.0

    run_virtual(main)
