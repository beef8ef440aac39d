"""Several controllers on one store: for any interleaving and any lost messages, all reach one state, and
nothing acknowledged is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.examples import examples
from harness.simulated_fleet import SCOPES, Fleet, numbers, troubles
from harness.virtual_time import run_virtual
from sidecar.core.commands import AlertResolved, Pause, ReceiveAlerts
from sidecar.runtime import record_patches
from sidecar.store import HistoryQuery, StoredState, StoreUnavailable


@pytest.fixture(autouse=True, scope="module")
def many_signals() -> Iterator[None]:
    """Set the limit for patches to two signals, so that most records are announced as patches."""
    before, record_patches.MANY_SIGNALS = record_patches.MANY_SIGNALS, 2
    yield
    record_patches.MANY_SIGNALS = before


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


@pytest.mark.parametrize("seed", range(8))
def test_a_claim_that_one_sidecar_did_not_know_before_two_losses_is_kept(seed: int) -> None:
    """That sidecar restores the older claim. The others wait for a random time, and then know both."""
    random.seed(seed)
    amid = ("amid", ("wipe",), ("claim", 2, "other", "b", 3), ("claim", 0, "team/two", "b", 2))
    after = [("claim", 3, "", "a", 3), ("wipe",), ("claim", 1, "team/two", "b", 0)]
    play(3, [("back", 1), ("claim", 2, "other", "b", 2), amid, *after])


def test_a_claim_that_was_lost_before_newer_commits_were_lost_is_kept() -> None:
    """The newer commits do not contain the claim, although their numbers are higher."""
    amid = ("amid", ("back", 1), ("pause", 0, ""), ("claim", 1, "team", "a", 2))
    for _ in range(3):
        play(2, [("wipe",), amid, ("amid", ("wipe",), ("pause", 0, "team"))])


def test_a_pause_that_reuses_the_number_of_a_lost_commit_is_kept() -> None:
    amid = ("amid", ("back", 2), ("resume", 1, "team"), ("claim", 0, "team/one", "b", 0))
    before = [("fire", 1, "team/two", "y"), amid, ("pause", 0, "team/one"), ("time", 9.0)]
    play(3, [*before, ("back", 2), ("resume", 0, "team")])


def test_a_pause_with_the_number_of_the_only_commit_that_a_sidecar_knew_is_kept() -> None:
    """After the wipe, the third sidecar knows one commit. That one is lost, and the pause gets its number."""
    before = [("pause", 0, ""), ("together", ("pause", 0, "team/one"), ("resume", 0, ""))]
    play(3, [*before, ("wipe",), ("pause", 1, "other"), ("back", 1), ("pause", 0, "")])


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_hold_whose_end_passed_during_its_commit_ends(size: int) -> None:
    """The alert moves to the root before ``min_pause_secs`` of the team ends. The commit is stored after that end."""
    alert = [("fire", 0, "team", "z"), ("time", 1.5), *(("delay", number, 0.5) for number in range(size))]
    play(size, [*alert, ("fire", size - 1, "", "z")])


def test_a_hold_that_a_loss_of_the_store_brings_back_ends() -> None:
    play(2, [("fire", 0, "team", "x"), ("amid", ("wipe",)), ("fire", 0, "team/one", "x")])


def test_a_resume_after_a_loss_is_stored_before_another_sidecar_restores_the_pause() -> None:
    play(2, [("pause", 0, ""), ("wipe",), ("down", 0.5), ("resume", 0, "")])


def test_lost_records_are_written_again_after_a_failure() -> None:
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
