"""Converts alerts from Alertmanager to commands."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from sidecar.alerts import Alert, Matcher, NoMatch, Notification, RuleMatch, fingerprint_of
from sidecar.config import AlertsConfig
from sidecar.core.commands import AlertFired, AlertOutcome, AlertResolved, CommandOutcome, ReceiveAlerts
from sidecar.core.scope import lies_within
from sidecar.core.values import ALERT_PREFIX, TOMBSTONE_TTL_SECS
from sidecar.gates.counters import Counters

from .client import quote_receiver
from .unmatched_alerts import UnmatchedAlert, UnmatchedAlerts, alertname_of

_STATUS = {True: "firing", False: "resolved"}
_COUNTED_AT_ONCE = 500
_OUTCOME_BY_ID = {id(outcome): outcome for outcome in AlertOutcome}


@dataclass(frozen=True, slots=True)
class Interpretation:
    """A notification, converted to a command.

    Attributes:
        command: the command.
        firing: for each alert of the command, whether it is firing.
        left_out: number of alerts that are not in the command, by whether they are firing and their outcome.
        unmatched: alerts that map to no scope, for the log.
    """

    command: ReceiveAlerts
    firing: tuple[bool, ...]
    left_out: Counter[tuple[bool, AlertOutcome]]
    unmatched: tuple[UnmatchedAlert, ...] = ()

    def count(
        self, outcome: CommandOutcome, counters: Counters, now: float, answer: dict[str, int]
    ) -> Iterator[None]:
        """Count the notification and its alerts, and add the alerts to ``answer`` by outcome.

        Each step counts some of the alerts.
        """
        counters.notifications["accepted"] += 1
        counters.last_notification_at = now
        answer.update(dict.fromkeys((one.value for one in AlertOutcome), 0))
        # Count by identity, because its hash is fast. Counting ten thousand alerts by outcome blocked the
        # loop for 15 ms.
        pairs = zip(self.firing, map(id, outcome.alerts), strict=True)
        while some := list(islice(pairs, _COUNTED_AT_ONCE)):
            counted: Mapping[tuple[bool, int], int] = Counter(some) if some[1:] else {some[0]: 1}
            for (firing, identity), count in counted.items():
                what = _OUTCOME_BY_ID[identity]
                counters.alerts[_STATUS[firing], what.value] += count
                answer[what.value] += count
            yield
        for (firing, what), count in self.left_out.items():
            counters.alerts[_STATUS[firing], what.value] += count
            answer[what.value] += count


class AlertInterpreter:
    """Applies the config's rules to alerts.

    Args:
        config: the section ``alerts`` of the config.

    Attributes:
        query_id: identifies the receiver and filter of the Alertmanager query; empty: there are no queries.
    """

    def __init__(self, config: AlertsConfig) -> None:
        self._rules = config.rules
        self._ttl_secs = config.alert_ttl_secs
        self._watchdog = config.watchdog.alertname
        self._receiver = config.alertmanager.receiver
        self._filter = tuple(Matcher.parse(text) for text in config.alertmanager.filter)
        query_id = json.dumps([self._receiver, *config.alertmanager.filter])
        self.query_id = query_id if config.alertmanager_urls else ""

    def interpret(self, notification: Notification, now: float, sender_scope: str = "") -> Interpretation:
        """Convert ``notification`` to a command.

        Args:
            notification: a notification of any sender.
            now: wall time, seconds since the epoch.
            sender_scope: the sender may change only this scope and the scopes inside it.
        """
        alerts: list[AlertFired | AlertResolved] = []
        left_out: Counter[tuple[bool, AlertOutcome]] = Counter()
        unmatched = UnmatchedAlerts()
        receivers = ("", notification.receiver)
        is_own_receiver = (
            self._receiver in receivers or quote_receiver(self._receiver) == notification.receiver
        )
        for alert in notification.alerts:
            match = self.match(alert)
            if isinstance(match, NoMatch):
                unmatched.add(alert, match)
            command: AlertFired | AlertResolved | None
            if not alert.firing:
                command = self._resolved(alert, match, now, sender_scope)
            elif isinstance(match, RuleMatch) and self._may_report(alert, match, sender_scope):
                is_listed = is_own_receiver and all(matcher.matches(alert.labels) for matcher in self._filter)
                command = self._fired(alert, match, now, self.query_id if is_listed else "")
            else:
                command = None
            if command is None:
                left_out[alert.firing, _outcome_of(match)] += 1
            else:
                alerts.append(command)
        firing = tuple(isinstance(alert, AlertFired) for alert in alerts)
        received = ReceiveAlerts(tuple(alerts), sender_scope=sender_scope)
        return Interpretation(received, firing, left_out, unmatched.all())

    def only_watchdog(self, notification: Notification) -> Notification:
        """A copy of ``notification`` with only the alerts of the watchdog."""
        watchdog = self._watchdog
        own = (alert for alert in notification.alerts if alert.labels.get("alertname") == watchdog)
        return replace(notification, alerts=tuple(own) if watchdog else ())

    def match(self, alert: Alert) -> RuleMatch | NoMatch | None:
        """The scope and state of ``alert``, or why it has none; None: it is the watchdog alert."""
        if self._watchdog and alert.labels.get("alertname") == self._watchdog:
            return None
        return self._rules.match(alert)

    def fired(self, alert: Alert, match: RuleMatch, now: float) -> AlertFired:
        """Convert a firing alert that Alertmanager lists.

        Args:
            alert: a firing alert.
            match: the scope and state that it maps to.
            now: wall time, seconds since the epoch.
        """
        return self._fired(alert, match, now, self.query_id)

    def _fired(self, alert: Alert, match: RuleMatch, now: float, query_id: str) -> AlertFired:
        return AlertFired(
            ALERT_PREFIX + alert.fingerprint,
            match.scope,
            match.state,
            match.reason,
            alert.starts_at,
            now + self._ttl_secs,
            query_id,
            alertname_of(alert),
        )

    def _resolved(
        self, alert: Alert, match: RuleMatch | NoMatch | None, now: float, sender_scope: str
    ) -> AlertResolved | None:
        # The rules may have changed since the alert fired. So a resolve ends its signal even without a match.
        own = not sender_scope or alert.fingerprint == fingerprint_of(alert.labels)
        if not own:
            return None
        known = isinstance(match, RuleMatch) and lies_within(match.scope, sender_scope)
        return AlertResolved(
            ALERT_PREFIX + alert.fingerprint,
            now if alert.ends_at is None else alert.ends_at,
            now + TOMBSTONE_TTL_SECS,
            None if known else _outcome_of(match),
        )

    @staticmethod
    def _may_report(alert: Alert, match: RuleMatch, sender_scope: str) -> bool:
        """Whether ``alert`` lies in the sender's scope, and its fingerprint is the hash of its labels."""
        return not sender_scope or (
            lies_within(match.scope, sender_scope) and alert.fingerprint == fingerprint_of(alert.labels)
        )


def _outcome_of(match: RuleMatch | NoMatch | None) -> AlertOutcome:
    """The outcome of an alert that is not applied."""
    if isinstance(match, NoMatch) and match.misdirected:
        return AlertOutcome.MISDIRECTED
    return AlertOutcome.IGNORED
