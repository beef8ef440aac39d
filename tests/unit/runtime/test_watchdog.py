"""The dead man's switch, with a clock that the test moves."""

from __future__ import annotations

import pytest

from sidecar.alerts import Alert, Notification
from sidecar.config import AlertsConfig, WatchdogConfig
from sidecar.core.changes import SignalDropped
from sidecar.core.commands import Believe, Claim, Disbelieve, Notify
from sidecar.core.draft import Outcome
from sidecar.core.state import WellbeingState
from sidecar.core.values import ScopeRecord, Signal
from sidecar.runtime.watchdog import SOURCE, Watchdog

SIGNAL = Signal("alert:a", WellbeingState.DISTRESSED, "why", 50.0)


class HandClock:
    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


class Story:
    def __init__(self, records=None, *, hold: bool = True, **watchdog) -> None:
        self.clock = HandClock()
        self.orders = []
        self.config = configured(hold=hold, **watchdog)
        self.watchdog = Watchdog(self.config, self.clock, self.orders.append, records or {})

    def hear(self, *, firing: bool, name: str = "Watchdog") -> None:
        alert = Alert(firing, {"alertname": name}, {}, 1.0, None if firing else 2.0, "f")
        self.watchdog.hear(Notification("r", "g", 0, (alert,)))

    def wait(self, secs: float) -> None:
        self.clock.at += secs
        self.watchdog.look()

    def drop(self, signal: Signal = SIGNAL, *, expired: bool = False, sources=None) -> None:
        change = SignalDropped("s", self.clock.at, signal, expired)
        self.watchdog.note(Outcome((change,)), sources)

    def guarded(self) -> bool:
        return self.watchdog.guard(Notify(())).blind


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
    story.wait(50)
    story.hear(firing=True)
    story.wait(50)
    story.hear(firing=True)
    story.wait(50)
    story.drop()
    story.drop(Signal("agent:x", WellbeingState.DISTRESSED, "", 1.0))
    story.drop(Signal("alert:expired", WellbeingState.DISTRESSED, "", 1.0), expired=True)
    story.drop(Signal("alert:silenced", WellbeingState.DISTRESSED, "", 1.0), sources={"alert:other"})
    story.hear(firing=False)
    [order] = story.orders
    assert isinstance(order, Disbelieve)
    [(scope, signal)] = order.signals
    assert (scope, signal.source, signal.ended_at) == ("s", "alert:a", story.clock.at)


def test_what_was_under_way_when_it_went_blind_is_taken_back_too() -> None:
    story = Story()
    story.hear(firing=False)
    assert story.orders == []
    story.drop()
    assert [type(order) for order in story.orders] == [Disbelieve]


def test_what_was_resolved_is_believed_after_the_grace() -> None:
    story = Story()
    story.hear(firing=False)
    story.wait(5)
    story.hear(firing=True)
    assert not story.watchdog.blind
    assert story.watchdog.doubtful
    assert not story.guarded(), "who sees again is believed"
    story.wait(29)
    assert story.orders == []
    story.wait(1)
    assert story.orders == [Believe()]
    assert not story.watchdog.doubtful


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
    assert not story.watchdog.doubtful
    assert story.orders == []


UNBELIEVED = {
    "s": ScopeRecord(signals={"alert:a": Signal("alert:a", WellbeingState.DISTRESSED, "", 1.0, ended_at=2.0)})
}
CLAIMED = {"a": ScopeRecord(signals={SOURCE: Signal(SOURCE, WellbeingState.CONCERNED, "", 1.0)})}


def test_who_was_blind_before_a_restart_is_blind_after_it() -> None:
    story = Story(UNBELIEVED)
    assert story.watchdog.blind
    story.hear(firing=True)
    story.wait(30)
    assert story.orders == [Believe()]


def test_a_restart_without_a_watchdog_leaves_nothing_in_doubt() -> None:
    story = Story({**UNBELIEVED, **CLAIMED}, alertname="")
    assert [type(order) for order in story.orders] == [Believe, Claim]
    assert story.orders[1].state is WellbeingState.HEALTHY


@pytest.mark.parametrize("change", [{"alertname": ""}, {"alertname": "Other"}])
def test_a_reload_with_another_watchdog_begins_anew(change: dict) -> None:
    story = Story()
    story.hear(firing=False)
    story.watchdog.configure(configured(**change))
    assert not story.watchdog.blind
