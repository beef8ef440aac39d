"""The dead man's switch: whether those who watch are watching.

A Prometheus that dies looks like recovery: about four minutes later Alertmanager tells that all its
alerts are resolved, the watchdog's too, in any order. So while the watchdog is silent or resolved, a
resolve lifts nothing; and when the watchdog's own resolve comes, what was resolved in the same breath
is taken back. Once the watchdog fires again, a grace is given for alerts to fire anew; then what was
resolved and is still silent is believed.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Container, Mapping
from dataclasses import replace

from sidecar.alerts import Alert, Notification
from sidecar.config import AlertsConfig
from sidecar.core.changes import SignalDropped
from sidecar.core.commands import Believe, Claim, Command, Disbelieve, Notify
from sidecar.core.draft import Outcome
from sidecar.core.state import WellbeingState
from sidecar.core.values import AGENT_PREFIX, ScopeRecord, Signal

from .clock import Clock

logger = logging.getLogger(__name__)

SOURCE = AGENT_PREFIX + "wellbeing-watchdog"
_SAME_BREATH_SECS = 120.0
"""Alerts of one dead Prometheus end within an evaluation interval and a group interval of each other."""


class Watchdog:
    """Says whether the sidecar is blind.

    Args:
        config: the watchdog's alert; without a name nobody is ever blind.
        clock: tells the time.
        order: has a command done, in order.
        records: what was kept: who was blind before a restart is blind after it.
    """

    def __init__(
        self,
        config: AlertsConfig,
        clock: Clock,
        order: Callable[[Command], None],
        records: Mapping[str, ScopeRecord],
    ) -> None:
        self._config = config
        self._clock = clock
        self._order = order
        self._heard_at = clock.monotonic()
        self._blind = False
        self._sees_since: float | None = None
        self._ended: deque[tuple[float, str, Signal]] = deque()
        signals = [(scope, signal) for scope, record in records.items() for signal in record.signals.values()]
        self._claimed = [(scope, signal.state) for scope, signal in signals if signal.source == SOURCE]
        unbelieved = any(signal.ended_at is not None for _, signal in signals)
        self._resolved = bool(self.alertname) and unbelieved
        if unbelieved and not self._resolved:
            order(Believe())
        self.look()
        self._claim()

    @property
    def blind(self) -> bool:
        """Whether nothing that is resolved can be believed."""
        return self._blind

    @property
    def doubtful(self) -> bool:
        """Whether an alert's absence says nothing: blind, or not seeing again for long enough."""
        return self._config.hold_while_blind and (self._blind or self._sees_since is not None)

    @property
    def alertname(self) -> str:
        """The alert's name; empty: there is no switch."""
        return self._config.watchdog.alertname

    def is_alert(self, alert: Alert) -> bool:
        """Whether ``alert`` is the watchdog's."""
        return bool(self.alertname) and alert.labels.get("alertname") == self.alertname

    def configure(self, config: AlertsConfig) -> None:
        """Go on with ``config``."""
        if config.watchdog.alertname != self.alertname:
            self._heard_at, self._resolved = self._clock.monotonic(), False
        self._config = config
        self.look()
        self._claim()
        if not config.hold_while_blind:
            self._order(Believe())

    def hear(self, notification: Notification) -> None:
        """Look for the watchdog's alert in ``notification``, before anything in it is believed."""
        own = [alert for alert in notification.alerts if self.is_alert(alert)]
        if any(alert.firing for alert in own):
            self.seen()
        elif own:
            self._resolved = True
            self.look()

    def seen(self) -> None:
        """The watchdog's alert fires."""
        self._heard_at, self._resolved = self._clock.monotonic(), False
        self.look()

    def guard(self, command: Notify) -> Notify:
        """``command``, with its resolves not to be believed while blind."""
        return replace(command, blind=self._blind and self._config.hold_while_blind)

    def note(self, outcome: Outcome, sources: Container[str] | None = None) -> None:
        """Remember which alerts have just ended: the watchdog's own resolve may be on its way.

        Args:
            outcome: of a command that was given when nothing was in doubt.
            sources: of those that ended for being silent; None: all.
        """
        if not (self.alertname and self._config.hold_while_blind):
            return
        now = self._clock.monotonic()
        for change in outcome.changes:
            if not isinstance(change, SignalDropped) or change.expired or change.signal.kind != "alert":
                continue
            if sources is None or change.signal.source in sources:
                self._ended.append((now, change.scope, replace(change.signal, ended_at=change.at)))
        self._forget(now)
        if self._blind:
            # The command was under way when the watchdog was found resolved.
            self._take_back()

    def look(self) -> None:
        """See whether anything has changed; to be called every second."""
        now = self._clock.monotonic()
        self._forget(now)
        overdue = now - self._heard_at > self._config.watchdog.timeout_secs
        blind = bool(self.alertname) and (self._resolved or overdue)
        if blind and not self._blind:
            self._go_blind()
        elif self._blind and not blind:
            self._see_again(now)
        elif self._sees_since is not None and now - self._sees_since >= self._config.watchdog.grace_secs:
            self._sees_since = None
            self._order(Believe())

    def _go_blind(self) -> None:
        self._blind = True
        self._sees_since = None
        logger.error("blind", extra={"fields": {"alertname": self.alertname, "why": self._why}})
        self._take_back()
        self._claim()

    def _take_back(self) -> None:
        if self._ended:
            self._order(Disbelieve(tuple((scope, signal) for _, scope, signal in self._ended)))
            self._ended.clear()

    def _see_again(self, now: float) -> None:
        self._blind = False
        self._sees_since = now
        logger.warning("sees_again", extra={"fields": {"alertname": self.alertname}})
        self._claim()

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
                self._order(Claim(scope, SOURCE, WellbeingState.HEALTHY, "somebody watches again"))
        for scope, state in wanted:
            if (scope, state) not in self._claimed:
                reason = f"the alert {self.alertname} is {self._why}: nobody watches"
                self._order(Claim(scope, SOURCE, state, reason))
        self._claimed = wanted

    def _forget(self, now: float) -> None:
        while self._ended and now - self._ended[0][0] > _SAME_BREATH_SECS:
            self._ended.popleft()
