"""Resolves that are received while blind, and alerts that Alertmanager no longer lists."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.commands import (
    AcceptResolves,
    AlertFired,
    AlertMissing,
    AlertOutcome,
    AlertResolved,
    ReceiveAlerts,
    ReconcileAlerts,
    Resume,
    RevertResolves,
)
from sidecar.core.events import HoldLifted, HoldPut
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.core.values import Hold, LiftCause, Signal

NOW = 1000.0


def fired(source: str = "alert:a", scope: str = "s", at: float = 10.0, *, query: str = "") -> AlertFired:
    return AlertFired(source, scope, WellbeingState.DISTRESSED, "why", at, NOW + 500, query)


def resolved(source: str = "alert:a", at: float = 20.0) -> AlertResolved:
    return AlertResolved(source, at, NOW + 500)


def missing(source: str = "alert:a", since: float = 10.0, expires_at: float = NOW + 500) -> AlertMissing:
    return AlertMissing(source, since, expires_at, "gone")


class Driver:
    def __init__(self) -> None:
        self.core_state = CoreState(PolicyTable(Policy(pause_on_distressed=True)))

    def do(self, command, now: float = NOW):
        transaction = Transaction(self.core_state)
        outcome = transaction.apply_command(command, now)
        self.core_state.apply(transaction)
        return outcome

    @property
    def paused(self) -> bool:
        return self.core_state.records["s"].hold is not None

    @property
    def hold(self) -> Hold | None:
        return self.core_state.records["s"].auto

    @property
    def signal(self) -> Signal | None:
        return self.core_state.records["s"].signals.get("alert:a")


def test_a_resolve_received_while_blind_ends_no_signal_until_the_resolve_is_accepted() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(),)))
    outcome = driver.do(ReceiveAlerts((resolved(),), blind=True))
    assert outcome.alerts == (AlertOutcome.IGNORED,)
    assert driver.paused
    assert driver.signal.ended_at == 20
    driver.do(AcceptResolves())
    assert not driver.paused
    assert driver.do(ReceiveAlerts((fired(),))).alerts == (AlertOutcome.STALE,)


def test_an_alert_that_fires_again_is_not_ended_when_resolves_are_accepted() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(),)))
    driver.do(ReceiveAlerts((resolved(),), blind=True))
    driver.do(ReceiveAlerts((fired(at=30),)))
    driver.do(AcceptResolves())
    assert driver.paused


def test_a_reverted_resolve_restores_the_signal_and_the_hold() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(),)))
    before, hold = driver.signal, driver.hold
    driver.do(ReceiveAlerts((resolved(),)))
    assert not driver.paused
    driver.do(RevertResolves((("s", replace(before, ended_at=NOW)),), (("s", hold),)), NOW + 5)
    assert driver.hold == hold, "with its original end"
    assert driver.signal.ended_at == 20, "the endsAt of its resolve"
    driver.do(AcceptResolves())
    assert not driver.paused


def test_a_pause_that_has_ended_is_not_restored_by_a_revert() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(),)))
    driver.do(Resume("s", "operator"))
    before = driver.signal
    driver.do(ReceiveAlerts((resolved(),)))
    driver.do(RevertResolves((("s", replace(before, ended_at=20.0)),)))
    assert driver.signal.ended_at == 20
    assert not driver.paused
    driver.do(ReceiveAlerts((fired("alert:news"),)))
    assert driver.paused, "a new signal pauses"


def test_an_alert_that_continues_after_its_resolve_counts_if_alertmanager_lists_it() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(),)))
    driver.do(ReceiveAlerts((resolved(),)), NOW + 1)
    assert driver.do(ReconcileAlerts((fired(),), (), NOW), NOW + 2).alerts == (AlertOutcome.STALE,), (
        "the query was sent before the resolve"
    )
    assert driver.do(ReconcileAlerts((fired(),), (), NOW + 2), NOW + 3).alerts == (AlertOutcome.APPLIED,)
    assert driver.paused
    assert driver.do(ReceiveAlerts((fired(),)), NOW + 4).alerts == (AlertOutcome.REPEATED,)


def test_a_firing_notification_cancels_a_resolve_that_is_not_accepted() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(),)))
    driver.do(ReceiveAlerts((resolved(),), blind=True))
    driver.do(ReceiveAlerts((fired(),)))
    assert driver.signal.ended_at is None
    driver.do(AcceptResolves())
    assert driver.paused


def test_a_revert_does_not_replace_a_firing_alert() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(),)))
    before, hold = driver.signal, driver.hold
    driver.do(ReceiveAlerts((resolved(),)))
    driver.do(ReceiveAlerts((fired(scope="t", at=30),)))
    driver.do(RevertResolves((("s", replace(before, ended_at=20.0)),), (("s", hold),)))
    assert driver.signal is None


def test_an_alert_that_fires_again_after_its_resolve_was_reverted_is_not_stale() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(),)))
    before, hold = driver.signal, driver.hold
    driver.do(ReceiveAlerts((resolved(),)))
    driver.do(RevertResolves((("s", replace(before, ended_at=20.0)),), (("s", hold),)))
    assert driver.do(ReceiveAlerts((fired(),))).alerts == (AlertOutcome.REPEATED,)
    driver.do(AcceptResolves())
    assert driver.paused
    assert driver.signal.ended_at is None


def test_a_pause_that_expired_before_the_revert_stays_ended() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(), fired("alert:b"))))
    signals, hold = driver.core_state.records["s"].signals, driver.hold
    driver.do(ReceiveAlerts((resolved(), resolved("alert:b"))))
    ended = tuple(("s", replace(signal, ended_at=20.0)) for signal in signals.values())
    driver.do(RevertResolves(ended, (("s", hold),)), NOW + 301)
    assert not driver.paused
    episode = driver.core_state.records["s"].episode
    assert (episode.pause_ended_at, episode.pause_end_cause) == (hold.until, LiftCause.MAX_PAUSE)


def test_several_restored_signals_of_a_resumed_scope_do_not_pause_it_again() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(), fired("alert:b"))))
    driver.do(Resume("s", "operator"))
    signals = driver.core_state.records["s"].signals
    driver.do(ReceiveAlerts((resolved(), resolved("alert:b"))))
    driver.do(RevertResolves(tuple(("s", replace(one, ended_at=20.0)) for one in signals.values())))
    assert len(driver.core_state.records["s"].signals) == 2
    assert not driver.paused


def test_a_missing_alert_ends_only_if_its_signal_is_unchanged() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(query="q"),)))
    driver.do(ReconcileAlerts((), (missing(since=9.0), missing("alert:b"), missing(expires_at=1.0))))
    assert driver.paused
    driver.do(ReconcileAlerts((), (missing(),)))
    assert not driver.paused
    driver.do(ReceiveAlerts((fired(),)))
    assert driver.paused, "no resolve was received, so there is no tombstone"


def test_a_correction_is_one_step() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(),)))
    outcome = driver.do(ReconcileAlerts((fired("alert:b"),), (missing(),)))
    assert not [event for event in outcome.events if isinstance(event, HoldPut | HoldLifted)]
    assert driver.paused


def test_a_signal_keeps_its_query_after_a_notification_without_one() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(query="q"),)))
    driver.do(ReceiveAlerts((fired(),)))
    assert driver.signal.query == "q"


def test_an_alert_with_a_start_in_the_future_can_end_now_and_stays_ended() -> None:
    driver = Driver()
    driver.do(ReceiveAlerts((fired(at=NOW + 3600),)))
    assert driver.do(ReceiveAlerts((resolved(at=NOW),))).alerts == (AlertOutcome.APPLIED,)
    assert not driver.paused
    assert driver.do(ReceiveAlerts((fired(at=NOW + 3600),))).alerts == (AlertOutcome.STALE,)


def test_an_earlier_resolve_does_not_keep_an_alert_with_a_future_start_from_ending() -> None:
    driver = Driver()
    for alert in (resolved(at=NOW), fired(at=NOW + 3600), resolved(at=NOW)):
        driver.do(ReceiveAlerts((alert,)))
    assert not driver.paused
    assert driver.do(ReceiveAlerts((fired(at=NOW + 3600),))).alerts == (AlertOutcome.STALE,)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.booleans()), max_size=12))
def test_accepting_resolves_ends_the_same_alerts_as_without_blindness(events) -> None:
    """After the resolves are accepted, the state is the same as if the sidecar had never been blind."""
    blind, normal = Driver(), Driver()
    for number, (name, fires, is_blind) in enumerate(events):
        alert = fired(f"alert:{name}", at=number + 1) if fires else resolved(f"alert:{name}", at=number + 1)
        blind.do(ReceiveAlerts((alert,), blind=is_blind))
        normal.do(ReceiveAlerts((alert,)))
    blind.do(AcceptResolves())
    standing = [{*driver.core_state.scope_by_alert} for driver in (blind, normal)]
    assert standing[0] == standing[1]
