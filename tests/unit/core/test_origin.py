"""The behaviours of the first controller, one test for each."""

from __future__ import annotations

import dataclasses

import pytest

from sidecar.core.commands import ClaimState, Command, Expire, Pause, Resume, SetPolicies
from sidecar.core.deadlines import next_deadline
from sidecar.core.events import HoldLifted, HoldPut, StateChanged
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.core.values import HoldKind, LiftCause

CAUTIOUS, CONCERNED, DISTRESSED = WellbeingState.CAUTIOUS, WellbeingState.CONCERNED, WellbeingState.DISTRESSED
HEALTHY = WellbeingState.HEALTHY
SCOPE = "a/b"


class Driver:
    """Applies commands to one core, with a clock that the test moves."""

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


def test_the_default_config_never_pauses() -> None:
    driver = Driver()
    driver.claim(DISTRESSED)
    assert driver.record.hold is None
    assert driver.count(StateChanged) == 1
    assert driver.count(HoldPut, paused=True) == 0


def test_an_operator_pauses_and_resumes() -> None:
    driver = Driver()
    driver.do(Pause(SCOPE, "looking", "anna"))
    assert (driver.record.manual.reason, driver.record.manual.by, driver.record.manual.until) == (
        "looking",
        "anna",
        1300,
    )
    driver.do(Resume(SCOPE, "anna"))
    assert driver.record.hold is None
    assert driver.count(HoldLifted, resumed=True, cause=LiftCause.MANUAL) == 1


def test_pause_on_distressed_pauses_a_distressed_scope() -> None:
    driver = Driver(pause_on_distressed=True)
    driver.claim(CONCERNED)
    assert driver.record.hold is None
    driver.claim(DISTRESSED, reason="lost")
    assert (driver.record.auto.reason, driver.record.auto.by) == ("lost", "agent:x")


@pytest.mark.parametrize("state", [CONCERNED, DISTRESSED])
def test_pause_on_concerned_pauses_a_distressed_scope_too(state: WellbeingState) -> None:
    driver = Driver(pause_on_concerned=True)
    driver.claim(CAUTIOUS)
    assert driver.record.hold is None
    driver.claim(state)
    assert driver.record.auto.reason == f"Agent entered {state.label} state"


def test_a_recovery_resumes_immediately() -> None:
    driver = Driver(pause_on_distressed=True)
    driver.claim(DISTRESSED)
    driver.claim(CONCERNED)
    assert driver.record.hold is None
    assert driver.count(HoldLifted, resumed=True, cause=LiftCause.RECOVERED) == 1


def test_a_pause_ends_at_max_pause() -> None:
    driver = Driver(pause_on_distressed=True, max_pause_secs=10)
    driver.claim(DISTRESSED)
    assert next_deadline(driver.record, driver.core_state.policies.defaults, 0.0) == 1010
    driver.do(Expire((SCOPE,)), after=9.9)
    assert driver.record.auto
    driver.do(Expire((SCOPE,)), after=0.1)
    assert driver.record.hold is None
    assert driver.count(HoldLifted, resumed=True, cause=LiftCause.MAX_PAUSE, at=1010) == 1


def test_a_pause_with_a_max_pause_of_zero_never_ends() -> None:
    driver = Driver(pause_on_distressed=True, max_pause_secs=0)
    driver.claim(DISTRESSED)
    driver.do(Expire((SCOPE,)), after=1e8)
    assert driver.record.auto


def test_a_policy_that_is_not_enabled_ignores_signals_until_it_is_enabled() -> None:
    driver = Driver(enabled=False, pause_on_distressed=True)
    driver.claim(DISTRESSED)
    assert (driver.record.state, driver.record.hold) == (HEALTHY, None)
    driver.do(SetPolicies(PolicyTable(Policy(pause_on_distressed=True))))
    assert (driver.record.state, driver.record.auto is not None) == (DISTRESSED, True)


def test_an_improving_state_never_lifts_an_operators_hold() -> None:
    driver = Driver(pause_on_distressed=True)
    driver.claim(DISTRESSED)
    driver.do(Pause(SCOPE, "mine", "anna"))
    driver.claim(HEALTHY)
    assert (driver.record.auto, driver.record.hold.kind) == (None, HoldKind.MANUAL)
    assert driver.count(HoldLifted, resumed=True) == 0


def test_a_pause_is_never_seen_without_its_reason_and_start() -> None:
    driver = Driver(pause_on_distressed=True)
    driver.claim(DISTRESSED)
    [put] = [event for event in driver.events if isinstance(event, HoldPut)]
    assert put.hold is driver.record.auto
    assert (put.hold.reason, put.hold.since) == ("Agent entered distressed state", 1000)
    with pytest.raises(dataclasses.FrozenInstanceError):
        put.hold.reason = ""


def test_renewing_a_pause_counts_no_second_one() -> None:
    driver = Driver()
    driver.do(Pause(SCOPE, "one", "anna"))
    driver.do(Pause(SCOPE, "two", "ben", max_pause_secs=0), after=5)
    manual = driver.record.manual
    assert (manual.reason, manual.by, manual.since, manual.until) == ("two", "ben", 1000, None)
    assert driver.count(HoldPut, paused=True) == 1


# -- episodes -----------------------------------------------------------------------------------------


def driver_with_suppressed_episode(**policy) -> Driver:
    """A driver whose episode was suppressed by max pause, at 1010."""
    driver = Driver(pause_on_concerned=True, max_pause_secs=10, **policy)
    driver.claim(CONCERNED)
    driver.do(Expire((SCOPE,)), after=10)
    assert driver.record.episode.suppressed
    return driver


def test_a_known_source_does_not_pause_again() -> None:
    driver = driver_with_suppressed_episode()
    driver.claim(CONCERNED, after=1)
    driver.claim(HEALTHY, source="other")
    assert driver.record.hold is None


def test_a_manual_resume_suppresses_the_episode_too() -> None:
    driver = Driver(pause_on_distressed=True)
    driver.claim(DISTRESSED)
    driver.do(Resume(SCOPE, "anna"))
    driver.claim(DISTRESSED)
    assert driver.record.hold is None


def test_a_new_signal_at_the_threshold_pauses_a_suppressed_scope_again() -> None:
    driver = driver_with_suppressed_episode()
    driver.claim(CONCERNED, source="y")
    assert driver.record.auto.by == "agent:y"
    assert not driver.record.episode.suppressed


def test_a_new_signal_below_the_threshold_does_not_pause_again() -> None:
    driver = driver_with_suppressed_episode()
    driver.claim(CAUTIOUS, source="y")
    assert driver.record.hold is None
    driver.claim(CONCERNED, source="y")
    assert driver.record.hold is None, "the source is known by now"


def test_a_state_above_the_one_that_paused_pauses_again() -> None:
    driver = driver_with_suppressed_episode()
    driver.claim(DISTRESSED)
    assert driver.record.episode.level is DISTRESSED
    assert driver.record.auto


def test_a_new_episode_pauses_again() -> None:
    driver = driver_with_suppressed_episode()
    driver.claim(HEALTHY)
    assert driver.record.episode is None
    driver.claim(CONCERNED)
    assert driver.record.auto


def test_a_source_that_ended_and_came_back_is_known() -> None:
    driver = Driver(pause_on_distressed=True, max_pause_secs=10)
    driver.claim(DISTRESSED, source="x")
    driver.claim(DISTRESSED, source="y")
    driver.do(Expire((SCOPE,)), after=10)
    driver.claim(HEALTHY, source="y")
    driver.claim(DISTRESSED, source="y")
    assert driver.record.hold is None


# -- time ---------------------------------------------------------------------------------------------


def test_min_pause_keeps_an_auto_hold_but_not_from_an_operator() -> None:
    driver = Driver(pause_on_distressed=True, min_pause_secs=30)
    driver.claim(DISTRESSED)
    driver.claim(HEALTHY, after=1)
    assert driver.record.auto
    assert next_deadline(driver.record, driver.core_state.policies.defaults, 0.0) == 1030
    driver.do(Expire((SCOPE,)), after=29)
    assert driver.record.hold is None
    driver.claim(DISTRESSED)
    driver.claim(HEALTHY)
    driver.do(Resume(SCOPE, "anna"))
    assert driver.record.hold is None


def test_a_relapse_within_min_pause_keeps_the_same_hold() -> None:
    driver = Driver(pause_on_distressed=True, min_pause_secs=30)
    driver.claim(DISTRESSED)
    driver.claim(HEALTHY, after=1)
    driver.claim(DISTRESSED, after=1)
    assert driver.count(HoldPut) == 1
    driver.do(Expire((SCOPE,)), after=100)
    assert driver.record.auto


def test_late_expiries_are_applied_in_order_with_the_times_at_which_they_were_due() -> None:
    driver = Driver(pause_on_distressed=True, max_pause_secs=100)
    driver.claim(DISTRESSED, ttl=50)
    driver.do(Pause(SCOPE, "mine", "anna", max_pause_secs=70))
    driver.do(Expire((SCOPE,)), after=10_000)
    lifted = [(event.at, event.cause) for event in driver.events if isinstance(event, HoldLifted)]
    assert lifted == [(1050, LiftCause.EXPIRED), (1070, LiftCause.MAX_PAUSE)]
    assert driver.record.is_empty
