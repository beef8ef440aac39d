"""Restrictions and trials in the core: their start, their end, and the time between trials."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.core.commands import ClaimState, Command, EndTrial, Expire, Pause, Resume
from sidecar.core.deadlines import next_deadline
from sidecar.core.errors import InvalidPolicy
from sidecar.core.events import HoldPut, RestrictionChanged, TrialBegan, TrialEnded
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable, TrialPolicy
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.core.values import ScopeRecord

C, D = WellbeingState.CONCERNED, WellbeingState.DISTRESSED


class ScopeUnderTest:
    """The scope ``a`` in a core with one policy."""

    def __init__(self, **policy: Any) -> None:
        self.policy = Policy(**policy)
        self.state = CoreState(PolicyTable(self.policy))
        self.events: list[Any] = []

    def do(self, command: Command, now: float) -> ScopeRecord:
        transaction = Transaction(self.state)
        self.events = list(transaction.apply_command(command, now).events)
        self.state.apply(transaction)
        return self.record

    def claim(self, state: WellbeingState, now: float) -> ScopeRecord:
        return self.do(ClaimState("a", "agent:x", state, "because"), now)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def record(self) -> ScopeRecord:
        return self.state.records["a"]


TRIAL = {"pause_on_distressed": True, "resume_trial": TrialPolicy(5, 30.0)}


def test_the_own_state_determines_the_rate_and_a_worse_state_inherits_the_rate_of_a_better_one() -> None:
    one = ScopeUnderTest(restrict=((C, 20.0),))
    assert one.claim(C, 10).restriction.rate == 20
    assert one.of(RestrictionChanged)[0].new.since == 10
    assert one.claim(D, 11).restriction.rate == 20
    assert not one.of(RestrictionChanged)
    assert one.claim(WellbeingState.CAUTIOUS, 12).restriction is None


def test_a_restriction_of_a_dry_run_is_advised_only() -> None:
    one = ScopeUnderTest(restrict=((C, 20.0),), dry_run=True)
    assert one.claim(C, 10).restriction.advised


def test_a_trial_follows_a_recovery_and_opens_the_gate_at_its_end() -> None:
    one = ScopeUnderTest(**TRIAL)
    one.claim(D, 0)
    record = one.claim(WellbeingState.HEALTHY, 10)
    assert (record.auto, record.trial.requests, record.trial.until) == (None, 5, 40)
    assert next_deadline(record, one.policy, 10.0) == 40
    assert len(one.of(TrialBegan)) == 1
    assert one.do(Expire(("a",)), 40).trial is None
    assert not one.of(TrialEnded)[0].failed


def test_a_success_opens_the_gate_and_outcomes_of_an_earlier_trial_are_ignored() -> None:
    one = ScopeUnderTest(**TRIAL)
    one.claim(D, 0)
    one.claim(WellbeingState.HEALTHY, 10)
    assert one.do(EndTrial("a", 9.0, "failed"), 11).trial is not None
    assert one.do(EndTrial("a", 10.0), 12).trial is None
    assert one.record.auto is None


def test_each_failed_trial_puts_the_hold_back_for_longer_up_to_max_pause() -> None:
    one = ScopeUnderTest(**TRIAL, max_pause_secs=100)
    one.claim(D, 0)
    one.claim(WellbeingState.HEALTHY, 10)
    now = 10.0
    for distance in (30, 60, 100, 100):
        record = one.do(EndTrial("a", now, "a request of the trial failed"), now + 1)
        assert record.auto.until == now + 1 + distance
        assert one.of(HoldPut)[0].hold.cause == "trial_failed"
        assert one.of(HoldPut)[0].paused
        now = record.auto.until
        assert one.do(Expire(("a",)), now - 0.1).auto is not None, "nothing else lifts the hold"
        record = one.do(Expire(("a",)), now)
        assert (record.auto, record.trial.since) == (None, now)
    assert one.do(Expire(("a",)), now + 30).trial is None


def test_a_new_episode_ends_a_trial_and_replaces_the_hold_of_a_failed_trial() -> None:
    one = ScopeUnderTest(**TRIAL)
    one.claim(D, 0)
    one.claim(WellbeingState.HEALTHY, 10)
    record = one.claim(D, 15)
    assert (record.trial, record.auto.failed_trials) == (None, 0)
    one.claim(WellbeingState.HEALTHY, 20)
    one.do(EndTrial("a", 20.0, "failed"), 21)
    record = one.claim(D, 25)
    assert (record.auto.failed_trials, record.auto.until) == (0, 325)


@pytest.mark.parametrize("failed", [False, True])
def test_an_operators_resume_ends_a_trial_and_the_hold_of_a_failed_one(failed: bool) -> None:
    one = ScopeUnderTest(**TRIAL)
    one.claim(D, 0)
    one.claim(WellbeingState.HEALTHY, 10)
    if failed:
        one.do(EndTrial("a", 10.0, "failed"), 11)
    record = one.do(Resume("a", "op"), 12)
    assert (record.trial, record.auto) == (None, None)


def test_a_resume_a_max_pause_advice_and_a_recovery_under_a_manual_hold_start_no_trial() -> None:
    one = ScopeUnderTest(**TRIAL)
    one.claim(D, 0)
    assert one.do(Resume("a", "op"), 5).trial is None
    one = ScopeUnderTest(**TRIAL, max_pause_secs=50)
    one.claim(D, 0)
    assert one.do(Expire(("a",)), 50).trial is None
    one = ScopeUnderTest(resume_trial=TrialPolicy(5, 30.0))
    one.claim(D, 0)
    assert one.claim(WellbeingState.HEALTHY, 10).trial is None
    one = ScopeUnderTest(**TRIAL)
    one.claim(D, 0)
    one.do(Pause("a", "x", "op"), 5)
    assert one.claim(WellbeingState.HEALTHY, 10).trial is None


@pytest.mark.parametrize(
    "policy",
    [
        {"restrict": ((C, 0.0),)},
        {"restrict": ((C, float("inf")),)},
        {"restrict": ((WellbeingState.HEALTHY, 5.0),)},
        {"restrict": ((D, 20.0), (C, 2.0))},
    ],
)
def test_a_rate_must_be_finite_and_above_0_and_not_for_healthy(policy: dict[str, Any]) -> None:
    with pytest.raises(InvalidPolicy, match="restrict"):
        Policy(**policy)


@pytest.mark.parametrize("trial", [{"requests": -1}, {"requests": True}, {"requests": 1, "secs": 0}])
def test_a_trial_needs_a_whole_number_of_requests_and_a_time_above_0(trial: dict[str, Any]) -> None:
    with pytest.raises(InvalidPolicy, match="resume_trial"):
        TrialPolicy(**trial)
