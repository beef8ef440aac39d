"""Guards of the policy: shares of paused scopes, a resume by an operator, time intervals."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.time_intervals import parse_time_interval
from sidecar.core.commands import (
    AlertFired,
    AlertResolved,
    ClaimState,
    Command,
    EndTrial,
    Expire,
    ForgetScopes,
    ReceiveAlerts,
    Resume,
)
from sidecar.core.deadlines import next_deadline
from sidecar.core.events import CoreEvent
from sidecar.core.model import CoreState, StateDelta
from sidecar.core.policy import Policy, PolicyTable, TrialPolicy
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.core.values import AdviceCause, ScopeRecord

D, H = WellbeingState.DISTRESSED, WellbeingState.HEALTHY


class Scopes:
    def __init__(self, **policy: Any) -> None:
        self.policy = Policy(pause_on_distressed=True, **policy)
        self.state = CoreState(PolicyTable(self.policy))

    def do(self, command: Command, now: float = 0.0) -> tuple[CoreEvent, ...]:
        transaction = Transaction(self.state)
        outcome = transaction.apply_command(command, now)
        self.state.apply(transaction)
        return outcome.events

    def claim(self, scope: str, state: WellbeingState = D, now: float = 0.0) -> ScopeRecord:
        self.do(ClaimState(scope, "agent:x", state, "bad"), now)
        return self.state.records[scope]

    def paused(self) -> set[str]:
        return {scope for scope, record in self.state.records.items() if record.hold is not None}


def test_at_most_the_share_of_child_scopes_is_paused_and_the_reason_says_so() -> None:
    scopes = Scopes(max_paused_share=0.5)
    for name in "abcd":
        scopes.claim(f"team/{name}", H)
    for name in "abcd":
        scopes.claim(f"team/{name}")
    assert scopes.paused() == {"team/a", "team/b"}
    advice = scopes.state.records["team/c"].advice
    assert advice.advised is AdviceCause.PAUSED_SHARE
    assert advice.reason == "bad (advised only: 2 of 4 scopes in team are paused, max_paused_share is 0.5)"
    assert scopes.claim("other/x").hold is not None, "the share does not limit other scopes"


def test_a_notification_for_all_scopes_pauses_only_the_share() -> None:
    scopes = Scopes(max_paused_share=0.34)
    alerts = tuple(AlertFired(f"alert:{n}", f"fleet/pod-{n}", D, "wrong rule", 0.0, 1e6) for n in range(10))
    scopes.do(ReceiveAlerts(alerts))
    assert len(scopes.paused()) == 4


@pytest.mark.parametrize("scope", ["fleet/pod-{}", "fleet/model-{}/pod"])
def test_the_work_for_a_notification_that_pauses_many_scopes_is_linear(
    monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    reads = 0

    def counted(delta: StateDelta, name: str) -> ScopeRecord | None:
        nonlocal reads
        reads += 1
        return read(delta, name)

    def all_scopes(_: StateDelta) -> set[str]:
        raise AssertionError("looked at all scopes")

    read = StateDelta.record
    monkeypatch.setattr(StateDelta, "record", counted)
    monkeypatch.setattr(StateDelta, "known_scopes", all_scopes)
    scopes = Scopes(max_paused_share=0.5)
    alerts = (AlertFired(f"alert:{n}", scope.format(n), D, "wrong rule", 0.0, 1e6) for n in range(300))
    scopes.do(ReceiveAlerts(tuple(alerts)))
    assert len(scopes.paused()) in (150, 300)
    assert reads < 300 * 20


def test_a_scope_that_is_forgotten_does_not_count() -> None:
    scopes = Scopes(max_paused_share=0.5)
    for name in "abcd":
        scopes.claim(f"team/{name}", H)
    scopes.do(ForgetScopes(("team/c", "team/d")))
    for name in "ab":
        scopes.claim(f"team/{name}")
    assert scopes.paused() == {"team/a"}


def test_at_least_one_scope_may_be_paused_and_a_recovery_allows_the_next() -> None:
    scopes = Scopes(max_paused_share=0.01)
    for name in "abc":
        scopes.claim(f"t/{name}", H)
    assert scopes.claim("t/a").hold is not None
    assert scopes.claim("t/b").hold is None
    scopes.claim("t/a", H)
    assert scopes.claim("t/c").hold is not None


def test_a_recovery_allows_a_pause_in_the_same_notification_in_any_order() -> None:
    for order in (0, 1), (1, 0):
        scopes = Scopes(max_paused_share=0.5)
        scopes.do(ReceiveAlerts((AlertFired("alert:a", "t/a", D, "slow", 1.0, 1e6),)))
        scopes.claim("t/b", H)
        both = AlertFired("alert:b", "t/b", D, "slow", 2.0, 1e6), AlertResolved("alert:a", 2.0, 1e6)
        scopes.do(ReceiveAlerts(tuple(both[index] for index in order)))
        assert scopes.paused() == {"t/b"}


def test_a_recovery_lifts_no_hold_if_only_an_operator_may() -> None:
    scopes = Scopes(resume="manual", max_pause_secs=0)
    scopes.claim("a")
    record = scopes.claim("a", H, 10)
    assert (record.hold is not None, record.episode) == (True, None)
    assert next_deadline(record, scopes.policy, 11.0) is None
    scopes.do(Expire(("a",)), 1e6)
    assert scopes.paused() == {"a"}
    scopes.do(Resume("a", "op"), 1e6 + 1)
    assert scopes.paused() == set()


def test_holds_in_a_mute_time_interval_are_advised_and_become_pauses_at_its_end() -> None:
    night = parse_time_interval({"times": [{"start_time": "00:00", "end_time": "06:00"}]})
    scopes = Scopes(mute_time_intervals=(night,), max_pause_secs=0)
    record = scopes.claim("a", now=5 * 3600.0 + 59 * 60 + 30)
    assert record.advice.advised is AdviceCause.MUTED
    due = next_deadline(record, scopes.policy, 5 * 3600.0 + 59 * 60 + 30)
    assert due == 6 * 3600
    scopes.do(Expire(("a",)), due)
    assert scopes.paused() == {"a"}


def test_a_hold_becomes_advice_at_the_end_of_an_active_time_interval() -> None:
    day = parse_time_interval({"times": [{"start_time": "08:00", "end_time": "18:00"}]})
    scopes = Scopes(active_time_intervals=(day,), max_pause_secs=0)
    scopes.claim("a", now=17 * 3600.0)
    assert scopes.paused() == {"a"}
    scopes.do(Expire(("a",)), 18 * 3600.0)
    assert scopes.paused() == set()
    assert scopes.state.records["a"].advice is not None


def test_a_failed_trial_puts_no_hold_back_if_the_share_is_already_paused() -> None:
    scopes = Scopes(max_paused_share=0.5, resume_trial=TrialPolicy(5, 30.0))
    scopes.claim("t/b", H)
    scopes.claim("t/a", D, 0.0)
    trial = scopes.claim("t/a", H, 10.0).trial
    assert scopes.claim("t/b", D, 11.0).hold is not None
    scopes.do(EndTrial("t/a", trial.since, "a request of the trial failed"), 12.0)
    record = scopes.state.records["t/a"]
    assert scopes.paused() == {"t/b"}
    assert record.advice.advised is AdviceCause.PAUSED_SHARE
    assert "1 of 2 scopes in t are paused" in record.advice.reason
    scopes.do(Expire(("t/a",)), 42.0)
    assert (scopes.state.records["t/a"].auto, scopes.state.records["t/a"].trial) == (None, None)


def test_a_trial_that_fails_in_a_mute_time_interval_is_advised_only() -> None:
    noon = parse_time_interval({"times": [{"start_time": "12:00", "end_time": "13:00"}]})
    scopes = Scopes(mute_time_intervals=(noon,), resume_trial=TrialPolicy(5, 3600.0))
    before = 12 * 3600.0 - 10
    scopes.claim("a", D, before - 1)
    trial = scopes.claim("a", H, before).trial
    scopes.do(EndTrial("a", trial.since, "a request of the trial failed"), before + 20)
    assert scopes.state.records["a"].hold is None
    assert scopes.state.records["a"].advice.advised is AdviceCause.MUTED


def test_a_new_claim_pauses_a_scope_that_the_share_kept_open_as_soon_as_the_share_allows_it() -> None:
    scopes = Scopes(max_paused_share=0.5, max_pause_secs=0)
    scopes.claim("t/b", H)
    scopes.claim("t/a")
    assert scopes.claim("t/b").hold is None
    other = ClaimState("t/b", "agent:other", D, "worse")
    scopes.do(other, 1.0)
    assert scopes.paused() == {"t/a"}, "the share is still used up"
    scopes.claim("t/a", H, 2.0)
    scopes.claim("t/b", D, 3.0)
    assert scopes.paused() == set(), "a repeated claim is not new"
    events = scopes.do(ClaimState("t/b", "agent:third", D, "worse"), 4.0)
    assert [type(one).__name__ for one in events] == ["SignalPut", "HoldLifted", "HoldPut"]
    hold = scopes.state.records["t/b"].hold
    assert (hold.reason, hold.since) == ("worse", 4.0)


def test_advice_of_the_share_survives_a_mute_time_interval_with_its_reason() -> None:
    noon = parse_time_interval({"times": [{"start_time": "12:00", "end_time": "13:00"}]})
    scopes = Scopes(max_paused_share=0.5, max_pause_secs=0, mute_time_intervals=(noon,))
    scopes.claim("t/b", H)
    scopes.claim("t/a", D, 11 * 3600.0)
    reason = scopes.claim("t/b", D, 11 * 3600.0).advice.reason
    for hour in 12, 13:
        scopes.do(Expire(("t/a", "t/b")), hour * 3600.0)
        advice = scopes.state.records["t/b"].advice
        assert (advice.reason, advice.advised) == (reason, AdviceCause.PAUSED_SHARE)
    assert scopes.paused() == {"t/a"}


def test_a_pause_after_a_failed_trial_that_was_advised_only_ends_the_advice() -> None:
    noon = parse_time_interval({"times": [{"start_time": "12:00", "end_time": "13:00"}]})
    scopes = Scopes(mute_time_intervals=(noon,), resume_trial=TrialPolicy(5, 3600.0), max_pause_secs=0)
    before = 12 * 3600.0 - 10
    scopes.claim("a", D, before - 1)
    trial = scopes.claim("a", H, before).trial
    scopes.do(EndTrial("a", trial.since, "a request of the trial failed"), before + 1800)
    assert scopes.state.records["a"].advice.failed_trials == 1
    events = scopes.do(ClaimState("a", "agent:x", D, "bad"), 13 * 3600.0)
    assert [type(one).__name__ for one in events] == ["SignalPut", "StateChanged", "HoldLifted", "HoldPut"]
    assert scopes.paused() == {"a"}
