"""From Alertmanager's alerts to commands."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from sidecar.alerts import Alert, Matcher, NoMatch, Notification, RuleMatch, fingerprint_of
from sidecar.config import AlertsConfig
from sidecar.core.commands import AlertFired, AlertOutcome, AlertResolved, CommandOutcome, ReceiveAlerts
from sidecar.core.scope import lies_within
from sidecar.core.values import ALERT_PREFIX, STALE_SECS
from sidecar.gates.counters import Counters

from .client import quote_receiver
from .unmatched_alerts import UnmatchedAlert, UnmatchedAlerts, alertname_of

_STATUS = {True: "firing", False: "resolved"}
_OUTCOME_BY_ID = {id(outcome): outcome for outcome in AlertOutcome}


@dataclass(frozen=True, slots=True)
class Interpretation:
    """A notification, understood.

    Attributes:
        command: what it asks for.
        firing: for each alert of the command whether it fires.
        left_out: how many alerts are not in the command, by whether they fire and their outcome.
        unmatched: alerts that say nothing of any scope, for the log.
    """

    command: ReceiveAlerts
    firing: tuple[bool, ...]
    left_out: Counter[tuple[bool, AlertOutcome]]
    unmatched: tuple[UnmatchedAlert, ...] = ()

    def count(self, outcome: CommandOutcome, counters: Counters, now: float) -> dict[str, int]:
        """Count the notification and its alerts; by outcome, how many there were."""
        counters.notifications["accepted"] += 1
        counters.last_notification_at = now
        answer = dict.fromkeys((one.value for one in AlertOutcome), 0)
        # Counted by identity, which hashes in C: by outcome, ten thousand alerts held the loop for 15 ms.
        for (firing, identity), count in Counter(
            zip(self.firing, map(id, outcome.alerts), strict=True)
        ).items():
            what = _OUTCOME_BY_ID[identity]
            counters.alerts[_STATUS[firing], what.value] += count
            answer[what.value] += count
        for (firing, what), count in self.left_out.items():
            counters.alerts[_STATUS[firing], what.value] += count
            answer[what.value] += count
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
        left_out: Counter[tuple[bool, AlertOutcome]] = Counter()
        unmatched = UnmatchedAlerts()
        receivers = ("", notification.receiver)
        ours = self._receiver in receivers or quote_receiver(self._receiver) == notification.receiver
        for alert in notification.alerts:
            match = self.match(alert)
            if isinstance(match, NoMatch):
                unmatched.add(alert, match)
            command: AlertFired | AlertResolved | None
            if not alert.firing:
                command = self._resolved(alert, match, now, within)
            elif isinstance(match, RuleMatch) and self._may_tell(alert, match, within):
                asked = ours and all(matcher.matches(alert.labels) for matcher in self._filter)
                command = self._fired(alert, match, now, self.question if asked else "")
            else:
                command = None
            if command is None:
                left_out[alert.firing, _outcome_of(match)] += 1
            else:
                alerts.append(command)
        firing = tuple(isinstance(alert, AlertFired) for alert in alerts)
        received = ReceiveAlerts(tuple(alerts), within=within)
        return Interpretation(received, firing, left_out, unmatched.all())

    def match(self, alert: Alert) -> RuleMatch | NoMatch | None:
        """What ``alert`` claims, or why nothing; None: it is the watchdog's, which claims nothing."""
        if self._watchdog and alert.labels.get("alertname") == self._watchdog:
            return None
        return self._rules.match(alert)

    def fired(self, alert: Alert, match: RuleMatch, now: float) -> AlertFired:
        """What a firing ``alert`` of Alertmanager's own list asks for.

        Args:
            alert: one that fires.
            match: what it claims.
            now: wall time.
        """
        return self._fired(alert, match, now, self.question)

    def _fired(self, alert: Alert, match: RuleMatch, now: float, asked: str) -> AlertFired:
        return AlertFired(
            ALERT_PREFIX + alert.fingerprint,
            match.scope,
            match.state,
            match.reason,
            alert.starts_at,
            now + self._ttl_secs,
            asked,
            alertname_of(alert),
        )

    def _resolved(
        self, alert: Alert, match: RuleMatch | NoMatch | None, now: float, within: str
    ) -> AlertResolved | None:
        # Rules may have changed since it fired: what stands for it ends, whatever they say now.
        own = not within or alert.fingerprint == fingerprint_of(alert.labels)
        if not own:
            return None
        known = isinstance(match, RuleMatch) and lies_within(match.scope, within)
        return AlertResolved(
            ALERT_PREFIX + alert.fingerprint,
            now if alert.ends_at is None else alert.ends_at,
            now + STALE_SECS,
            None if known else _outcome_of(match),
        )

    @staticmethod
    def _may_tell(alert: Alert, match: RuleMatch, within: str) -> bool:
        """Whether ``alert`` is one of ``within``: its labels say so, and its fingerprint is theirs."""
        return not within or (
            lies_within(match.scope, within) and alert.fingerprint == fingerprint_of(alert.labels)
        )


def _outcome_of(match: RuleMatch | NoMatch | None) -> AlertOutcome:
    """The outcome of an alert that is not applied."""
    if isinstance(match, NoMatch) and match.misdirected:
        return AlertOutcome.MISDIRECTED
    return AlertOutcome.IGNORED
