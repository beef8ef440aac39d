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


class ManualClock:
    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


class Driver:
    def __init__(
        self,
        records=None,
        *,
        hold: bool = True,
        was_blind: bool = False,
        seen: str = "",
        urls=(),
        **watchdog,
    ) -> None:
        self.clock = ManualClock()
        self.all_commands = []
        self.config = replace(configured(hold=hold, **watchdog), alertmanager_urls=urls)
        self.watchdog = Watchdog(
            self.config,
            self.clock,
            self.all_commands.append,
            records or {},
            was_blind=was_blind,
            seen_alertname=seen,
        )

    @property
    def commands(self) -> list:
        """The commands without history notes and without the name of the watchdog."""
        ignored = (AddHistoryNote, RememberWatchdog)
        return [command for command in self.all_commands if not isinstance(command, ignored)]

    def receive(self, *, firing: bool, name: str = "Watchdog") -> None:
        alert = Alert(firing, {"alertname": name}, {}, 1.0, None if firing else 2.0, "f")
        self.notify(alert)

    def notify(self, *alerts: Alert) -> None:
        notice = self.watchdog.notice_in(Notification("r", "g", 0, alerts))
        if notice is not None:
            self.watchdog.receive(notice)

    def wait(self, secs: float) -> None:
        self.clock.at += secs
        self.watchdog.check()

    def drop(self, signal: Signal = SIGNAL, *, expired: bool = False, sources=None) -> None:
        event = SignalDropped("s", self.clock.at, signal, expired)
        self.watchdog.record_ended(CommandOutcome((event,)), sources)

    def marks_blind(self) -> bool:
        return self.watchdog.mark_blind(ReceiveAlerts(())).blind


def configured(*, hold: bool = True, **watchdog) -> AlertsConfig:
    settings = {"alertname": "Watchdog", "timeout_secs": 60.0, "grace_secs": 30.0, **watchdog}
    return AlertsConfig(watchdog=WatchdogConfig(**settings), hold_while_blind=hold)


def test_without_a_watchdog_the_sidecar_is_never_blind() -> None:
    driver = Driver(alertname="")
    driver.receive(firing=False, name="")
    driver.wait(1e6)
    assert not driver.watchdog.blind
    assert driver.commands == []


def test_the_sidecar_is_blind_after_the_timeout_without_a_notification() -> None:
    driver = Driver()
    driver.wait(60)
    assert not driver.watchdog.blind
    driver.receive(firing=True)
    driver.wait(60)
    assert not driver.watchdog.blind
    driver.receive(firing=True, name="Another")
    driver.wait(0.1)
    assert driver.watchdog.blind
    assert driver.marks_blind()


def test_a_resolved_watchdog_makes_the_sidecar_blind_at_once() -> None:
    driver = Driver()
    driver.receive(firing=False)
    assert driver.watchdog.blind


def test_alerts_that_ended_shortly_before_the_watchdog_are_restored() -> None:
    driver = Driver()
    driver.drop(Signal("alert:old", WellbeingState.DISTRESSED, "", 1.0))
    for _ in range(3):
        driver.wait(50)
        driver.receive(firing=True)
    driver.wait(50)
    driver.drop()
    driver.drop(Signal("agent:x", WellbeingState.DISTRESSED, "", 1.0))
    driver.drop(Signal("alert:expired", WellbeingState.DISTRESSED, "", 1.0), expired=True)
    driver.drop(Signal("alert:silenced", WellbeingState.DISTRESSED, "", 1.0), sources={"alert:other"})
    driver.receive(firing=False)
    [command] = driver.commands
    assert isinstance(command, RevertResolves)
    [(scope, signal)] = command.signals
    assert (scope, signal.source, signal.ended_at) == ("s", "alert:a", driver.clock.at)


def test_a_resolve_that_was_being_applied_when_blindness_began_is_reverted() -> None:
    driver = Driver()
    driver.receive(firing=False)
    assert driver.commands == []
    driver.drop()
    assert [type(command) for command in driver.commands] == [RevertResolves]


def test_resolves_are_accepted_after_the_grace_period_and_a_second_notification() -> None:
    driver = Driver()
    driver.receive(firing=False)
    driver.wait(5)
    driver.receive(firing=True)
    assert not driver.watchdog.blind
    assert driver.watchdog.ignores_missing_alerts
    assert not driver.marks_blind(), "the sidecar is no longer blind"
    driver.wait(31)
    assert driver.commands == [], "a single notification may be a retry of an old notification"
    driver.receive(firing=True)
    assert driver.commands == [AcceptResolves()]
    assert not driver.watchdog.ignores_missing_alerts
    notes = [
        (command.old, command.new) for command in driver.all_commands if isinstance(command, AddHistoryNote)
    ]
    assert notes == [("seeing", "blind"), ("blind", "seeing")]


def test_resolves_are_accepted_only_after_alertmanager_was_queried() -> None:
    driver = Driver(urls=("http://x",))
    driver.receive(firing=False)
    driver.receive(firing=True)
    driver.wait(10)
    driver.watchdog.record_listing(True, complete=True, queried_at=driver.clock.at)
    driver.wait(25)
    assert driver.commands == []
    driver.watchdog.record_listing(True, complete=True, queried_at=driver.clock.at)
    assert driver.commands == [AcceptResolves()]


def test_resolves_are_accepted_after_a_timeout_if_alertmanager_does_not_answer() -> None:
    driver = Driver(urls=("http://x",))
    driver.receive(firing=False)
    driver.receive(firing=True)
    for _ in range(9):
        driver.wait(10)
        driver.receive(firing=True)
    assert driver.commands == [AcceptResolves()]


def test_a_query_from_before_a_resolve_does_not_override_it() -> None:
    driver = Driver()
    queried_at = driver.clock.at
    driver.wait(1)
    driver.receive(firing=False)
    driver.wait(1)
    driver.watchdog.record_listing(True, complete=True, queried_at=queried_at)
    assert driver.watchdog.blind
    driver.watchdog.record_listing(True, complete=True, queried_at=driver.clock.at)
    assert not driver.watchdog.blind


def test_missing_alerts_do_not_end_if_the_watchdog_is_missing_too() -> None:
    driver = Driver()
    driver.watchdog.record_listing(False, complete=True, queried_at=driver.clock.at)
    assert not driver.watchdog.ignores_missing_alerts, "a watchdog that was never received is not routed here"
    driver.watchdog.record_listing(True, complete=True, queried_at=driver.clock.at)
    assert not driver.watchdog.ignores_missing_alerts
    driver.watchdog.record_listing(False, complete=True, queried_at=driver.clock.at)
    assert driver.watchdog.ignores_missing_alerts, "the watchdog was listed before"


def test_a_watchdog_that_only_another_alertmanager_sends_need_not_be_listed() -> None:
    driver = Driver()
    driver.receive(firing=True)
    driver.watchdog.record_listing(False, complete=True, queried_at=driver.clock.at)
    assert not driver.watchdog.ignores_missing_alerts


def test_a_timeout_restores_all_alerts_that_ended_since_the_last_notification() -> None:
    driver = Driver(timeout_secs=600.0)
    driver.receive(firing=True)
    driver.wait(50)
    driver.drop()
    driver.wait(551)
    assert driver.watchdog.blind
    assert [signal.source for command in driver.commands for _, signal in command.signals] == ["alert:a"]


def test_no_resolve_is_accepted_if_blindness_returns_within_the_grace_period() -> None:
    driver = Driver()
    driver.receive(firing=False)
    driver.receive(firing=True)
    driver.wait(10)
    driver.receive(firing=False)
    driver.wait(50)
    assert driver.commands == []


def test_blindness_is_claimed_and_withdrawn() -> None:
    driver = Driver(state="concerned", scope="a")
    driver.receive(firing=False)
    [claim] = driver.commands
    assert (claim.scope, claim.source, claim.state) == ("a", SOURCE, WellbeingState.CONCERNED)
    assert "Watchdog" in claim.reason
    driver.watchdog.configure(configured(state="cautious", scope="b"))
    assert [(command.scope, command.state.label) for command in driver.commands[1:]] == [
        ("a", "healthy"),
        ("b", "cautious"),
    ]
    driver.receive(firing=True)
    assert (driver.commands[-1].scope, driver.commands[-1].state) == ("b", WellbeingState.HEALTHY)


def test_without_hold_while_blind_every_resolve_is_accepted() -> None:
    driver = Driver(hold=False)
    driver.drop()
    driver.receive(firing=False)
    assert driver.watchdog.blind
    assert not driver.marks_blind()
    assert not driver.watchdog.ignores_missing_alerts
    assert driver.commands == []


NOT_ACCEPTED = {
    "s": ScopeRecord(signals={"alert:a": Signal("alert:a", WellbeingState.DISTRESSED, "", 1.0, ended_at=2.0)})
}
CLAIMED = {"a": ScopeRecord(signals={SOURCE: Signal(SOURCE, WellbeingState.CONCERNED, "", 1.0)})}


@pytest.mark.parametrize("records", [{}, NOT_ACCEPTED])
def test_the_sidecar_is_blind_after_a_restart_if_it_was_before(records) -> None:
    driver = Driver(records, was_blind=True)
    assert driver.watchdog.blind
    assert driver.marks_blind()
    driver.receive(firing=True)
    driver.wait(30)
    driver.receive(firing=True)
    assert driver.commands == [AcceptResolves()]


def test_the_grace_period_begins_again_after_a_restart_during_recovery() -> None:
    driver = Driver(NOT_ACCEPTED)
    assert not driver.watchdog.blind
    assert driver.watchdog.ignores_missing_alerts
    driver.wait(30)
    assert driver.commands == []
    driver.receive(firing=True)
    assert driver.commands == [AcceptResolves()]


def test_a_restart_without_a_watchdog_accepts_all_resolves() -> None:
    driver = Driver({**NOT_ACCEPTED, **CLAIMED}, alertname="")
    assert [type(command) for command in driver.commands] == [AcceptResolves, ClaimState]
    assert driver.commands[1].state is WellbeingState.HEALTHY


def test_a_reload_without_a_watchdog_ends_blindness_and_accepts_all_resolves() -> None:
    driver = Driver()
    driver.receive(firing=False)
    driver.watchdog.configure(configured(alertname=""))
    assert not driver.watchdog.blind
    assert driver.commands == [AcceptResolves()]


def test_a_reload_with_another_watchdog_stays_blind_until_that_is_received() -> None:
    driver = Driver()
    driver.receive(firing=False)
    driver.watchdog.configure(configured(alertname="Other"))
    assert driver.watchdog.blind
    driver.receive(firing=True)
    assert driver.watchdog.blind
    driver.receive(firing=True, name="Other")
    assert not driver.watchdog.blind


def test_a_watchdog_that_was_never_received_causes_no_blindness_and_no_revert() -> None:
    driver = Driver(state="distressed", urls=("http://x",))
    driver.drop()
    for _ in range(100):
        driver.wait(60)
        driver.watchdog.record_listing(False, complete=True, queried_at=driver.clock.at)
        assert not driver.watchdog.blind
        assert not driver.marks_blind()
        assert not driver.watchdog.ignores_missing_alerts
    assert not driver.watchdog.seen
    assert driver.all_commands == []


@pytest.mark.parametrize(("timeout", "early"), [(600.0, 60.0), (20.0, 20.0)])
def test_a_watchdog_that_was_never_received_is_logged_early_and_seldom_again(caplog, timeout, early) -> None:
    driver = Driver(timeout_secs=timeout)
    driver.wait(early - 1)
    assert caplog.messages == []
    driver.wait(1)
    for _ in range(59):
        driver.wait(60)
    assert caplog.messages == ["watchdog_not_heard"]
    driver.wait(60)
    assert caplog.messages == ["watchdog_not_heard"] * 2
    assert "repeat_interval" in caplog.records[0].fields["remedy"]
    driver.receive(firing=True)
    caplog.clear()
    for _ in range(400):
        driver.wait(15)
        driver.receive(firing=True)
    assert caplog.messages == []


def test_the_first_receipt_of_the_watchdog_is_stored_once() -> None:
    driver = Driver()
    driver.receive(firing=True)
    driver.receive(firing=True)
    assert driver.watchdog.seen
    assert driver.all_commands == [RememberWatchdog("Watchdog")]


def test_a_watchdog_that_was_received_before_a_restart_causes_blindness_after_it() -> None:
    driver = Driver(seen="Watchdog")
    assert driver.watchdog.seen
    driver.watchdog.record_listing(False, complete=True, queried_at=driver.clock.at)
    assert driver.watchdog.ignores_missing_alerts
    driver.wait(61)
    assert driver.watchdog.blind


def test_a_watchdog_with_another_name_was_not_received(caplog) -> None:
    driver = Driver(seen="Other")
    driver.wait(61)
    assert not driver.watchdog.blind
    assert caplog.messages == ["watchdog_not_heard"]
    driver.watchdog.configure(configured(alertname="Other"))
    driver.wait(61)
    assert driver.watchdog.blind


def test_a_reload_with_another_watchdog_waits_until_that_is_received() -> None:
    driver = Driver()
    driver.receive(firing=True)
    driver.watchdog.configure(configured(alertname="Other"))
    driver.wait(1000)
    assert not driver.watchdog.blind
    driver.receive(firing=True, name="Other")
    driver.wait(61)
    assert driver.watchdog.blind


def test_a_resolve_that_a_blind_sidecar_of_the_fleet_held_back_is_accepted() -> None:
    driver = Driver()
    driver.receive(firing=True)
    driver.watchdog.record_held_elsewhere()
    assert driver.watchdog.ignores_missing_alerts
    driver.wait(31)
    driver.receive(firing=True)
    assert driver.commands == [AcceptResolves()]


def test_a_query_reports_whether_it_counts_as_a_received_watchdog() -> None:
    driver = Driver()
    driver.receive(firing=True)
    assert driver.watchdog.record_listing(True, complete=True, queried_at=driver.clock.at)
    assert not driver.watchdog.record_listing(False, complete=True, queried_at=driver.clock.at)
    queried_at = driver.clock.at
    driver.wait(1)
    driver.receive(firing=False)
    assert not driver.watchdog.record_listing(True, complete=True, queried_at=queried_at)


def watchdog_alert(
    *, firing: bool, since: float, until: float | None = None, fingerprint: str = "f"
) -> Alert:
    return Alert(firing, {"alertname": "Watchdog"}, {}, since, until, fingerprint)


def test_a_resolve_that_is_older_than_the_firing_alert_is_late() -> None:
    """Alertmanager may retry a notification, and another member of its cluster may send it late."""
    driver = Driver()
    driver.notify(watchdog_alert(firing=True, since=900.0))
    old = watchdog_alert(firing=False, since=900.0, until=950.0)
    driver.notify(old)
    assert driver.watchdog.blind
    driver.notify(watchdog_alert(firing=True, since=960.0))
    assert not driver.watchdog.blind
    driver.notify(old)
    assert not driver.watchdog.blind
    # It ends for the second time.
    driver.notify(watchdog_alert(firing=False, since=960.0, until=990.0))
    assert driver.watchdog.blind


@pytest.mark.parametrize(
    ("firing", "resolved"),
    [
        pytest.param(
            {"since": 960.0}, {"since": 900.0, "until": 950.0, "fingerprint": "g"}, id="another alert"
        ),
        pytest.param({"since": 1900.0}, {"since": 900.0, "until": 950.0}, id="a start in the future"),
        pytest.param({"since": 900.0}, {"since": 900.0, "until": 900.0}, id="it ends when it starts"),
    ],
)
def test_a_resolve_that_may_be_new_makes_the_sidecar_blind(firing: dict, resolved: dict) -> None:
    driver = Driver()
    driver.notify(watchdog_alert(firing=True, **firing))
    driver.notify(watchdog_alert(firing=False, **resolved))
    assert driver.watchdog.blind
