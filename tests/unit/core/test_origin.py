"""The behaviours that users of the first controller know, by name."""

from __future__ import annotations

import dataclasses

import pytest

from sidecar.core.commands import ClaimState, Command, Expire, Pause, Resume, SetPolicies
from sidecar.core.events import HoldLifted, HoldPut, StateChanged
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.scope_update import next_deadline
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.core.values import HoldKind, LiftCause

CAUTIOUS, CONCERNED, DISTRESSED = WellbeingState.CAUTIOUS, WellbeingState.CONCERNED, WellbeingState.DISTRESSED
HEALTHY = WellbeingState.HEALTHY
SCOPE = "a/b"


class Story:
    """One core, told in commands."""

    def __init__(self, **policy) -> None:
        self.core_state = CoreState(PolicyTable(Policy(**policy)))
        self.now = 1000.0
        self.events = []

    def do(self, command: Command, after: float = 0.0):
        self.now += after
        transaction = Transaction(self.core_state)
        outcome = transaction.apply_command(command, self.now)
        self.core_state.apply(transaction)
        self.events += outcome.events
        return outcome

    def claim(
        self, state: WellbeingState, *, source: str = "x", after: float = 0.0, reason: str = "", ttl=None
    ):
        return self.do(ClaimState(SCOPE, f"agent:{source}", state, reason, ttl), after)

    def count(self, kind: type, **wanted) -> int:
        return sum(
            isinstance(event, kind) and all(getattr(event, key) == value for key, value in wanted.items())
            for event in self.events
        )

    @property
    def record(self):
        return self.core_state.records[SCOPE]


def test_default_config_never_pauses() -> None:
    story = Story()
    story.claim(DISTRESSED)
    assert story.record.hold is None
    assert story.count(StateChanged) == 1
    assert story.count(HoldPut) == 0


def test_manual_pause_and_resume() -> None:
    story = Story()
    story.do(Pause(SCOPE, "looking", "anna"))
    assert (story.record.manual.reason, story.record.manual.by, story.record.manual.until) == (
        "looking",
        "anna",
        1300,
    )
    story.do(Resume(SCOPE, "anna"))
    assert story.record.hold is None
    assert story.count(HoldLifted, resumed=True, cause=LiftCause.MANUAL) == 1


def test_auto_pause_on_distressed() -> None:
    story = Story(pause_on_distressed=True)
    story.claim(CONCERNED)
    assert story.record.hold is None
    story.claim(DISTRESSED, reason="lost")
    assert (story.record.auto.reason, story.record.auto.by) == ("lost", "agent:x")


@pytest.mark.parametrize("state", [CONCERNED, DISTRESSED])
def test_auto_pause_on_concerned_pauses_on_distressed_too(state: WellbeingState) -> None:
    story = Story(pause_on_concerned=True)
    story.claim(CAUTIOUS)
    assert story.record.hold is None
    story.claim(state)
    assert story.record.auto.reason == f"Agent entered {state.label} state"


def test_immediate_resume_on_recovery() -> None:
    story = Story(pause_on_distressed=True)
    story.claim(DISTRESSED)
    story.claim(CONCERNED)
    assert story.record.hold is None
    assert story.count(HoldLifted, resumed=True, cause=LiftCause.RECOVERED) == 1


def test_auto_resume_at_max_pause() -> None:
    story = Story(pause_on_distressed=True, max_pause_secs=10)
    story.claim(DISTRESSED)
    assert next_deadline(story.record, story.core_state.policies.defaults) == 1010
    story.do(Expire((SCOPE,)), after=9.9)
    assert story.record.auto
    story.do(Expire((SCOPE,)), after=0.1)
    assert story.record.hold is None
    assert story.count(HoldLifted, resumed=True, cause=LiftCause.MAX_PAUSE, at=1010) == 1


def test_max_pause_of_zero_never_ends() -> None:
    story = Story(pause_on_distressed=True, max_pause_secs=0)
    story.claim(DISTRESSED)
    story.do(Expire((SCOPE,)), after=1e8)
    assert story.record.auto


def test_not_enabled_ignores_signals_until_it_is() -> None:
    story = Story(enabled=False, pause_on_distressed=True)
    story.claim(DISTRESSED)
    assert (story.record.state, story.record.hold) == (HEALTHY, None)
    story.do(SetPolicies(PolicyTable(Policy(pause_on_distressed=True))))
    assert (story.record.state, story.record.auto is not None) == (DISTRESSED, True)


def test_an_improving_state_never_lifts_an_operators_hold() -> None:
    story = Story(pause_on_distressed=True)
    story.claim(DISTRESSED)
    story.do(Pause(SCOPE, "mine", "anna"))
    story.claim(HEALTHY)
    assert (story.record.auto, story.record.hold.kind) == (None, HoldKind.MANUAL)
    assert story.count(HoldLifted, resumed=True) == 0


def test_a_pause_is_never_seen_without_its_reason_and_start() -> None:
    story = Story(pause_on_distressed=True)
    story.claim(DISTRESSED)
    [put] = [event for event in story.events if isinstance(event, HoldPut)]
    assert put.hold is story.record.auto
    assert (put.hold.reason, put.hold.since) == ("Agent entered distressed state", 1000)
    with pytest.raises(dataclasses.FrozenInstanceError):
        put.hold.reason = ""


def test_renewing_a_pause_counts_no_second_one() -> None:
    story = Story()
    story.do(Pause(SCOPE, "one", "anna"))
    story.do(Pause(SCOPE, "two", "ben", max_pause_secs=0), after=5)
    manual = story.record.manual
    assert (manual.reason, manual.by, manual.since, manual.until) == ("two", "ben", 1000, None)
    assert story.count(HoldPut, paused=True) == 1


# -- episodes -----------------------------------------------------------------------------------------


def suppressed(**policy) -> Story:
    """A story whose episode is spent by max pause, at 1010."""
    story = Story(pause_on_concerned=True, max_pause_secs=10, **policy)
    story.claim(CONCERNED)
    story.do(Expire((SCOPE,)), after=10)
    assert story.record.episode.suppressed
    return story


def test_what_was_known_does_not_pause_again() -> None:
    story = suppressed()
    story.claim(CONCERNED, after=1)
    story.claim(HEALTHY, source="other")
    assert story.record.hold is None


def test_a_manual_resume_spends_the_episode_too() -> None:
    story = Story(pause_on_distressed=True)
    story.claim(DISTRESSED)
    story.do(Resume(SCOPE, "anna"))
    story.claim(DISTRESSED)
    assert story.record.hold is None


def test_a_new_signal_at_the_threshold_pauses_again() -> None:
    story = suppressed()
    story.claim(CONCERNED, source="y")
    assert story.record.auto.by == "agent:y"
    assert not story.record.episode.suppressed


def test_a_new_signal_below_the_threshold_does_not() -> None:
    story = suppressed()
    story.claim(CAUTIOUS, source="y")
    assert story.record.hold is None
    story.claim(CONCERNED, source="y")
    assert story.record.hold is None, "it is known by now"


def test_a_rise_above_what_paused_pauses_again() -> None:
    story = suppressed()
    story.claim(DISTRESSED)
    assert story.record.episode.level is DISTRESSED
    assert story.record.auto


def test_a_new_episode_pauses_again() -> None:
    story = suppressed()
    story.claim(HEALTHY)
    assert story.record.episode is None
    story.claim(CONCERNED)
    assert story.record.auto


def test_a_source_that_left_and_came_back_is_known() -> None:
    story = Story(pause_on_distressed=True, max_pause_secs=10)
    story.claim(DISTRESSED, source="x")
    story.claim(DISTRESSED, source="y")
    story.do(Expire((SCOPE,)), after=10)
    story.claim(HEALTHY, source="y")
    story.claim(DISTRESSED, source="y")
    assert story.record.hold is None


# -- time ---------------------------------------------------------------------------------------------


def test_min_pause_keeps_an_auto_hold_but_not_from_an_operator() -> None:
    story = Story(pause_on_distressed=True, min_pause_secs=30)
    story.claim(DISTRESSED)
    story.claim(HEALTHY, after=1)
    assert story.record.auto
    assert next_deadline(story.record, story.core_state.policies.defaults) == 1030
    story.do(Expire((SCOPE,)), after=29)
    assert story.record.hold is None
    story.claim(DISTRESSED)
    story.claim(HEALTHY)
    story.do(Resume(SCOPE, "anna"))
    assert story.record.hold is None


def test_a_relapse_within_min_pause_goes_on_with_the_same_hold() -> None:
    story = Story(pause_on_distressed=True, min_pause_secs=30)
    story.claim(DISTRESSED)
    story.claim(HEALTHY, after=1)
    story.claim(DISTRESSED, after=1)
    assert story.count(HoldPut) == 1
    story.do(Expire((SCOPE,)), after=100)
    assert story.record.auto


def test_what_expired_long_ago_is_lifted_when_it_was_due_in_order() -> None:
    story = Story(pause_on_distressed=True, max_pause_secs=100)
    story.claim(DISTRESSED, ttl=50)
    story.do(Pause(SCOPE, "mine", "anna", max_pause_secs=70))
    story.do(Expire((SCOPE,)), after=10_000)
    lifted = [(event.at, event.cause) for event in story.events if isinstance(event, HoldLifted)]
    assert lifted == [(1050, LiftCause.EXPIRED), (1070, LiftCause.MAX_PAUSE)]
    assert story.record.is_empty
