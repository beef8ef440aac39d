"""Removes the alerts of a notification that the core would treat as repetitions.

A repetition changes only the expiry of its signal. A group of 100 alerts in which one changes every minute
repeats the 99 others every minute; deciding on all of them would take most of a backtest's time. A
repetition is passed on only after a twentieth of the signal's time to live, so an alert that is no longer
repeated expires at most that much too early.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.alerts import Alert
from sidecar.core.model import CoreState
from sidecar.core.values import ALERT_PREFIX

RENEW_SHARE = 0.05


def without_repeats(alerts: Iterable[Alert], core: CoreState, ttl_secs: float, now: float) -> list[Alert]:
    """The alerts that are new or changed, or whose signal has to be renewed.

    Args:
        alerts: the alerts of a notification.
        core: has the signals.
        ttl_secs: seconds after which a signal expires.
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
