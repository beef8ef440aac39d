"""Dead man's switch: detects that alerting itself is down.

The watchdog is an alert that always fires. If it is resolved, or no notification of it arrives for too long,
the sidecar is *blind*: it cannot know whether other alerts are still firing.

A dead Prometheus looks like a recovery: about four minutes later Alertmanager reports all its alerts as
resolved, including the watchdog, in any order. So while the sidecar is blind, a resolve ends no signal. When
it becomes blind, signals that ended since the last notification of the watchdog, or shortly before it, are
restored. When the watchdog fires again, alerts have a grace period to fire again. After that the resolves are
accepted, if the watchdog was received once more and, where a query is possible, Alertmanager was queried.

A watchdog that was never received since it was configured is a configuration error and does not mean that
Prometheus is down. A warning is logged early and repeated. The sidecar is not blind, and no signal is
restored.

The history records that the sidecar is blind, and the store records that the watchdog was received. So both
are known after a restart.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sidecar.alerts import Alert, Notification
from sidecar.clock import Clock
from sidecar.config import AlertsConfig
from sidecar.core.commands import (
    AcceptResolves,
    AddHistoryNote,
    ClaimState,
    Command,
    CommandOutcome,
    ReceiveAlerts,
    RememberWatchdog,
    RevertResolves,
)
from sidecar.core.events import HoldLifted, SignalDropped
from sidecar.core.state import WellbeingState
from sidecar.core.values import AGENT_PREFIX, Hold, HoldKind, ScopeRecord, Signal
from sidecar.store import WatchdogNotice

logger = logging.getLogger(__name__)

SOURCE = AGENT_PREFIX + "wellbeing-watchdog"
KIND = "blind"
"""Kind of the history entries; ``to`` is ``blind`` or ``seeing``."""

_CORRELATED_RESOLVE_SECS = 120.0
"""The alerts of a dead Prometheus end within one evaluation interval and one group interval."""

_MAX_REMEMBERED = 10_000

_UNSEEN_WARN_SECS = 60.0
"""A routed watchdog is received within its `repeat_interval`, or one group interval after it fires."""

_UNSEEN_REPEAT_SECS = 3600.0
_UNSEEN_REMEDY = (
    "route it to the sidecar's webhook, with a repeat_interval below alerts.watchdog.timeout_secs; until "
    "then the sidecar cannot distinguish a dead Prometheus from a recovery"
)


@dataclass(frozen=True, slots=True)
class _Ended:
    at: float
    scope: str
    signal: Signal
    hold: Hold | None
    lifted: bool


class Watchdog:
    """Decides whether the sidecar is blind.

    Args:
        config: names the watchdog alert; without a name the sidecar is never blind.
        clock: the clock.
        enqueue: submits a command; commands are applied in order.
        records: the records of the controller, by scope; they are read again when alerts end.
        was_blind: whether the sidecar was blind by the last entry of the history.
        seen_alertname: name of the watchdog alert that was received before the start; empty: none.
        acts: whether this sidecar's commands are applied; in a fleet only the leader's commands are.
    """

    def __init__(
        self,
        config: AlertsConfig,
        clock: Clock,
        enqueue: Callable[[Command], None],
        records: Mapping[str, ScopeRecord],
        *,
        was_blind: bool = False,
        seen_alertname: str = "",
        acts: Callable[[], bool] = lambda: True,
    ) -> None:
        self._config = config
        self._acts = acts
        self._records = records
        self._seen_alertname = seen_alertname
        self._clock = clock
        self._enqueue = enqueue
        self._last_seen_at = clock.monotonic()
        self._resolved_at = self._last_seen_at
        self._queried_at = 0.0
        self._seen_by_this_process = False
        self._warn_at = self._last_seen_at + self._warn_secs
        self._listed_by_alertmanager = False
        self._missing = False
        self._recovering_since: float | None = None
        self._newest: WatchdogNotice | None = None
        self._ended: deque[_Ended] = deque(maxlen=_MAX_REMEMBERED)
        signals = [(scope, signal) for scope, record in records.items() for signal in record.signals.values()]
        self._claimed = [(scope, signal.state) for scope, signal in signals if signal.source == SOURCE]
        self._resolved = self._blind = bool(self.alertname) and was_blind
        if self._blind:
            # Without a received watchdog the sidecar would not have been blind.
            self._mark_seen()
            fields = {"alertname": self.alertname, "why": "it was blind before the restart"}
            logger.error("blind", extra={"fields": fields})
        elif any(signal.ended_at is not None for _, signal in signals):
            # The sidecar was recovering, or the watchdog is no longer configured.
            self._recovering_since = self._last_seen_at
            if not self.alertname:
                self._accept_resolves()
        self._update_claim()

    @property
    def blind(self) -> bool:
        """Whether resolves are not accepted at the moment."""
        return self._blind

    @property
    def seen(self) -> bool:
        """Whether the watchdog was received since it was configured, by this process or an earlier one."""
        return bool(self.alertname) and self._seen_alertname == self.alertname

    @property
    def ignores_missing_alerts(self) -> bool:
        """Whether missing alerts must not end: the sidecar is blind or recovers, or misses the watchdog."""
        doubtful = self._blind or self._recovering_since is not None or self._missing
        return bool(self.alertname) and self._config.hold_while_blind and doubtful

    @property
    def alertname(self) -> str:
        """Name of the watchdog alert; empty: no watchdog is configured."""
        return self._config.watchdog.alertname

    def configure(self, config: AlertsConfig) -> None:
        """Apply a new config. A blind sidecar stays blind until the watchdog, or a new one, is received."""
        if config.watchdog.alertname != self.alertname:
            self._last_seen_at, self._resolved = self._clock.monotonic(), self._blind
            self._seen_by_this_process = self._listed_by_alertmanager = self._missing = False
            self._newest = None
        self._warn_at = self._clock.monotonic() + self._warn_secs
        self._config = config
        self.check()
        self._update_claim()
        if not (config.hold_while_blind and self.alertname):
            self._accept_resolves()

    def notice_in(self, notification: Notification) -> WatchdogNotice | None:
        """What ``notification`` says about the watchdog alert. Pass it to `receive`.

        Returns:
            None: the alert is not in the notification, or has fired again since it was resolved: Alertmanager
            retries notifications, and another member of its cluster may be late.
        """
        own = [alert for alert in notification.alerts if self._is_own(alert)]
        firing = [alert for alert in own if alert.firing]
        if firing:
            # A start in the future cannot be compared with an end.
            begun = [alert for alert in firing if alert.starts_at <= self._clock.now()]
            newest = max(begun, key=lambda alert: alert.starts_at, default=None)
            if newest is None:
                return WatchdogNotice(firing=True)
            return WatchdogNotice(firing=True, fingerprint=newest.fingerprint, at=newest.starts_at)
        resolved = [
            WatchdogNotice(firing=False, fingerprint=alert.fingerprint, at=alert.ends_at or 0.0)
            for alert in own
        ]
        return next((one for one in resolved if not self._is_late(one)), None)

    def receive(self, notice: WatchdogNotice) -> None:
        """Handle ``notice``. Call this before the notification is applied."""
        if not notice.firing:
            self._on_resolved(self._clock.monotonic())
            return
        if notice.fingerprint and (self._newest is None or notice.at >= self._newest.at):
            self._newest = notice
        self._on_firing()

    def record_elsewhere(self, alertname: str, firing_ago: float | None, resolved_ago: float | None) -> None:
        """Record when another sidecar received the watchdog alert.

        Args:
            alertname: the name of the alert.
            firing_ago: seconds since it was received firing; None: it never was.
            resolved_ago: seconds since it was received resolved; None: it never was.
        """
        if alertname != self.alertname:
            return
        now = self._clock.monotonic()
        firing_at = -math.inf if firing_ago is None else now - firing_ago
        resolved_at = -math.inf if resolved_ago is None else now - resolved_ago
        if firing_at > max(self._last_seen_at, self._resolved_at if self._resolved else 0.0):
            self._seen_by_this_process = True
            self._mark_seen()
            self._last_seen_at, self._resolved = firing_at, False
        if resolved_at > max(firing_at, self._last_seen_at) and not self._resolved:
            self._on_resolved(resolved_at)
        self.check()

    def record_ended_elsewhere(self, scope: str, before: ScopeRecord, source: str, ended_at: float) -> None:
        """Remember that another sidecar ended the signal of ``source``, which the record ``before`` had."""
        signal = before.signals.get(source)
        if signal is None or not (self.alertname and self._config.hold_while_blind):
            return
        lifted = before.auto is not None and self._auto_hold(scope) is None
        ended = replace(signal, ended_at=ended_at)
        self._ended.append(_Ended(self._clock.monotonic(), scope, ended, before.auto, lifted))
        if self._blind:
            self._revert_resolves()

    def take_over(self) -> None:
        """Start to act as the leader. Repeat the commands that the previous leader may not have sent."""
        signals = [
            (scope, signal) for scope, record in self._records.items() for signal in record.signals.values()
        ]
        self._claimed = [(scope, signal.state) for scope, signal in signals if signal.source == SOURCE]
        if self._blind:
            self._revert_resolves()
        elif self._recovering_since is None and any(signal.ended_at is not None for _, signal in signals):
            self._recovering_since = self._clock.monotonic()
        self._update_claim()

    def record_held_elsewhere(self) -> None:
        """Record that another sidecar was blind and held a resolve. Accept the resolve if alerting works."""
        if self._acts() and not self._blind and self._recovering_since is None:
            self._recovering_since = self._clock.monotonic()

    def record_listing(self, found: bool, *, complete: bool, queried_at: float) -> bool:  # noqa: FBT001
        """Record whether Alertmanager lists the watchdog alert.

        Args:
            found: whether Alertmanager lists the alert.
            complete: whether Alertmanager has run for long enough to know all alerts.
            queried_at: monotonic time of the query; a resolve that was received later is newer.

        Returns:
            Whether the listing counts as a received watchdog.
        """
        if complete or found:
            self._queried_at = queried_at
        if found and not (self._resolved and queried_at <= self._resolved_at):
            self._listed_by_alertmanager, self._missing = True, False
            self._on_firing()
            return True
        if not found:
            # A watchdog that arrives by webhook but is never listed belongs to another Alertmanager. A
            # watchdog that was never received is not routed here, so its absence has no meaning.
            self._missing = self.seen and (self._listed_by_alertmanager or not self._seen_by_this_process)
        return False

    def mark_blind(self, command: ReceiveAlerts) -> ReceiveAlerts:
        """``command`` with its flag ``blind`` set, so that its resolves are not accepted while blind."""
        blind = self._blind and self._config.hold_while_blind
        return command if blind == command.blind else replace(command, blind=blind)

    def record_ended(self, outcome: CommandOutcome, sources: Container[str] | None = None) -> None:
        """Remember which alerts have just ended: the resolve of the watchdog may follow.

        Args:
            outcome: outcome of a command that was submitted while the sidecar was not blind.
            sources: only alerts of these sources, which ended because they were missing; None: all.
        """
        for _ in self.record_ended_in_steps(outcome, sources):
            pass

    def record_ended_in_steps(
        self, outcome: CommandOutcome, sources: Container[str] | None = None
    ) -> Iterator[None]:
        """`record_ended`, one event in each step."""
        if not (self.alertname and self._config.hold_while_blind):
            return
        now = self._clock.monotonic()
        lifted = {
            event.scope: event.hold
            for event in outcome.events
            if isinstance(event, HoldLifted) and event.hold.kind is HoldKind.AUTO
        }
        for event in outcome.events:
            yield
            if not isinstance(event, SignalDropped) or event.expired or event.signal.kind != "alert":
                continue
            if sources is None or event.signal.source in sources:
                signal = replace(event.signal, ended_at=event.at)
                hold = lifted.get(event.scope) or self._auto_hold(event.scope)
                self._ended.append(_Ended(now, event.scope, signal, hold, event.scope in lifted))
        self._forget_old(now)
        if self._blind:
            # The command was being applied when the sidecar became blind.
            self._revert_resolves()

    def check(self) -> None:
        """Check whether blindness begins or ends. Call this every second."""
        now = self._clock.monotonic()
        self._forget_old(now)
        overdue = self.seen and now - self._last_seen_at > self._config.watchdog.timeout_secs
        blind = bool(self.alertname) and (self._resolved or overdue)
        if blind and not self._blind:
            self._begin_blindness()
        elif self._blind and not blind:
            self._end_blindness(now)
        elif (
            not blind
            and self._recovering_since is not None
            and self._is_recovered(self._recovering_since, now)
        ):
            self._accept_resolves()
        if self.alertname and not self.seen and now >= self._warn_at:
            self._warn_at = now + _UNSEEN_REPEAT_SECS
            fields = {"alertname": self.alertname, "remedy": _UNSEEN_REMEDY}
            logger.warning("watchdog_not_heard", extra={"fields": fields})

    def _on_firing(self) -> None:
        self._seen_by_this_process = True
        self._mark_seen()
        self._last_seen_at, self._resolved = self._clock.monotonic(), False
        self.check()

    def _on_resolved(self, at: float) -> None:
        self._mark_seen()
        self._resolved, self._resolved_at = True, at
        self.check()

    def _mark_seen(self) -> None:
        if not self.seen:
            self._seen_alertname = self.alertname
            self._enqueue(RememberWatchdog(self.alertname))

    @property
    def _warn_secs(self) -> float:
        return min(self._config.watchdog.timeout_secs, _UNSEEN_WARN_SECS)

    def _auto_hold(self, scope: str) -> Hold | None:
        record = self._records.get(scope)
        return record.auto if record else None

    def _is_own(self, alert: Alert) -> bool:
        return bool(self.alertname) and alert.labels.get("alertname") == self.alertname

    def _is_late(self, resolved: WatchdogNotice) -> bool:
        newest = self._newest
        return newest is not None and newest.fingerprint == resolved.fingerprint and resolved.at < newest.at

    def _is_recovered(self, since: float, now: float) -> bool:
        watchdog = self._config.watchdog
        if now - since < watchdog.grace_secs or self._last_seen_at <= since:
            # A single notification may be a retry of an old one.
            return False
        is_queried = not self._config.alertmanager_urls or self._queried_at >= since + watchdog.grace_secs
        return is_queried or now - since >= watchdog.grace_secs + watchdog.timeout_secs

    def _accept_resolves(self) -> None:
        self._recovering_since = None
        self._enqueue(AcceptResolves())

    def _begin_blindness(self) -> None:
        self._blind = True
        self._recovering_since = None
        logger.error("blind", extra={"fields": {"alertname": self.alertname, "why": self._why}})
        self._enqueue(
            AddHistoryNote("", KIND, "seeing", "blind", SOURCE, f"the alert {self.alertname} is {self._why}")
        )
        self._revert_resolves()
        self._update_claim()

    def _end_blindness(self, now: float) -> None:
        self._blind = False
        self._recovering_since = now
        logger.warning("sees_again", extra={"fields": {"alertname": self.alertname}})
        why = "the watchdog is no longer configured"
        if self.alertname:
            why = f"the alert {self.alertname} fires again"
        self._enqueue(AddHistoryNote("", KIND, "blind", "seeing", SOURCE, why))
        self._update_claim()

    def _revert_resolves(self) -> None:
        if self._ended:
            signals = tuple((one.scope, one.signal) for one in self._ended)
            self._enqueue(RevertResolves(signals, tuple(_holds_of(self._ended))))
            if self._acts():
                self._ended.clear()

    @property
    def _why(self) -> str:
        return "resolved" if self._resolved else f"silent for {self._config.watchdog.timeout_secs:g} s"

    def _update_claim(self) -> None:
        """Make the claim that the config asks for while blind, and withdraw other claims."""
        watchdog = self._config.watchdog
        wanted = []
        if self._blind and watchdog.state:
            wanted = [(watchdog.scope, WellbeingState.parse(watchdog.state))]
        for scope, state in self._claimed:
            if (scope, state) not in wanted:
                self._enqueue(ClaimState(scope, SOURCE, WellbeingState.HEALTHY, "alerting works again"))
        for scope, state in wanted:
            if (scope, state) not in self._claimed:
                reason = f"the alert {self.alertname} is {self._why}: alerting is down"
                self._enqueue(ClaimState(scope, SOURCE, state, reason))
        self._claimed = wanted

    def _forget_old(self, now: float) -> None:
        known_well = min(now, self._last_seen_at) if self.alertname else now
        while self._ended and self._ended[0].at < known_well - _CORRELATED_RESOLVE_SECS:
            self._ended.popleft()


def _holds_of(ended: Iterable[_Ended]) -> Iterator[tuple[str, Hold]]:
    """The auto hold that each scope would have now if none of ``ended`` had ended."""
    last: dict[str, _Ended] = {}
    for one in ended:
        before = last.get(one.scope)
        if one.hold is not None:
            same_lift = before is not None and before.lifted and one.lifted and before.hold == one.hold
            if before is None or not same_lift or one.signal.state > before.signal.state:
                # Several signals of one notification may have ended with the hold. The worst of these signals
                # kept the hold.
                last[one.scope] = one
        elif before and (not before.lifted or one.signal.state >= before.signal.state):
            # This signal alone would have paused the scope, but there was no hold: that pause had ended.
            del last[one.scope]
    for scope, one in last.items():
        if one.hold is not None:
            yield scope, one.hold
