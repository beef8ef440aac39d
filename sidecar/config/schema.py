"""Every key of the config: its type, its default, what it is for. All in one place.

A checker takes what YAML made of a value and returns it as the program wants it, or raises
`ValueError` with what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sidecar.core.errors import shown
from sidecar.core.policy import Policy
from sidecar.core.scope import parse_scope

from .values import AlertsConfig, Config, LimitsConfig, StoreConfig

Check = Callable[[object], object]

_HOST_PORT = re.compile(r"(?:[A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", re.ASCII)
_MAX_PORT = 65_535
_MAX_SECS = 1e9


@dataclass(frozen=True, slots=True)
class Key:
    """A key that has a value of its own.

    Attributes:
        check: makes the value, or raises `ValueError`.
        kind: the type in a word or two.
        default: None: required.
        description: a line for the reference.
    """

    check: Check
    kind: str
    default: object
    description: str


@dataclass(frozen=True, slots=True)
class Section:
    """A key that has keys.

    Attributes:
        keys: by name.
        short: the key that is meant where a plain value stands in place of the section.
    """

    keys: dict[str, Key | Section | Items]
    short: str | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """A key that has a list of sections."""

    section: Section
    description: str


def _type(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def _wrong(wanted: str, value: object) -> ValueError:
    got = shown(value) if isinstance(value, str | int | float) else _type(value)
    return ValueError(f"must be {wanted}, got {got}")


def boolean(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def seconds(value: object) -> float:
    """A duration."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_SECS:
        raise _wrong("seconds, a number of at least 0", value)
    return float(value)


def positive_seconds(value: object) -> float:
    """A duration above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_SECS:
        raise _wrong("seconds, a number above 0", value)
    return float(value)


def count(value: object) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**12:
        raise _wrong("a whole number of at least 1", value)
    return value


def rate(value: object) -> float:
    """A number a second."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:  # noqa: PLR2004
        raise _wrong("a number of at least 0", value)
    return float(value)


def text(value: object) -> str:
    """Text."""
    if not isinstance(value, str):
        raise _wrong("text", value)
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of text."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _wrong("a list of text", value)
    return tuple(value)


def scope(value: object) -> str:
    """A scope."""
    return parse_scope(text(value))


def one_of(*allowed: str) -> Check:
    """One of a few words."""

    def check(value: object) -> str:
        if value not in allowed or not isinstance(value, str):
            raise _wrong(f"one of {', '.join(allowed)}", value)
        return value

    return check


def addresses(value: object) -> tuple[str, ...]:
    """One address to listen on, or a list."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise _wrong("HOST:PORT, unix:/path, or a list of those", value)
    for one in value:
        match = _HOST_PORT.fullmatch(one) if isinstance(one, str) else None
        is_socket = isinstance(one, str) and one.startswith("unix:/")
        if not is_socket and (match is None or int(match[1]) > _MAX_PORT):
            raise _wrong("HOST:PORT, [V6]:PORT or unix:/path", one)
    return tuple(value)


def store(value: object) -> str:
    """Where the state is kept."""
    if isinstance(value, str) and re.fullmatch("memory:|sqlite:.+", value):
        return value
    raise _wrong("memory: or sqlite:PATH", value)


_POLICY = Policy()
_POLICY_KEYS: dict[str, Key | Section | Items] = {
    "enabled": Key(
        boolean,
        "boolean",
        _POLICY.enabled,
        "off: signals are ignored and the gate is open, whatever holds exist",
    ),
    "pause_on_distressed": Key(
        boolean, "boolean", _POLICY.pause_on_distressed, "a distressed own state closes the gate"
    ),
    "pause_on_concerned": Key(
        boolean,
        "boolean",
        _POLICY.pause_on_concerned,
        "a concerned own state does, and so a distressed one too",
    ),
    "max_pause_secs": Key(
        seconds, "seconds", _POLICY.max_pause_secs, "a hold ends by itself after this long; 0: never"
    ),
    "wait_timeout_secs": Key(
        seconds,
        "seconds",
        _POLICY.wait_timeout_secs,
        "a gate request waits this long by default, and at most",
    ),
    "min_pause_secs": Key(
        seconds,
        "seconds",
        _POLICY.min_pause_secs,
        "the policy's hold is kept at least this long; 0: recover at once",
    ),
    "resume_ramp_per_sec": Key(
        rate, "number", _POLICY.resume_ramp_per_sec, "parked waiters let through a second; 0: all at once"
    ),
}
_CONFIG, _ALERTS, _LIMITS, _STORE = Config(), AlertsConfig(), LimitsConfig(), StoreConfig()

SCHEMA = Section(
    {
        "listen": Key(addresses, "address or list", _CONFIG.listen, "HOST:PORT, [V6]:PORT or unix:/path"),
        "store": Section(
            {
                "url": Key(store, "store", _STORE.url, "where the state is kept: memory: or sqlite:PATH"),
                "on_corrupt": Key(
                    one_of("refuse", "quarantine"),
                    "word",
                    _STORE.on_corrupt,
                    "a damaged file: refuse to start, or set it aside and start afresh",
                ),
                "history_max_entries": Key(
                    count, "number", _STORE.history_max_entries, "entries of the history that are kept"
                ),
                "history_max_age_secs": Key(
                    positive_seconds, "seconds", _STORE.history_max_age_secs, "how old they may get"
                ),
            },
            short="url",
        ),
        "log_level": Key(
            one_of("debug", "info", "warning", "error"), "word", _CONFIG.log_level, "the least that is logged"
        ),
        "log_format": Key(
            one_of("console", "json"), "word", _CONFIG.log_format, "for people or for programs"
        ),
        "scope_idle_secs": Key(
            positive_seconds,
            "seconds",
            _CONFIG.scope_idle_secs,
            "a scope without signal, hold or waiter is forgotten after this long",
        ),
        "defaults": Section(_POLICY_KEYS),
        "policies": Items(
            Section(
                {
                    "match": Key(scope, "scope", None, "the scope it counts for, and all inside"),
                    **_POLICY_KEYS,
                }
            ),
            "the first whose match holds decides; keys it does not set are those of defaults",
        ),
        "alerts": Section(
            {
                "rules": Items(
                    Section(
                        {
                            "matchers": Key(
                                texts, "list of text", (), "all have to hold, as in Alertmanager"
                            ),
                            "state": Key(text, "state", None, "what is claimed, or ignore"),
                            "scope": Key(texts, "list of text", (), "labels whose values make the scope"),
                            "reason": Key(
                                text, "template", "", "{labels.NAME} and {annotations.NAME} are filled in"
                            ),
                        }
                    ),
                    "the first that matches decides; in place of the built-in ones",
                ),
                "alert_ttl_secs": Key(
                    positive_seconds,
                    "seconds",
                    _ALERTS.alert_ttl_secs,
                    "an alert that is not repeated counts no more after this long; "
                    "keep it above Alertmanager's repeat_interval",
                ),
            }
        ),
        "limits": Section(
            {
                "max_scopes": Key(count, "number", _LIMITS.max_scopes, "scopes that may be known"),
                "max_waiters": Key(
                    count, "number", _LIMITS.max_waiters, "requests that may be parked at once"
                ),
                "max_body_bytes": Key(count, "number", _LIMITS.max_body_bytes, "bytes of a request's body"),
                "max_alerts_per_notification": Key(
                    count, "number", _LIMITS.max_alerts_per_notification, "alerts in one notification"
                ),
            }
        ),
    }
)


def describe(section: Section = SCHEMA, prefix: str = "") -> list[tuple[str, str, object, str]]:
    """Every key with its type, default and description; items of lists as ``policies[].match``."""
    rows: list[tuple[str, str, object, str]] = []
    for name, key in section.keys.items():
        if isinstance(key, Key):
            rows.append((prefix + name, key.kind, key.default, key.description))
        elif isinstance(key, Section):
            rows += describe(key, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, "list", (), key.description))
            rows += describe(key.section, f"{prefix}{name}[].")
    return rows
