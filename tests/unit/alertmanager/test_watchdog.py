"""The dead man's switch, with a clock that the test moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.alertmanager.watchdog import SOURCE, Watchdog
from sidecar.alerts import Alert, Notification
from sidecar.config import AlertsConfig, WatchdogConfig
from sidecar.core.commands import (
    AcceptResolves,
    AddHistoryNote,
    ClaimState,
    CommandOutcome,
    ReceiveAlerts,
    RememberWatchdog,
    RevertResolves,
)
from sidecar.core.events import SignalDropped
from sidecar.core.state import WellbeingState
from sidecar.core.values import ScopeRecord, Signal

SIGNAL = Signal("alert:a", WellbeingState.DISTRESSED, "why", 50.0)


class HandClock:
    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


class Story:
    def __init__(
        self,
        records=None,
        *,
        hold: bool = True,
        was_blind: bool = False,
        heard: str = "",
        urls=(),
        **watchdog,
    ) -> None:
        self.clock = HandClock()
        self.all_orders = []
        self.config = replace(configured(hold=hold, **watchdog), alertmanager_urls=urls)
        self.watchdog = Watchdog(
            self.config,
            self.clock,
            self.all_orders.append,
            records or {},
            was_blind=was_blind,
            heard_alertname=heard,
        )

    @property
    def orders(self) -> list:
        """Without what the history is told, and what the store is to remember."""
        told = (AddHistoryNote, RememberWatchdog)
        return [order for order in self.all_orders if not isinstance(order, told)]

    def hear(self, *, firing: bool, name: str = "Watchdog") -> None:
        alert = Alert(firing, {"alertname": name}, {}, 1.0, None if firing else 2.0, "f")
        self.watchdog.hear(Notification("r", "g", 0, (alert,)))

    def wait(self, secs: float) -> None:
        self.clock.at += secs
        self.watchdog.look()

    def drop(self, signal: Signal = SIGNAL, *, expired: bool = False, sources=None) -> None:
        event = SignalDropped("s", self.clock.at, signal, expired)
        self.watchdog.note(CommandOutcome((event,)), sources)

    def guarded(self) -> bool:
        return self.watchdog.guard(ReceiveAlerts(())).blind


def configured(*, hold: bool = True, **watchdog) -> AlertsConfig:
    settings = {"alertname": "Watchdog", "timeout_secs": 60.0, "grace_secs": 30.0, **watchdog}
    return AlertsConfig(watchdog=WatchdogConfig(**settings), hold_while_blind=hold)


def test_without_a_name_nobody_is_ever_blind() -> None:
    story = Story(alertname="")
    story.hear(firing=False, name="")
    story.wait(1e6)
    assert not story.watchdog.blind
    assert story.orders == []


def test_silence_makes_blind_and_a_sign_of_life_does_not() -> None:
    story = Story()
    story.wait(60)
    assert not story.watchdog.blind
    story.hear(firing=True)
    story.wait(60)
    assert not story.watchdog.blind
    story.hear(firing=True, name="Another")
    story.wait(0.1)
    assert story.watchdog.blind
    assert story.guarded()


def test_its_own_resolve_makes_blind_at_once() -> None:
    story = Story()
    story.hear(firing=False)
    assert story.watchdog.blind


def test_what_ended_in_the_same_breath_is_taken_back() -> None:
    story = Story()
    story.drop(Signal("alert:old", WellbeingState.DISTRESSED, "", 1.0))
    for _ in range(3):
        story.wait(50)
        story.hear(firing=True)
    story.wait(50)
    story.drop()
    story.drop(Signal("agent:x", WellbeingState.DISTRESSED, "", 1.0))
    story.drop(Signal("alert:expired", WellbeingState.DISTRESSED, "", 1.0), expired=True)
    story.drop(Signal("alert:silenced", WellbeingState.DISTRESSED, "", 1.0), sources={"alert:other"})
    story.hear(firing=False)
    [order] = story.orders
    assert isinstance(order, RevertResolves)
    [(scope, signal)] = order.signals
    assert (scope, signal.source, signal.ended_at) == ("s", "alert:a", story.clock.at)


def test_what_was_under_way_when_it_went_blind_is_taken_back_too() -> None:
    story = Story()
    story.hear(firing=False)
    assert story.orders == []
    story.drop()
    assert [type(order) for order in story.orders] == [RevertResolves]


def test_what_was_resolved_is_believed_after_the_grace_and_a_second_sign() -> None:
    story = Story()
    story.hear(firing=False)
    story.wait(5)
    story.hear(firing=True)
    assert not story.watchdog.blind
    assert story.watchdog.ignores_missing_alerts
    assert not story.guarded(), "who sees again is believed"
    story.wait(31)
    assert story.orders == [], "the one sign may have been an old notification, tried again"
    story.hear(firing=True)
    assert story.orders == [AcceptResolves()]
    assert not story.watchdog.ignores_missing_alerts
    remarks = [(order.old, order.new) for order in story.all_orders if isinstance(order, AddHistoryNote)]
    assert remarks == [("seeing", "blind"), ("blind", "seeing")]


def test_where_alertmanager_can_be_asked_it_is_before_anything_is_believed() -> None:
    story = Story(urls=("http://x",))
    story.hear(firing=False)
    story.hear(firing=True)
    story.wait(10)
    story.watchdog.listed(True, complete=True, asked=story.clock.at)
    story.wait(25)
    assert story.orders == []
    story.watchdog.listed(True, complete=True, asked=story.clock.at)
    assert story.orders == [AcceptResolves()]


def test_one_that_cannot_be_asked_is_not_waited_for_for_ever() -> None:
    story = Story(urls=("http://x",))
    story.hear(firing=False)
    story.hear(firing=True)
    for _ in range(9):
        story.wait(10)
        story.hear(firing=True)
    assert story.orders == [AcceptResolves()]


def test_an_answer_to_an_older_question_says_nothing_against_a_resolve() -> None:
    story = Story()
    asked = story.clock.at
    story.wait(1)
    story.hear(firing=False)
    story.wait(1)
    story.watchdog.listed(True, complete=True, asked=asked)
    assert story.watchdog.blind
    story.watchdog.listed(True, complete=True, asked=story.clock.at)
    assert not story.watchdog.blind


def test_a_list_without_the_watchdog_says_nothing_of_others() -> None:
    story = Story()
    story.watchdog.listed(False, complete=True, asked=story.clock.at)
    assert not story.watchdog.ignores_missing_alerts, "one that was never heard of is not wired"
    story.watchdog.listed(True, complete=True, asked=story.clock.at)
    assert not story.watchdog.ignores_missing_alerts
    story.watchdog.listed(False, complete=True, asked=story.clock.at)
    assert story.watchdog.ignores_missing_alerts, "it was listed before"


def test_a_watchdog_of_another_alertmanager_is_not_looked_for_in_the_list() -> None:
    story = Story()
    story.hear(firing=True)
    story.watchdog.listed(False, complete=True, asked=story.clock.at)
    assert not story.watchdog.ignores_missing_alerts


def test_silence_takes_back_all_that_ended_since_it_was_last_heard() -> None:
    story = Story(timeout_secs=600.0)
    story.hear(firing=True)
    story.wait(50)
    story.drop()
    story.wait(551)
    assert story.watchdog.blind
    assert [signal.source for order in story.orders for _, signal in order.signals] == ["alert:a"]


def test_blind_again_within_the_grace_believes_nothing() -> None:
    story = Story()
    story.hear(firing=False)
    story.hear(firing=True)
    story.wait(10)
    story.hear(firing=False)
    story.wait(50)
    assert story.orders == []


def test_blindness_is_claimed_and_withdrawn() -> None:
    story = Story(state="concerned", scope="a")
    story.hear(firing=False)
    [claim] = story.orders
    assert (claim.scope, claim.source, claim.state) == ("a", SOURCE, WellbeingState.CONCERNED)
    assert "Watchdog" in claim.reason
    story.watchdog.configure(configured(state="cautious", scope="b"))
    assert [(order.scope, order.state.label) for order in story.orders[1:]] == [
        ("a", "healthy"),
        ("b", "cautious"),
    ]
    story.hear(firing=True)
    assert (story.orders[-1].scope, story.orders[-1].state) == ("b", WellbeingState.HEALTHY)


def test_not_holding_while_blind_believes_everything() -> None:
    story = Story(hold=False)
    story.drop()
    story.hear(firing=False)
    assert story.watchdog.blind
    assert not story.guarded()
    assert not story.watchdog.ignores_missing_alerts
    assert story.orders == []


UNBELIEVED = {
    "s": ScopeRecord(signals={"alert:a": Signal("alert:a", WellbeingState.DISTRESSED, "", 1.0, ended_at=2.0)})
}
CLAIMED = {"a": ScopeRecord(signals={SOURCE: Signal(SOURCE, WellbeingState.CONCERNED, "", 1.0)})}


@pytest.mark.parametrize("records", [{}, UNBELIEVED])
def test_who_was_blind_before_a_restart_is_blind_after_it(records) -> None:
    story = Story(records, was_blind=True)
    assert story.watchdog.blind
    assert story.guarded()
    story.hear(firing=True)
    story.wait(30)
    story.hear(firing=True)
    assert story.orders == [AcceptResolves()]


def test_who_had_begun_to_see_again_gives_grace_after_a_restart() -> None:
    story = Story(UNBELIEVED)
    assert not story.watchdog.blind
    assert story.watchdog.ignores_missing_alerts
    story.wait(30)
    assert story.orders == []
    story.hear(firing=True)
    assert story.orders == [AcceptResolves()]


def test_a_restart_without_a_watchdog_leaves_nothing_in_doubt() -> None:
    story = Story({**UNBELIEVED, **CLAIMED}, alertname="")
    assert [type(order) for order in story.orders] == [AcceptResolves, ClaimState]
    assert story.orders[1].state is WellbeingState.HEALTHY


def test_a_reload_without_a_watchdog_sees_and_believes() -> None:
    story = Story()
    story.hear(firing=False)
    story.watchdog.configure(configured(alertname=""))
    assert not story.watchdog.blind
    assert story.orders == [AcceptResolves()]


def test_a_reload_with_another_watchdog_stays_blind_until_that_is_heard() -> None:
    story = Story()
    story.hear(firing=False)
    story.watchdog.configure(configured(alertname="Other"))
    assert story.watchdog.blind
    story.hear(firing=True)
    assert story.watchdog.blind
    story.hear(firing=True, name="Other")
    assert not story.watchdog.blind


def test_a_watchdog_that_was_never_heard_of_blinds_nobody_and_takes_nothing_back() -> None:
    story = Story(state="distressed", urls=("http://x",))
    story.drop()
    for _ in range(100):
        story.wait(60)
        story.watchdog.listed(False, complete=True, asked=story.clock.at)
        assert not story.watchdog.blind
        assert not story.guarded()
        assert not story.watchdog.ignores_missing_alerts
    assert not story.watchdog.heard
    assert story.all_orders == []


@pytest.mark.parametrize(("timeout", "early"), [(600.0, 60.0), (20.0, 20.0)])
def test_a_watchdog_that_was_never_heard_of_is_warned_of_early_and_seldom_again(
    caplog, timeout, early
) -> None:
    story = Story(timeout_secs=timeout)
    story.wait(early - 1)
    assert caplog.messages == []
    story.wait(1)
    for _ in range(59):
        story.wait(60)
    assert caplog.messages == ["watchdog_not_heard"]
    story.wait(60)
    assert caplog.messages == ["watchdog_not_heard"] * 2
    assert "repeat_interval" in caplog.records[0].fields["remedy"]
    story.hear(firing=True)
    caplog.clear()
    for _ in range(400):
        story.wait(15)
        story.hear(firing=True)
    assert caplog.messages == []


def test_that_a_watchdog_was_heard_of_is_remembered_once() -> None:
    story = Story()
    story.hear(firing=True)
    story.hear(firing=True)
    assert story.watchdog.heard
    assert story.all_orders == [RememberWatchdog("Watchdog")]


def test_one_that_was_heard_of_before_a_restart_makes_blind_after_it() -> None:
    story = Story(heard="Watchdog")
    assert story.watchdog.heard
    story.watchdog.listed(False, complete=True, asked=story.clock.at)
    assert story.watchdog.ignores_missing_alerts
    story.wait(61)
    assert story.watchdog.blind


def test_a_watchdog_with_another_name_was_not_heard_of(caplog) -> None:
    story = Story(heard="Other")
    story.wait(61)
    assert not story.watchdog.blind
    assert caplog.messages == ["watchdog_not_heard"]
    story.watchdog.configure(configured(alertname="Other"))
    story.wait(61)
    assert story.watchdog.blind


def test_a_reload_with_another_watchdog_waits_until_that_is_heard_of() -> None:
    story = Story()
    story.hear(firing=True)
    story.watchdog.configure(configured(alertname="Other"))
    story.wait(1000)
    assert not story.watchdog.blind
    story.hear(firing=True, name="Other")
    story.wait(61)
    assert story.watchdog.blind
