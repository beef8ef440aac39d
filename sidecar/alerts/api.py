"""Parses the responses of Alertmanager's API: ``/api/v2/alerts`` and ``/api/v2/status``."""

from __future__ import annotations

from sidecar.core.frozen import value_class

from .errors import InvalidNotification
from .payload import Alert, parse_api_alert, parse_time


@value_class(frozen=True, slots=True)
class ActiveAlert:
    """An alert that Alertmanager lists.

    Attributes:
        alert: the alert, as in a notification; it is firing.
        suppressed: silenced, inhibited or muted.
    """

    alert: Alert
    suppressed: bool


def parse_active_alerts(answer: object) -> tuple[ActiveAlert, ...]:
    """The alerts in a response of ``/api/v2/alerts``. Each element of the list becomes None.

    Raises:
        InvalidNotification: ``answer`` is not such a response.
    """
    if not isinstance(answer, list):
        raise InvalidNotification("answer", "must be a list")
    alerts = []
    for index, one in enumerate(answer):
        # Release the elements one by one. Releasing ten thousand at once takes several milliseconds.
        answer[index] = None
        alert = parse_api_alert(one, f"[{index}]")
        status = one.get("status")
        state = status.get("state") if isinstance(status, dict) else None
        if state not in ("active", "suppressed", "unprocessed"):
            raise InvalidNotification(f"[{index}].status.state", "must be active, suppressed or unprocessed")
        alerts.append(ActiveAlert(alert, state == "suppressed"))
    return tuple(alerts)


def parse_started_at(answer: object) -> float:
    """When Alertmanager started, from a response of ``/api/v2/status``; seconds since the epoch.

    Raises:
        InvalidNotification: ``answer`` has no start time.
    """
    uptime = answer.get("uptime") if isinstance(answer, dict) else None
    started_at = parse_time(uptime, "uptime") if isinstance(uptime, str) else None
    if started_at is None:
        raise InvalidNotification("uptime", "must be a time as in RFC 3339")
    return started_at
