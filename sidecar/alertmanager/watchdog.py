"""The dead man's switch: whether those who watch are watching.

A Prometheus that dies looks like recovery: about four minutes later Alertmanager tells that all its
alerts are resolved, the watchdog's too, in any order. So while the watchdog is silent or resolved, a
resolve lifts nothing; and when the watchdog is found to be, what ended since it was last heard of, or
shortly before, is taken back. Once the watchdog fires again, a grace is given for alerts to fire anew. Then,
if it was heard of again and, where Alertmanager can be asked, that was asked, what was resolved and is still
silent is believed.

A watchdog that was never heard of since it was configured is a mistake in the wiring, and says nothing of
Prometheus: it is warned of early and again, nobody is blind, and nothing is taken back.

That it is blind is written into the history, and that the watchdog was heard of into the store. So both are
known after a restart.
"""

from __future__ import annotations

import logging
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

logger = logging.getLogger(__name__)

SOURCE = AGENT_PREFIX + "wellbeing-watchdog"
KIND = "blind"
"""Of the history's entries; ``to`` is ``blind`` or ``seeing``."""

_CORRELATED_RESOLVE_SECS = 120.0
"""Alerts of one dead Prometheus end within an evaluation interval and a group interval of each other."""

_MAX_REMEMBERED = 10_000

_UNHEARD_WARN_SECS = 60.0
"""A watchdog that is wired is heard of within its `repeat_interval`, or a group interval after it fires."""

_UNHEARD_AGAIN_SECS = 3600.0
_UNHEARD_REMEDY = (
    "route it to the sidecar's webhook, with a repeat_interval below alerts.watchdog.timeout_secs; until "
    "then nothing tells a dead Prometheus from a recovery"
)


@dataclass(frozen=True, slots=True)
class _Ended:
    at: float
    scope: str
    signal: Signal
    hold: Hold | None
    lifted: bool


class Watchdog:
    """Says whether the sidecar is blind.

    Args:
        config: the watchdog's alert; without a name nobody is ever blind.
        clock: tells the time.
        order: has a command done, in order.
        records: the controller's, by scope; they are read again when alerts end.
        was_blind: what the history said last.
        heard_alertname: the watchdog's alert that was heard of before the start; empty: none.
    """

    def __init__(
        self,
        config: AlertsConfig,
        clock: Clock,
        order: Callable[[Command], None],
        records: Mapping[str, ScopeRecord],
        *,
        was_blind: bool = False,
        heard_alertname: str = "",
    ) -> None:
        self._config = config
        self._records = records
        self._heard_alertname = heard_alertname
        self._clock = clock
        self._order = order
        self._heard_at = clock.monotonic()
        self._resolved_at = self._heard_at
        self._asked_at = 0.0
        self._was_heard = False
        self._warn_at = self._heard_at + self._warn_secs
        self._was_listed = False
        self._missing = False
        self._sees_since: float | None = None
        self._ended: deque[_Ended] = deque(maxlen=_MAX_REMEMBERED)
        signals = [(scope, signal) for scope, record in records.items() for signal in record.signals.values()]
        self._claimed = [(scope, signal.state) for scope, signal in signals if signal.source == SOURCE]
        self._resolved = self._blind = bool(self.alertname) and was_blind
        if self._blind:
            # Only a watchdog that was heard of makes blind.
            self._remember()
            logger.error("blind", extra={"fields": {"alertname": self.alertname, "why": "it was before"}})
        elif any(signal.ended_at is not None for _, signal in signals):
            # It had begun to see again, or there is no watchdog any more.
            self._sees_since = self._heard_at
            if not self.alertname:
                self._accept_resolves()
        self._claim()

    @property
    def blind(self) -> bool:
        """Whether nothing that is resolved can be believed."""
        return self._blind

    @property
    def heard(self) -> bool:
        """Whether the watchdog was heard of since it was configured, by this process or an earlier one."""
        return bool(self.alertname) and self._heard_alertname == self.alertname

    @property
    def ignores_missing_alerts(self) -> bool:
        """Whether an alert's absence says nothing: blind, not seeing for long enough, or nobody to see it."""
        doubtful = self._blind or self._sees_since is not None or self._missing
        return bool(self.alertname) and self._config.hold_while_blind and doubtful

    @property
    def alertname(self) -> str:
        """The alert's name; empty: there is no switch."""
        return self._config.watchdog.alertname

    def configure(self, config: AlertsConfig) -> None:
        """Go on with ``config``; who is blind stays so until the watchdog, or a new one, is heard of."""
        if config.watchdog.alertname != self.alertname:
            self._heard_at, self._resolved = self._clock.monotonic(), self._blind
            self._was_heard = self._was_listed = self._missing = False
        self._warn_at = self._clock.monotonic() + self._warn_secs
        self._config = config
        self.look()
        self._claim()
        if not (config.hold_while_blind and self.alertname):
            self._accept_resolves()

    def hear(self, notification: Notification) -> None:
        """Look for the watchdog's alert in ``notification``, before anything in it is believed."""
        own = [alert for alert in notification.alerts if self._is_own(alert)]
        if any(alert.firing for alert in own):
            self._hear()
        elif own:
            self._remember()
            self._resolved, self._resolved_at = True, self._clock.monotonic()
            self.look()

    def listed(self, found: bool, *, complete: bool, asked: float) -> None:  # noqa: FBT001
        """Alertmanager was asked whether the watchdog's alert fires.

        Args:
            found: whether it lists it.
            complete: whether it has run for long enough to know.
            asked: monotonic time of the question; a resolve that was heard since is newer.
        """
        if complete or found:
            self._asked_at = asked
        if found and not (self._resolved and asked <= self._resolved_at):
            self._was_listed, self._missing = True, False
            self._hear()
        elif not found:
            # One that is told by webhook alone belongs to another Alertmanager than is asked. One that was
            # never heard of is not wired, and says nothing of other alerts.
            self._missing = self.heard and (self._was_listed or not self._was_heard)

    def guard(self, command: ReceiveAlerts) -> ReceiveAlerts:
        """``command``, with its resolves not to be believed while blind."""
        return replace(command, blind=self._blind and self._config.hold_while_blind)

    def note(self, outcome: CommandOutcome, sources: Container[str] | None = None) -> None:
        """Remember which alerts have just ended: the watchdog's own resolve may be on its way.

        Args:
            outcome: of a command that was given when nothing was in doubt.
            sources: of those that ended for being silent; None: all.
        """
        if not (self.alertname and self._config.hold_while_blind):
            return
        now = self._clock.monotonic()
        lifted = {
            event.scope: event.hold
            for event in outcome.events
            if isinstance(event, HoldLifted) and event.hold.kind is HoldKind.AUTO
        }
        for event in outcome.events:
            if not isinstance(event, SignalDropped) or event.expired or event.signal.kind != "alert":
                continue
            if sources is None or event.signal.source in sources:
                signal = replace(event.signal, ended_at=event.at)
                hold = lifted.get(event.scope) or self._auto_hold(event.scope)
                self._ended.append(_Ended(now, event.scope, signal, hold, event.scope in lifted))
        self._forget(now)
        if self._blind:
            # The command was under way when the watchdog was found resolved.
            self._take_back()

    def look(self) -> None:
        """See whether anything has changed; to be called every second."""
        now = self._clock.monotonic()
        self._forget(now)
        overdue = self.heard and now - self._heard_at > self._config.watchdog.timeout_secs
        blind = bool(self.alertname) and (self._resolved or overdue)
        if blind and not self._blind:
            self._go_blind()
        elif self._blind and not blind:
            self._see_again(now)
        elif not blind and self._sees_since is not None and self._sees_well(self._sees_since, now):
            self._accept_resolves()
        if self.alertname and not self.heard and now >= self._warn_at:
            self._warn_at = now + _UNHEARD_AGAIN_SECS
            fields = {"alertname": self.alertname, "remedy": _UNHEARD_REMEDY}
            logger.warning("watchdog_not_heard", extra={"fields": fields})

    def _hear(self) -> None:
        self._was_heard = True
        self._remember()
        self._heard_at, self._resolved = self._clock.monotonic(), False
        self.look()

    def _remember(self) -> None:
        if not self.heard:
            self._heard_alertname = self.alertname
            self._order(RememberWatchdog(self.alertname))

    @property
    def _warn_secs(self) -> float:
        return min(self._config.watchdog.timeout_secs, _UNHEARD_WARN_SECS)

    def _auto_hold(self, scope: str) -> Hold | None:
        record = self._records.get(scope)
        return record.auto if record else None

    def _is_own(self, alert: Alert) -> bool:
        return bool(self.alertname) and alert.labels.get("alertname") == self.alertname

    def _sees_well(self, since: float, now: float) -> bool:
        watchdog = self._config.watchdog
        if now - since < watchdog.grace_secs or self._heard_at <= since:
            # Once heard of may be an old notification, tried again.
            return False
        asked = not self._config.alertmanager_urls or self._asked_at >= since + watchdog.grace_secs
        return asked or now - since >= watchdog.grace_secs + watchdog.timeout_secs

    def _accept_resolves(self) -> None:
        self._sees_since = None
        self._order(AcceptResolves())

    def _go_blind(self) -> None:
        self._blind = True
        self._sees_since = None
        logger.error("blind", extra={"fields": {"alertname": self.alertname, "why": self._why}})
        self._order(
            AddHistoryNote("", KIND, "seeing", "blind", SOURCE, f"the alert {self.alertname} is {self._why}")
        )
        self._take_back()
        self._claim()

    def _see_again(self, now: float) -> None:
        self._blind = False
        self._sees_since = now
        logger.warning("sees_again", extra={"fields": {"alertname": self.alertname}})
        why = f"the alert {self.alertname} fires again" if self.alertname else "there is no watchdog any more"
        self._order(AddHistoryNote("", KIND, "blind", "seeing", SOURCE, why))
        self._claim()

    def _take_back(self) -> None:
        if self._ended:
            signals = tuple((one.scope, one.signal) for one in self._ended)
            self._order(RevertResolves(signals, tuple(_holds_of(self._ended))))
            self._ended.clear()

    @property
    def _why(self) -> str:
        return "resolved" if self._resolved else f"not heard of for {self._config.watchdog.timeout_secs:g} s"

    def _claim(self) -> None:
        """Claim what the config wants claimed while blind, and withdraw what it does not."""
        watchdog = self._config.watchdog
        wanted = []
        if self._blind and watchdog.state:
            wanted = [(watchdog.scope, WellbeingState.parse(watchdog.state))]
        for scope, state in self._claimed:
            if (scope, state) not in wanted:
                self._order(ClaimState(scope, SOURCE, WellbeingState.HEALTHY, "somebody watches again"))
        for scope, state in wanted:
            if (scope, state) not in self._claimed:
                reason = f"the alert {self.alertname} is {self._why}: nobody watches"
                self._order(ClaimState(scope, SOURCE, state, reason))
        self._claimed = wanted

    def _forget(self, now: float) -> None:
        known_well = min(now, self._heard_at) if self.alertname else now
        while self._ended and self._ended[0].at < known_well - _CORRELATED_RESOLVE_SECS:
            self._ended.popleft()


def _holds_of(ended: Iterable[_Ended]) -> Iterator[tuple[str, Hold]]:
    """The auto hold of each scope that would stand now if none of ``ended`` had ended."""
    last: dict[str, _Ended] = {}
    for one in ended:
        before = last.get(one.scope)
        if one.hold is not None:
            last[one.scope] = one
        elif before and (not before.lifted or one.signal.state >= before.signal.state):
            # It would have paused the scope by itself, and did not: that pause was over by then.
            del last[one.scope]
    for scope, one in last.items():
        if one.hold is not None:
            yield scope, one.hold
