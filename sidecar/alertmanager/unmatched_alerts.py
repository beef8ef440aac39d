"""Logs alerts that map to no scope: no rule matches them, or their labels do not name the scope.

The alert's name is the only label value that is logged, because other values may be secret.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.alerts import Alert, NoMatch, NoMatchCause
from sidecar.core.text import clean_text

logger = logging.getLogger(__name__)

MAX_NAME_LENGTH = 200
_MAX_LABELS = 32
_MAX_REMEMBERED = 1_000
_REPEAT_LOG_SECS = 3600.0
"""A misdirected alert is a configuration error, so it is logged again after this time."""

_MAX_COLLECTED = 100
_LINES_PER_WINDOW = 20
_WINDOW_SECS = 60.0


@dataclass(frozen=True, slots=True)
class UnmatchedAlert:
    """The log fields of one alert.

    Attributes:
        alertname: its name, safe to log.
        no_match: why it maps to no scope.
        labels: the names of its labels.
    """

    alertname: str
    no_match: NoMatch
    labels: tuple[str, ...]

    @classmethod
    def of(cls, alert: Alert, no_match: NoMatch) -> UnmatchedAlert:
        """The log fields of ``alert``."""
        names = sorted(alert.labels)[:_MAX_LABELS]
        labels = tuple(clean_text(name, MAX_NAME_LENGTH) for name in names)
        return cls(alertname_of(alert), no_match, labels)

    @property
    def key(self) -> tuple[str, NoMatch]:
        """Alerts with the same key are logged once."""
        return self.alertname, self.no_match


def alertname_of(alert: Alert) -> str:
    """The name of ``alert``, safe to log and to display; empty: it has none."""
    return clean_text(alert.labels.get("alertname", ""), MAX_NAME_LENGTH)


class UnmatchedAlerts:
    """Collects the distinct unmatched alerts of one notification, at most 100."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, NoMatch], UnmatchedAlert] = {}

    def add(self, alert: Alert, no_match: NoMatch) -> None:
        """Add ``alert``, unless an alert with the same name and cause was added."""
        key = (alert.labels.get("alertname", ""), no_match)
        if key not in self._found and len(self._found) < _MAX_COLLECTED:
            self._found[key] = UnmatchedAlert.of(alert, no_match)

    def all(self) -> tuple[UnmatchedAlert, ...]:
        """All alerts that were added."""
        return tuple(self._found.values())


class UnmatchedAlertLog:
    """Logs one line for each alert name and cause, at most 20 lines per minute, in bounded memory."""

    def __init__(self) -> None:
        self._logged_at: OrderedDict[tuple[str, NoMatch], float] = OrderedDict()
        self._window_began = 0.0
        self._lines = 0
        self._left_out = 0

    def log(
        self,
        alerts: Iterable[UnmatchedAlert],
        now: float,
        *,
        receiver: str = "",
        sender: str = "",
        peer: str = "",
    ) -> None:
        """Log the ``alerts`` that were not logged before.

        Args:
            alerts: alerts of one notification, or of one reply of Alertmanager.
            now: monotonic seconds.
            receiver: the receiver that the notification names; empty: the alerts come from a query.
            sender: name of the credential of the sender; empty: no credential was needed.
            peer: address of the sender; empty: the alerts come from a query.
        """
        for alert in alerts:
            if alert.no_match.cause is NoMatchCause.IGNORED_BY_RULE or not self._is_due(alert, now):
                continue
            if not self._has_room(now):
                self._left_out += 1
                continue
            self._logged_at[alert.key] = now
            self._logged_at.move_to_end(alert.key)
            if len(self._logged_at) > _MAX_REMEMBERED:
                self._logged_at.popitem(last=False)
            self._log_line(alert, receiver, sender, peer)

    def _is_due(self, alert: UnmatchedAlert, now: float) -> bool:
        logged_at = self._logged_at.get(alert.key)
        if logged_at is None:
            return True
        return alert.no_match.misdirected and now - logged_at >= _REPEAT_LOG_SECS

    def _has_room(self, now: float) -> bool:
        if now - self._window_began >= _WINDOW_SECS:
            self._window_began, self._lines = now, 0
        self._lines += 1
        return self._lines <= _LINES_PER_WINDOW

    def _log_line(self, alert: UnmatchedAlert, receiver: str, sender: str, peer: str) -> None:
        no_match = alert.no_match
        fields: dict[str, object] = {"alertname": alert.alertname, "why": no_match.cause.value}
        optional = {
            "label": no_match.label,
            "receiver": clean_text(receiver, MAX_NAME_LENGTH),
            "sender": sender,
            "peer": peer,
            "lines_left_out": self._left_out,
        }
        fields["labels"] = list(alert.labels)
        fields |= {name: value for name, value in optional.items() if value}
        self._left_out = 0
        if no_match.misdirected:
            logger.warning("alert_misdirected", extra={"fields": fields})
        else:
            logger.info("alert_ignored", extra={"fields": fields})
