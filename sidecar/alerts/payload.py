"""Alertmanager's webhook payload, version 4, and Grafana's, version 1.

Unknown keys are ignored, so that a newer Alertmanager may add some. The whole payload is checked before any
alert is applied. Lone surrogates, which JSON can express and UTF-8 cannot, become U+FFFD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from sidecar.core.frozen import value_class
from sidecar.json_pieces import loads_in_pieces

from .errors import InvalidNotification, NotificationTooLarge

VERSIONS = ("4", "1")
"""Alertmanager's, and that of Grafana's contact point *webhook*, which sends the same members and more."""
MAX_ALERTS = 10_000
MAX_LABELS = 128
MAX_LABEL_BYTES = 8_192

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
_FINGERPRINT = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ONLY_TEXT = frozenset((str,))
_NEVER_YEAR = "0001-"
_USUAL_TIME_LENGTH = 40
_NO_SUCH_TIME = "must be a time that exists"
_LATEST = 253402300799.0
"""The end of the year 9999. An offset can give a later time, but such a time cannot be formatted."""


@value_class(frozen=True, slots=True)
class Alert:
    """One alert of a notification.

    Attributes:
        firing: whether the alert is firing. The status of the notification does not matter.
        labels: the labels from Prometheus.
        annotations: the annotations from Prometheus.
        starts_at: seconds since the epoch.
        ends_at: seconds since the epoch; None while the alert is firing.
        fingerprint: the hash of the labels.
    """

    firing: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: float
    ends_at: float | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Notification:
    """The alerts of a group.

    Attributes:
        receiver: name of the receiver as Alertmanager sends it: quoted as a regular expression.
        group_key: key of the group; not a stable id.
        truncated_alerts: number of alerts that Alertmanager left out.
        alerts: the alerts that it sent.
    """

    receiver: str
    group_key: str
    truncated_alerts: int
    alerts: tuple[Alert, ...]


def parse_notification(
    body: bytes,
    *,
    max_alerts: int = MAX_ALERTS,
    max_labels: int = MAX_LABELS,
    max_label_bytes: int = MAX_LABEL_BYTES,
) -> Notification:
    """Parse the body of a webhook request.

    Raises:
        InvalidNotification: the body is not a notification.
        NotificationTooLarge: it has more than ``max_alerts`` alerts, an alert has more than ``max_labels``
            labels, or the value of a label is longer than ``max_label_bytes``.
    """
    message = _object(_load(body), "body")
    version = _text(message, "version", "body")
    if version not in VERSIONS:
        _refuse("version", 'must be "4" (Alertmanager) or "1" (Grafana)')
    alerts = message.get("alerts")
    if not isinstance(alerts, list):
        _refuse("alerts", "is missing" if "alerts" not in message else f"must be a list, got {_type(alerts)}")
    if len(alerts) > max_alerts:
        raise NotificationTooLarge("alerts", f"has {len(alerts)} alerts, at most {max_alerts} are allowed")
    truncated = message.get("truncatedAlerts", 0)
    if isinstance(truncated, float) and truncated.is_integer():
        truncated = int(truncated)
    if isinstance(truncated, bool) or not isinstance(truncated, int) or truncated < 0:
        _refuse("truncatedAlerts", "must be a whole number of at least 0")
    parsed = []
    for index, alert in enumerate(alerts):
        parsed.append(_alert(alert, f"alerts[{index}]"))
        # Release the elements one by one. Releasing ten thousand at once takes several milliseconds.
        alerts[index] = None
    for index, one in enumerate(parsed):
        labels = one.labels
        # A character has at most four bytes, so most values need not be encoded.
        if len(labels) > max_labels or max(map(len, labels.values()), default=0) * 4 > max_label_bytes:
            _limit_labels(one, f"alerts[{index}].labels", max_labels, max_label_bytes)
    return Notification(
        receiver=_text(message, "receiver", "body", ""),
        group_key=_text(message, "groupKey", "body", ""),
        truncated_alerts=truncated,
        alerts=tuple(parsed),
    )


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """The fingerprint that Alertmanager gives ``labels``: FNV-1a, 64 bits, over the sorted pairs."""
    value = 0xCBF29CE484222325
    for name in sorted(labels):
        for byte in b"%s\xff%s\xff" % (name.encode(), labels[name].encode()):
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def _limit_labels(alert: Alert, where: str, most: int, most_bytes: int) -> None:
    if len(alert.labels) > most:
        raise NotificationTooLarge(where, f"has {len(alert.labels)} labels, at most {most} are allowed")
    for name, value in alert.labels.items():
        if len(value.encode()) > most_bytes:
            raise NotificationTooLarge(f"{where}.{name}", f"is longer than {most_bytes} bytes")


def parse_api_alert(value: object, where: str) -> Alert:
    """Parse an alert in a response of ``/api/v2/alerts``.

    The alert is firing. Its ``endsAt`` is when it expires if Prometheus stops sending it.

    Raises:
        InvalidNotification: ``value`` is not an alert.
    """
    return _alert_of(_object(value, where), where, firing=True)


def _alert(value: object, where: str) -> Alert:
    alert = _object(value, where)
    status = _text(alert, "status", where)
    if status not in ("firing", "resolved"):
        _refuse(f"{where}.status", 'must be "firing" or "resolved"')
    return _alert_of(alert, where, firing=status == "firing")


def _alert_of(alert: dict[str, Any], where: str, *, firing: bool) -> Alert:
    fingerprint = _text(alert, "fingerprint", where)
    if not _FINGERPRINT.fullmatch(fingerprint):
        _refuse(f"{where}.fingerprint", "must be 1 to 64 of 0-9 A-Z a-z _ -")
    starts_at = parse_time(_text(alert, "startsAt", where), f"{where}.startsAt")
    if starts_at is None:
        _refuse(f"{where}.startsAt", "must be a real time")
    ends_at = None
    if not firing:
        ends_at = parse_time(_text(alert, "endsAt", where), f"{where}.endsAt")
        if ends_at is None:
            _refuse(f"{where}.endsAt", "must be a real time because the alert is resolved")
    return Alert(
        firing=firing,
        labels=_texts(alert, "labels", where, required=True),
        annotations=_texts(alert, "annotations", where, required=False),
        starts_at=starts_at,
        ends_at=ends_at,
        fingerprint=fingerprint,
    )


def parse_time(text: str, where: str) -> float | None:
    """Parse an RFC 3339 time. Returns seconds since the epoch; None for Go's zero time, which means never.

    Raises:
        InvalidNotification: ``text`` is not such a time.
    """
    # Do not cache a long text.
    convert = _seconds_of if len(text) <= _USUAL_TIME_LENGTH else _seconds_of.__wrapped__
    try:
        return convert(text)
    except (ValueError, OverflowError) as error:
        _refuse(where, str(error) if isinstance(error, _WrongTime) else _NO_SUCH_TIME)


class _WrongTime(ValueError):
    """A time that is not accepted. The message says why."""


@lru_cache(maxsize=1024)
def _seconds_of(text: str) -> float | None:
    """`parse_time`. The alerts of a group often have the same times.

    Raises:
        ValueError, OverflowError: ``text`` is not such a time.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise _WrongTime("must be a time as in RFC 3339")
    if text.startswith(_NEVER_YEAR):
        return None
    seconds, fraction, zone = match.groups()
    moment = datetime.fromisoformat(seconds + ("+00:00" if zone in "Zz" else zone)).timestamp()
    # The fraction is added here, because Python 3.11 does not parse nanoseconds.
    moment += float(f"0.{fraction}") if fraction else 0.0
    if moment > _LATEST:
        raise _WrongTime("must be a time before the year 10000")
    return moment


def _load(body: bytes) -> object:
    try:
        text = body.decode("utf-8")
        # A lone surrogate can only come from an escape, and Go does not escape characters beyond U+FFFF. So
        # a body from Alertmanager needs no cleaning.
        hook = _cleaned if "\\ud" in text or "\\uD" in text else None
        return loads_in_pieces(text, parse_constant=_no_constant, object_pairs_hook=hook)
    except UnicodeDecodeError as error:
        _refuse("body", f"is not UTF-8 at byte {error.start}")
    except RecursionError:
        _refuse("body", "is nested too deeply")
    except json.JSONDecodeError as error:
        _refuse("body", f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    except ValueError as error:
        _refuse("body", f"is not JSON: {error}")


def _no_constant(text: str) -> NoReturn:
    message = f"{text} is not a JSON number"
    raise ValueError(message)


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(where, f"must be an object, got {_type(value)}")
    return value


def _text(value: dict[str, Any], key: str, where: str, default: str | None = None) -> str:
    text = value.get(key, default)
    if not isinstance(text, str):
        why = f"must be a string, got {_type(text)}" if key in value else "is missing"
        _refuse(key if where == "body" else f"{where}.{key}", why)
    return text


def _texts(value: dict[str, Any], key: str, where: str, *, required: bool) -> Mapping[str, str]:
    texts = value.get(key)
    if texts is None and not required:
        return {}
    if not isinstance(texts, dict):
        why = "is missing" if key not in value else f"must be an object, got {_type(texts)}"
        _refuse(f"{where}.{key}", why)
    if not _ONLY_TEXT.issuperset(map(type, texts.values())):
        name, text = next((name, text) for name, text in texts.items() if not isinstance(text, str))
        # A name may have any characters, and this message is logged.
        position = f"{where}.{key}.{name}" if _LABEL_NAME.fullmatch(name) else f"{where}.{key}"
        _refuse(position, f"must be a string, got {_type(text)}")
    return texts


def _cleaned(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {_clean(key): _clean(value) if isinstance(value, str) else value for key, value in pairs}


def _clean(text: str) -> str:
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _refuse(where: str, why: str) -> NoReturn:
    raise InvalidNotification(where, why) from None
