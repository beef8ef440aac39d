"""Simulates when Alertmanager would have notified the sidecar, and about which alerts.

Rules of this file: times are seconds since the epoch; this file does not use scopes or policies.

Theory of operation. An alert reaches Alertmanager at the evaluation that made it fire, or resolved it. A
group is created with its first alert and flushed ``group_wait`` later, then every ``group_interval``. A flush
sends a notification if a firing alert was not in the last notification, if a resolved alert was not resolved
in it, or if ``repeat_interval`` has passed. Resolved alerts leave the group with the flush. A maintenance
task that runs every 30 s removes empty groups. The sources are Alertmanager's ``dispatch/dispatch.go`` and
``DedupStage`` of ``notify/notify.go``. Flushes that cannot change anything are not simulated.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sidecar.alerts import Alert, Notification, fingerprint_of

from .periods import AlertPeriod
from .request import AlertmanagerSettings

_MAINTENANCE_SECS = 15.0
"""An empty group stays until the next maintenance, which runs every 30 s: 15 s on average."""
_ALL_LABELS = "..."


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """An alert that fired, as Alertmanager stores it.

    Attributes:
        alert: the alert as in a notification while it fires.
        ends_at: when it was resolved; infinite: not resolved within the range.
    """

    alert: Alert
    ends_at: float

    @property
    def resolved(self) -> Alert:
        """The alert as in a notification after it was resolved."""
        return replace(self.alert, firing=False, ends_at=self.ends_at)


@dataclass(frozen=True, slots=True)
class SentNotification:
    """A notification, and when it was sent."""

    at: float
    notification: Notification


def firing_alerts(periods: Iterable[AlertPeriod]) -> list[FiringAlert]:
    """The alerts of ``periods``, by the time at which they began to fire."""
    alerts = []
    fingerprints: dict[tuple[tuple[str, str], ...], str] = {}
    for period in periods:
        key = tuple(sorted(period.labels.items()))
        if key not in fingerprints:
            fingerprints[key] = fingerprint_of(period.labels)
        ends_at = math.inf if period.ends_at is None else period.ends_at / 1000
        alert = Alert(
            firing=True,
            labels=period.labels,
            annotations=period.annotations,
            starts_at=period.starts_at / 1000,
            ends_at=None,
            fingerprint=fingerprints[key],
        )
        alerts.append(FiringAlert(alert, ends_at))
    return sorted(alerts, key=lambda one: (one.alert.starts_at, one.alert.fingerprint))


def notifications_of(
    alerts: Sequence[FiringAlert], settings: AlertmanagerSettings, until: float, receiver: str = ""
) -> Iterator[SentNotification]:
    """The notifications of all groups up to ``until``, in order of time.

    Args:
        alerts: sorted by the time at which they began to fire.
        settings: the settings of the route and the receiver.
        until: the end of the range.
        receiver: the name of the receiver, as notifications spell it.
    """
    groups: dict[tuple[tuple[str, str], ...], list[FiringAlert]] = {}
    for one in alerts:
        groups.setdefault(_group_of(one.alert, settings.group_by), []).append(one)
    streams = [
        _Group(repr(key), members, settings, receiver).notifications(until) for key, members in groups.items()
    ]
    return heapq.merge(*streams, key=lambda sent: sent.at)


def _group_of(alert: Alert, group_by: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    labels = alert.labels
    names = sorted(labels) if _ALL_LABELS in group_by else group_by
    return tuple((name, labels.get(name, "")) for name in names)


class _Group:
    """Simulates one group of alerts over the whole range.

    Args:
        key: the key of the group in notifications.
        alerts: all alerts that ever belong to it, sorted by beginning.
        settings: the settings of the route and the receiver.
        receiver: its name.
    """

    def __init__(
        self, key: str, alerts: Sequence[FiringAlert], settings: AlertmanagerSettings, receiver: str
    ) -> None:
        self._key = key
        self._settings = settings
        self._receiver = receiver
        self._coming = deque(alerts)
        self._present: dict[str, FiringAlert] = {}
        self._sent_firing: frozenset[str] = frozenset()
        self._sent_resolved: frozenset[str] = frozenset()
        self._sent_at: float | None = None

    def notifications(self, until: float) -> Iterator[SentNotification]:
        """The notifications, in order of time."""
        flush_at = -math.inf
        while self._present or self._coming:
            flush_at = self._next_flush(flush_at) if self._present else self._first_flush(flush_at)
            if flush_at > until:
                return
            sent = self._flush(flush_at)
            if sent is not None:
                yield SentNotification(flush_at, sent)

    def _first_flush(self, last: float) -> float:
        """The flush after the next alert that enters an empty group, or creates a new one."""
        begins = self._coming[0].alert.starts_at
        if begins <= last + _MAINTENANCE_SECS:
            return self._tick_at(last, begins)
        return begins + self._settings.group_wait_secs

    def _next_flush(self, last: float) -> float:
        """The next flush that may change something."""
        changes = [one.ends_at for one in self._present.values() if one.ends_at > last]
        changes += [self._coming[0].alert.starts_at] if self._coming else []
        if self._sent_at is not None:
            changes.append(self._sent_at + self._settings.repeat_interval_secs)
        return self._tick_at(last, min(changes, default=last))

    def _tick_at(self, last: float, when: float) -> float:
        """The first flush after ``last`` that is not before ``when``."""
        interval = self._settings.group_interval_secs
        if when == math.inf:
            return math.inf
        return last + max(1, math.ceil((when - last) / interval)) * interval

    def _flush(self, at: float) -> Notification | None:
        while self._coming and self._coming[0].alert.starts_at <= at:
            one = self._coming.popleft()
            self._present[one.alert.fingerprint] = one
        firing = {key: one for key, one in self._present.items() if one.ends_at > at}
        resolved = {key: one for key, one in self._present.items() if one.ends_at <= at}
        self._present = firing
        if not self._is_news(firing.keys(), resolved.keys(), at):
            return None
        self._sent_firing, self._sent_resolved = frozenset(firing), frozenset(resolved)
        self._sent_at = at
        alerts = [one.alert for one in firing.values()]
        if self._settings.send_resolved:
            alerts += [one.resolved for one in resolved.values()]
        return Notification(self._receiver, self._key, 0, tuple(alerts)) if alerts else None

    def _is_news(self, firing: Iterable[str], resolved: Iterable[str], at: float) -> bool:
        firing, resolved = frozenset(firing), frozenset(resolved)
        if self._sent_at is None:
            return bool(firing)
        if not firing <= self._sent_firing:
            return True
        if not firing:
            return bool(self._sent_firing)
        if self._settings.send_resolved and not resolved <= self._sent_resolved:
            return True
        return at >= self._sent_at + self._settings.repeat_interval_secs
