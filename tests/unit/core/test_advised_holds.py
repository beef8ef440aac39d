"""Advice: the holds of a policy that only observes. They are decided like holds, and close no gate."""

from __future__ import annotations

import pytest

from sidecar.core.commands import ClaimState, Command, Expire, Pause, Resume, SetPolicies
from sidecar.core.deadlines import next_deadline
from sidecar.core.events import HoldLifted, HoldPut
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.core.values import AdviceCause, ScopeRecord

HEALTHY, CONCERNED, DISTRESSED = (
    WellbeingState.HEALTHY,
    WellbeingState.CONCERNED,
    WellbeingState.DISTRESSED,
)
SCOPE = "a/b"


class Driver:
    """Applies commands to one core, with a clock that the test moves."""

    def __init__(self, **policy: object) -> None:
        self.core_state = CoreState(PolicyTable(Policy(**policy)))
        self.now = 1000.0
        self.events: list[object] = []

    def do(self, command: Command, after: float = 0.0) -> None:
        self.now += after
        transaction = Transaction(self.core_state)
        self.events += transaction.apply_command(command, self.now).events
        self.core_state.apply(transaction)

    def claim(self, state: WellbeingState, source: str = "x", reason: str = "", after: float = 0.0) -> None:
        self.do(ClaimState(SCOPE, f"agent:{source}", state, reason), after)

    def reload(self, after: float = 0.0, **policy: object) -> None:
        self.do(SetPolicies(PolicyTable(Policy(**policy))), after)

    def said(self) -> list[tuple[str, str]]:
        """Each hold that was put or lifted since the last call, and whether it is advised."""
        events, self.events = self.events, []
        return [
            (
                ("put" + " pauses" * event.paused)
                if isinstance(event, HoldPut)
                else (f"lift {event.cause.value}" + " resumes" * event.resumed),
                "advice" if event.hold.advised else event.hold.kind.value,
            )
            for event in events
            if isinstance(event, HoldPut | HoldLifted)
        ]

    @property
    def record(self) -> ScopeRecord:
        return self.core_state.records[SCOPE]


@pytest.mark.parametrize(
    ("policy", "state", "why"),
    [
        ({}, DISTRESSED, AdviceCause.OBSERVES),
        ({"dry_run": True}, DISTRESSED, AdviceCause.DRY_RUN),
        ({"dry_run": True, "pause_on_distressed": True}, DISTRESSED, AdviceCause.DRY_RUN),
        ({"dry_run": True, "pause_on_concerned": True}, CONCERNED, AdviceCause.DRY_RUN),
    ],
)
def test_a_policy_that_observes_gives_advice_with_reason_source_and_end(policy, state, why) -> None:
    driver = Driver(**policy)
    driver.claim(state, reason="slow")
    advice = driver.record.advice
    assert driver.record.hold is None, "the gate stays open"
    assert (advice.reason, advice.by, advice.since, advice.until) == ("slow", "agent:x", 1000, 1300)
    assert advice.advised is why
    assert driver.said() == [("put", "advice")]


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        ({}, CONCERNED),
        ({"dry_run": True, "pause_on_distressed": True}, CONCERNED),
        ({"enabled": False}, DISTRESSED),
        ({"enabled": False, "dry_run": True}, DISTRESSED),
    ],
)
def test_there_is_no_advice_below_the_threshold_or_for_a_disabled_scope(policy, state) -> None:
    driver = Driver(**policy)
    driver.claim(state)
    assert (driver.record.hold, driver.record.advice) == (None, None)


def test_advice_that_ended_returns_only_with_a_new_signal() -> None:
    driver = Driver(max_pause_secs=10)
    driver.claim(DISTRESSED)
    driver.claim(CONCERNED, after=1)
    assert driver.said() == [("put", "advice"), ("lift recovered", "advice")]
    driver.claim(DISTRESSED)
    assert next_deadline(driver.record, driver.core_state.policies.defaults, 0.0) == 1011
    driver.do(Expire((SCOPE,)), after=10)
    episode = driver.record.episode
    assert (episode.suppressed, episode.pause_advised, episode.pause_ended_at) == (True, True, 1011)
    assert driver.said() == [("put", "advice"), ("lift max_pause", "advice")]
    driver.claim(DISTRESSED, after=1)
    assert driver.said() == []
    driver.claim(DISTRESSED, source="y")
    assert driver.record.advice.by == "agent:y"
    assert not driver.record.episode.pause_advised


def test_min_pause_prolongs_advice_as_it_prolongs_a_hold() -> None:
    driver = Driver(min_pause_secs=30)
    driver.claim(DISTRESSED)
    driver.claim(HEALTHY, after=1)
    assert driver.record.advice
    driver.do(Expire((SCOPE,)), after=29)
    assert driver.said() == [("put", "advice"), ("lift recovered", "advice")]


def test_an_operator_pauses_beside_advice_and_the_resume_ends_both() -> None:
    driver = Driver()
    driver.claim(DISTRESSED)
    driver.do(Pause(SCOPE, "mine", "anna"))
    assert (driver.record.hold.by, driver.record.advice.by) == ("anna", "agent:x")
    driver.do(Resume(SCOPE, "anna"))
    assert driver.said() == [
        ("put", "advice"),
        ("put pauses", "manual"),
        ("lift manual", "advice"),
        ("lift manual resumes", "manual"),
    ]
    driver.claim(DISTRESSED)
    assert driver.record.advice is None, "the operator has decided about this episode"


@pytest.mark.parametrize("before", [{}, {"dry_run": True, "pause_on_distressed": True}])
def test_a_reload_that_enables_pausing_turns_advice_into_a_pause(before) -> None:
    driver = Driver(**before)
    driver.claim(DISTRESSED, reason="slow")
    driver.said()
    driver.reload(pause_on_distressed=True, after=100)
    hold = driver.record.hold
    assert (hold.reason, hold.by, hold.since, hold.until) == ("slow", "agent:x", 1100, 1400)
    lifted = next(event for event in driver.events if isinstance(event, HoldLifted))
    assert (lifted.by, lifted.reason) == ("policy", "the policy pauses now: the advice becomes a pause")
    assert driver.said() == [("lift policy", "advice"), ("put pauses", "auto")]


@pytest.mark.parametrize("after", [{}, {"dry_run": True, "pause_on_distressed": True, "min_pause_secs": 200}])
def test_a_reload_that_disables_pausing_turns_a_pause_into_advice(after) -> None:
    driver = Driver(pause_on_distressed=True, min_pause_secs=200)
    driver.claim(DISTRESSED, reason="slow")
    driver.reload(**after, after=100)
    assert driver.record.hold is None
    advice = driver.record.advice
    assert (advice.reason, advice.since, advice.until) == ("slow", 1100, 1400)
    assert driver.said() == [
        ("put pauses", "auto"),
        ("lift policy resumes", "auto"),
        ("put", "advice"),
    ]


def test_a_reload_under_an_operators_hold_neither_pauses_nor_resumes() -> None:
    driver = Driver()
    driver.claim(DISTRESSED)
    driver.do(Pause(SCOPE, "mine", "anna"))
    driver.said()
    driver.reload(pause_on_distressed=True)
    assert driver.said() == [("lift policy", "advice"), ("put", "auto")]
    driver.reload()
    assert driver.said() == [("lift policy", "auto"), ("put", "advice")]
    assert driver.record.hold.by == "anna"


def test_a_reload_that_enables_pausing_does_not_pause_after_advice_has_ended() -> None:
    driver = Driver(max_pause_secs=10)
    driver.claim(DISTRESSED)
    driver.do(Expire((SCOPE,)), after=10)
    driver.reload(pause_on_distressed=True)
    assert driver.record.hold is None


def test_a_hold_kept_only_by_min_pause_ends_when_pausing_is_disabled() -> None:
    driver = Driver(pause_on_distressed=True, min_pause_secs=30)
    driver.claim(DISTRESSED)
    driver.claim(HEALTHY)
    driver.said()
    driver.reload(dry_run=True, min_pause_secs=30)
    assert driver.said() == [("lift policy resumes", "auto")]
    assert driver.record.auto is None


def test_a_reload_that_changes_the_cause_of_advice_keeps_its_start() -> None:
    driver = Driver()
    driver.claim(DISTRESSED)
    driver.said()
    driver.reload(dry_run=True, after=50)
    assert driver.said() == []
    assert (driver.record.advice.advised, driver.record.advice.since) == (AdviceCause.DRY_RUN, 1000)


def test_a_disabled_policy_ends_advice() -> None:
    driver = Driver()
    driver.claim(DISTRESSED)
    driver.said()
    driver.reload(enabled=False)
    assert driver.said() == [("lift recovered", "advice")]


def test_after_a_reload_that_enables_pausing_a_rise_is_measured_from_the_state_at_the_reload() -> None:
    driver = Driver(pause_on_concerned=True, dry_run=True, max_pause_secs=10)
    driver.claim(CONCERNED)
    driver.claim(DISTRESSED, after=1)
    driver.reload(pause_on_concerned=True, max_pause_secs=10)
    driver.do(Expire((SCOPE,)), after=10)
    assert driver.record.hold is None
    driver.claim(CONCERNED)
    driver.claim(DISTRESSED)
    assert driver.record.hold is None, "the state was distressed already at the reload"
