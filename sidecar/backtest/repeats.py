"""Removes the alerts of a notification that the core would treat as repetitions.

A repetition changes nothing but the expiry of its signal. A group of 100 alerts that changes each minute
repeats 99 of them each minute; deciding on all of these would take most of a backtest's time. A repetition is
passed on once a twentieth of the signal's time to live has passed, so that an alert that is no longer
repeated expires at most so much too early.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.alerts import Alert
from sidecar.core.model import CoreState
from sidecar.core.values import ALERT_PREFIX

RENEW_SHARE = 0.05


def without_repeats(alerts: Iterable[Alert], core: CoreState, ttl_secs: float, now: float) -> list[Alert]:
    """The alerts that are news, or whose signal is due to be renewed.

    Args:
        alerts: of a notification.
        core: knows the signals.
        ttl_secs: after which a signal expires.
        now: seconds since the epoch.
    """
    return [alert for alert in alerts if not (alert.firing and _is_known(alert, core, ttl_secs, now))]


def _is_known(alert: Alert, core: CoreState, ttl_secs: float, now: float) -> bool:
    source = ALERT_PREFIX + alert.fingerprint
    scope = core.scope_by_alert.get(source)
    signal = None if scope is None else core.records[scope].signals.get(source)
    if signal is None or signal.since != alert.starts_at or signal.ended_at is not None:
        return False
    return signal.expires_at is None or now < signal.expires_at - ttl_secs * (1 - RENEW_SHARE)
