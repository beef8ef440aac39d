"""From Alertmanager's alerts to commands."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sidecar.alerts import Alert, Matcher, Notification, fingerprint_of
from sidecar.config import AlertsConfig
from sidecar.core.commands import AlertFired, AlertOutcome, AlertResolved, CommandOutcome, ReceiveAlerts
from sidecar.core.scope import lies_within
from sidecar.core.values import ALERT_PREFIX, STALE_SECS
from sidecar.gates.counters import Counters

from .client import quote_receiver

_STATUS = {True: "firing", False: "resolved"}


@dataclass(frozen=True, slots=True)
class Interpretation:
    """A notification, understood.

    Attributes:
        command: what it asks for.
        firing: for each alert of the command whether it fires.
        ignored: by whether they fire, how many alerts the rules ignore.
    """

    command: ReceiveAlerts
    firing: tuple[bool, ...]
    ignored: dict[bool, int]

    def count(self, outcome: CommandOutcome, counters: Counters, now: float) -> dict[str, int]:
        """Count the notification and its alerts; by outcome, how many there were."""
        counters.notifications["accepted"] += 1
        counters.last_notification_at = now
        answer = dict.fromkeys((one.value for one in AlertOutcome), 0)
        for firing, what in zip(self.firing, outcome.alerts, strict=True):
            counters.alerts[_STATUS[firing], what.value] += 1
            answer[what.value] += 1
        for firing, count in self.ignored.items():
            counters.alerts[_STATUS[firing], AlertOutcome.IGNORED.value] += count
            answer[AlertOutcome.IGNORED.value] += count
        return answer


class AlertInterpreter:
    """Applies the config's rules to alerts.

    Args:
        config: rules, how long an alert counts without being repeated, whom reconciliation asks for what.

    Attributes:
        question: what Alertmanager is asked for; empty: it is not asked.
    """

    def __init__(self, config: AlertsConfig) -> None:
        self._rules = config.rules
        self._ttl_secs = config.alert_ttl_secs
        self._watchdog = config.watchdog.alertname
        self._receiver = config.alertmanager.receiver
        self._filter = tuple(Matcher.parse(text) for text in config.alertmanager.filter)
        asked = json.dumps([self._receiver, *config.alertmanager.filter])
        self.question = asked if config.alertmanager_urls else ""

    def hear(self, notification: Notification, now: float, within: str = "") -> Interpretation:
        """What ``notification`` asks for at ``now``, wall time.

        Args:
            notification: whatever Alertmanager, or somebody else, says.
            now: wall time.
            within: who says it may speak of this scope and those inside it alone.
        """
        alerts: list[AlertFired | AlertResolved] = []
        ignored = {True: 0, False: 0}
        receivers = ("", notification.receiver)
        ours = self._receiver in receivers or quote_receiver(self._receiver) == notification.receiver
        for alert in notification.alerts:
            command: AlertFired | AlertResolved | None
            if within and not self._may_tell(alert, within):
                command = None
            elif alert.firing:
                asked = ours and all(matcher.matches(alert.labels) for matcher in self._filter)
                command = self.fired(alert, now, asked=self.question if asked else "")
            else:
                # Rules may have changed since it fired: what stands for it ends, whatever they say now.
                source = ALERT_PREFIX + alert.fingerprint
                command = AlertResolved(source, alert.ends_at or now, now + STALE_SECS)
            if command is None:
                ignored[alert.firing] += 1
            else:
                alerts.append(command)
        firing = tuple(isinstance(alert, AlertFired) for alert in alerts)
        return Interpretation(
            ReceiveAlerts(tuple(alerts), within=within),
            firing,
            {key: count for key, count in ignored.items() if count},
        )

    def _may_tell(self, alert: Alert, within: str) -> bool:
        """Whether ``alert`` is one of ``within``: its labels say so, and its fingerprint is theirs."""
        claim = self._rules.match(alert)
        mine = claim is not None and lies_within(claim.scope, within)
        return mine and alert.fingerprint == fingerprint_of(alert.labels)

    def fired(self, alert: Alert, now: float, *, asked: str) -> AlertFired | None:
        """What a firing ``alert`` asks for; None: it is to be ignored, as the watchdog's always is.

        Args:
            alert: one that fires.
            now: wall time.
            asked: by which question Alertmanager would tell of it; empty: by none.
        """
        if self._watchdog and alert.labels.get("alertname") == self._watchdog:
            return None
        claim = self._rules.match(alert)
        if claim is None:
            return None
        return AlertFired(
            ALERT_PREFIX + alert.fingerprint,
            claim.scope,
            claim.state,
            claim.reason,
            alert.starts_at,
            now + self._ttl_secs,
            asked,
        )
