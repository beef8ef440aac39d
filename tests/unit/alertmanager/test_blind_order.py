"""The resolves of a dead Prometheus lead to the same state in any order and grouping."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.examples import examples
from sidecar.alertmanager.notifications import AlertInterpreter
from sidecar.alertmanager.watchdog import Watchdog
from sidecar.alerts import Alert, Notification
from sidecar.config import AlertsConfig, WatchdogConfig
from sidecar.core.commands import Expire, Resume
from sidecar.core.model import CoreState
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.transaction import Transaction

POLICIES = PolicyTable(
    Policy(pause_on_distressed=True, max_pause_secs=0),
    (
        ("a", Policy(pause_on_distressed=True, max_pause_secs=10_000)),
        ("b", Policy(pause_on_concerned=True, max_pause_secs=10_000)),
        ("c", Policy(pause_on_distressed=True, min_pause_secs=5.0, max_pause_secs=0)),
    ),
)
CONFIG = AlertsConfig(watchdog=WatchdogConfig(alertname="Watchdog", timeout_secs=600.0, grace_secs=30.0))
BEGAN, ENDED = 900.0, 1050.0


@dataclass
class Sidecar:
    """The core, the interpreter and the watchdog without an event loop. Commands are applied at once."""

    at: float = 1000.0
    orders: list = field(default_factory=list)

    def __post_init__(self) -> None:
        self.core_state = CoreState(POLICIES)
        self.interpreter = AlertInterpreter(CONFIG)
        self.watchdog = Watchdog(CONFIG, self, self.orders.append, self.core_state.records)

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def apply(self, command):
        transaction = Transaction(self.core_state)
        outcome = transaction.apply_command(command, self.at)
        self.core_state.apply(transaction)
        return outcome

    def pass_time(self, secs: float) -> None:
        self.at += secs
        self.apply(Expire(tuple(self.core_state.records)))
        self.watchdog.check()
        self.run_commands()

    def run_commands(self) -> None:
        while self.orders:
            self.apply(self.orders.pop(0))

    def notify(self, *alerts: Alert) -> None:
        notification = Notification("r", "g", 0, alerts)
        notice = self.watchdog.notice_in(notification)
        if notice is not None:
            self.watchdog.receive(notice)
        self.run_commands()
        command = self.interpreter.interpret(notification, self.at).command
        self.watchdog.record_ended(self.apply(self.watchdog.mark_blind(command)))
        self.run_commands()

    @property
    def state_without_lift_times(self):
        """The state, without the values that depend on when a pause was lifted in between."""
        return {
            scope: (
                record.state,
                record.auto and (record.auto.since, record.auto.until),
                record.episode is not None and record.episode.suppressed,
                {source: (one.since, one.ended_at) for source, one in record.signals.items()},
            )
            for scope, record in self.core_state.records.items()
            if not record.is_empty
        }, {source: one.ended_at for source, one in self.core_state.tombstones.items()}


def alert(name: str, *, firing: bool) -> Alert:
    labels = {"alertname": name, "severity": "none"}
    if name != "Watchdog":
        scope, severity = {"d": "critical", "w": "warning"}, name[1]
        labels = {"alertname": name, "severity": scope[severity], "wellbeing_scope": name[0]}
    return Alert(firing, labels, {}, BEGAN, None if firing else ENDED, f"f{name}")


NAMES = st.sets(
    st.builds("".join, st.tuples(st.sampled_from("abc"), st.sampled_from("dw"), st.sampled_from("12")))
)


@st.composite
def splittings(draw, names):
    """The names in any order, split into notifications, and the seconds between the notifications."""
    order = draw(st.permutations([*sorted(names), "Watchdog"]))
    groups = [[order[0]]]
    for name in order[1:]:
        if draw(st.booleans()):
            groups.append([name])
        else:
            groups[-1].append(name)
    return [(group, draw(st.sampled_from([0.0, 1.0, 7.0]))) for group in groups]


@settings(max_examples=examples(40))
@given(st.data(), NAMES, st.booleans())
def test_the_same_signals_are_restored_in_any_order_and_grouping(data, names, resumed) -> None:
    again = data.draw(st.sets(st.sampled_from(sorted(names)))) if names else set()
    pictures = []
    for _ in range(2):
        sidecar = Sidecar()
        sidecar.notify(alert("Watchdog", firing=True))
        sidecar.notify(*(alert(name, firing=True) for name in sorted(names)))
        if resumed:
            for scope in "abc":
                if scope in sidecar.core_state.records:
                    sidecar.apply(Resume(scope, "operator"))
        sidecar.pass_time(30.0)
        before, _ = sidecar.state_without_lift_times
        for group, secs in data.draw(splittings(names)):
            sidecar.notify(*(alert(name, firing=False) for name in group))
            sidecar.pass_time(secs)
        sidecar.at = 1100.0
        sidecar.pass_time(0.0)
        assert sidecar.watchdog.blind
        blind, tombstones = sidecar.state_without_lift_times
        # The state is as before. Each signal has the time of its resolve.
        assert tombstones == {}
        assert {scope: one[:3] for scope, one in blind.items()} == {
            scope: one[:3] for scope, one in before.items()
        }
        assert all(ended == ENDED for one in blind.values() for _, ended in one[3].values())
        # Prometheus continues with some of its alerts.
        sidecar.notify(alert("Watchdog", firing=True))
        sidecar.notify(*(alert(name, firing=True) for name in sorted(again)))
        sidecar.pass_time(40.0)
        sidecar.notify(alert("Watchdog", firing=True))
        sidecar.pass_time(1.0)
        assert {one for record in sidecar.core_state.records.values() for one in record.signals} == {
            f"alert:f{name}" for name in again
        }
        pictures.append((blind, sidecar.state_without_lift_times))
    assert pictures[0] == pictures[1]


def test_a_revert_restores_the_hold_with_its_worst_signal_as_the_cause() -> None:
    # Two resolves in one notification, and one of an alert that would not have paused by itself.
    sidecar = Sidecar()
    sidecar.notify(alert("Watchdog", firing=True))
    names = ("ad1", "aw1", "aw2")
    sidecar.notify(*(alert(name, firing=True) for name in names))
    sidecar.pass_time(30.0)
    before, _ = sidecar.state_without_lift_times
    for group in (("ad1", "aw1"), ("aw2",), ("Watchdog",)):
        sidecar.notify(*(alert(name, firing=False) for name in group))
    assert sidecar.state_without_lift_times[0]["a"][:3] == before["a"][:3]
