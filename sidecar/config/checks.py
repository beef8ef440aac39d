"""Checks for the values of config keys.

A check takes a value as YAML parsed it. It returns the value in the type that the program uses, or raises
`ValueError`, whose message says what is wrong.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sidecar.alerts import InvalidMatcher, Matcher
from sidecar.alerts.rules import IGNORE
from sidecar.core.errors import closest_match, short_repr
from sidecar.core.scope import parse_scope
from sidecar.core.state import WellbeingState
from sidecar.durations import ALLOWED, MAX_SECS, parse_duration

from .time_intervals import KEYS as TIME_INTERVAL_KEYS
from .time_intervals import InvalidTimeInterval, TimeInterval, parse_time_interval
from .values_access import ROLES, Listener
from .values_programs import HOOK_EVENTS

Check = Callable[[object], object]


class InvalidMember(ValueError):
    """A part of a value is not valid.

    Args:
        message: what is wrong.
        path: the keys and positions that lead to the part.
    """

    def __init__(self, message: str, path: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.path = path


def no_such_key(key: object, known: Sequence[str], path: tuple[str | int, ...] = ()) -> InvalidMember:
    """The error for an unknown ``key`` of a mapping at ``path``."""
    near = closest_match(str(key), known)
    hint = f" (did you mean {near}?)" if near else f": the keys are {', '.join(known)}"
    return InvalidMember(f"{short_repr(key)[1:-1]}: no such key{hint}", (*path, str(key)))


_HOST_PORT = re.compile(r"(?:[A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", re.ASCII)
_REDIS_HOST = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?"
_REDIS = re.compile(
    rf"rediss?(\+sentinel://([^@/]*@)?{_REDIS_HOST}(,{_REDIS_HOST})*/[^/?#]+(/\d{{1,4}})?"
    rf"|\+cluster://([^@/]*@)?{_REDIS_HOST}(,{_REDIS_HOST})*/?"
    rf"|://([^@/]*@)?{_REDIS_HOST}(/(\d{{1,4}})?)?)",
    re.ASCII,
)
REDIS_FORMS = (
    "redis://HOST[:PORT][/DB], redis+sentinel://HOST[:PORT],…/MASTER[/DB] or redis+cluster://HOST[:PORT],…; "
    "rediss instead of redis for TLS"
)
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z0-9._:~/@+-]{0,128}", re.ASCII)
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_OWN_FIELDS = (
    "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
)  # fmt: skip
_MAX_PORT = 65_535
_PORTS = {"http": 80, "https": 443}
_MAX_UNIX_PATH_BYTES = 107
_MAX_LINK_NAME = 40
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_LINK_PLACEHOLDERS = ("scope", "alertname", "fingerprint")


def _type(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def _invalid(wanted: str, value: object) -> ValueError:
    got = short_repr(value) if isinstance(value, str | int | float) else _type(value)
    return ValueError(f"must be {wanted}, got {got}")


def boolean(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _invalid("true or false", value)
    return value


def seconds(value: object) -> float:
    """A duration: a number of seconds, or text such as ``5m``."""
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SECS:
        raise _invalid(f"seconds, {ALLOWED}", value)
    return float(value)


def positive_seconds(value: object) -> float:
    """A duration above 0."""
    secs = seconds(value)
    if not secs:
        raise _invalid("above 0 seconds", value)
    return secs


def count(value: object) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**12:
        raise _invalid("a whole number of at least 1", value)
    return value


def rate(value: object) -> float:
    """A number per second."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:  # noqa: PLR2004
        raise _invalid("a number from 0 to 1000000", value)
    return float(value)


def restrict(value: object) -> tuple[tuple[WellbeingState, float], ...]:
    """A mapping of states to requests per second."""
    states = [state for state in WellbeingState if state is not WellbeingState.HEALTHY]
    names = tuple(state.label for state in states)
    if not isinstance(value, dict):
        raise _invalid(f"a mapping of {', '.join(names)} to requests per second", value)
    found = []
    for key, one in value.items():
        state = next((state for state in states if state.label == key), None)
        if state is None:
            raise no_such_key(key, names)
        is_number = isinstance(one, int | float) and not isinstance(one, bool)
        if not is_number or not 0 < one <= 1e6:  # noqa: PLR2004
            wanted = "a number above 0 and at most 1000000, in requests per second"
            raise InvalidMember(f"{key}: {_invalid(wanted, one)}", (key,))
        found.append((state, float(one)))
    return tuple(sorted(found))


def share(value: object) -> float:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _invalid("a number from 0 to 1", value)
    return float(value)


def time_intervals(value: object) -> tuple[TimeInterval, ...]:
    """A list of time intervals in Alertmanager's syntax."""
    if not isinstance(value, list) or not value:
        raise _invalid("a list of time intervals", value)
    found = []
    for index, one in enumerate(value):
        for key in one if isinstance(one, dict) else ():
            if key not in TIME_INTERVAL_KEYS:
                raise no_such_key(key, TIME_INTERVAL_KEYS, (index,))
        try:
            found.append(parse_time_interval(one))
        except InvalidTimeInterval as error:
            raise InvalidMember(str(error), (index, str(error).partition(":")[0])) from None
    return tuple(found)


def trial_requests(value: object) -> int:
    """A number of requests; 0: none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**6:
        raise _invalid("a whole number of at least 0", value)
    return value


def text(value: object) -> str:
    """Text that files, URLs and headers can have."""
    if not isinstance(value, str):
        raise _invalid("text", value)
    if _NOT_TEXT.search(value):
        raise _invalid("text without NUL and unpaired surrogates", value)
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of text."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _invalid("a list of text", value)
    return tuple(map(text, value))


def urls(value: object) -> tuple[str, ...]:
    """A list of different URLs, or one."""
    if isinstance(value, str):
        value = [value]
    seen = set()
    for url in texts(value):
        # The URL may contain a password.
        redacted = re.sub(r"//[^/]*@", "//***@", url)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise _invalid("http://HOST:PORT or https://HOST:PORT, optionally with a path", redacted)
        address = (parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.path.rstrip("/"))
        if address in seen:
            raise ValueError(f"{short_repr(redacted)} is listed twice")
        seen.add(address)
    return texts(value)


def name(value: object) -> str:
    """A name that is valid as the source of a claim; empty: none."""
    if not _NAME.fullmatch(text(value)):
        raise _invalid("at most 128 of A-Z a-z 0-9 . _ : ~ / @ + -", value)
    return text(value)


def url(value: object) -> str:
    """One URL."""
    return urls([value])[0]


def endpoint(value: object) -> str:
    """The URL of a hook; empty: none. The error does not show it, because it may contain a secret."""
    if text(value) and not is_endpoint(text(value)):
        raise ValueError(
            "must be http://HOST[:PORT][/PATH] or https://…, without a user name, spaces and #fragment"
        )
    return text(value)


def is_endpoint(url: str) -> bool:
    """Whether ``url`` is an HTTP URL that a hook can have."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
    is_plain = url.isprintable() and " " not in url and "@" not in parts.netloc and not parts.fragment
    return is_http and is_plain and port_is_valid


def link_name(value: object) -> str:
    """The text of a link."""
    name = text(value).strip()
    if not name or len(name) > _MAX_LINK_NAME or not name.isprintable():
        raise _invalid(f"1 to {_MAX_LINK_NAME} printable characters", value)
    return name


def link_template(value: object) -> str:
    """A URL with placeholders after its host."""
    url = text(value)
    names = _PLACEHOLDER.findall(url)
    for name in names:
        if name not in _LINK_PLACEHOLDERS:
            near = closest_match(name, _LINK_PLACEHOLDERS)
            hint = f"did you mean {{{near}}}?" if near else "known are {scope}, {alertname}, {fingerprint}"
            raise ValueError(f"{{{name}}}: no such placeholder; {hint}")
    try:
        parts = urlsplit(_PLACEHOLDER.sub("x", url))
        is_link = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_link = False
    if not is_link or any(not one.isprintable() or one.isspace() for one in url):
        raise _invalid("a URL such as https://grafana.example/d/scope?var-scope={scope}", value)
    if "{" in url.split("//", 1)[1].partition("/")[0].partition("?")[0]:
        raise _invalid("a URL without placeholders in its host", value)
    return url


def header_fields(value: object) -> dict[str, str]:
    """A mapping of header fields. Errors do not show the values, because they may contain a secret."""
    for field, content in members(value).items():
        if not _FIELD_NAME.fullmatch(field):
            raise _invalid("names of header fields", field)
        if field.lower() in _OWN_FIELDS:
            raise ValueError(f"{field} cannot be set: the sidecar sets it")
        if not isinstance(content, str) or not content.isascii() or not content.isprintable():
            raise ValueError(f"{field}: must be printable text in ASCII; numbers in quotes")
    return {field: str(content) for field, content in members(value).items()}


def field_name(value: object) -> str:
    """The name of a header field."""
    if not _FIELD_NAME.fullmatch(text(value)) or text(value).lower() in _OWN_FIELDS:
        raise _invalid("the name of a header field, such as X-Api-Key", value)
    return text(value)


def hook_events(value: object) -> tuple[str, ...]:
    """A list of different names of events, at least one."""
    for one in texts(value):
        if one not in HOOK_EVENTS:
            near = closest_match(one, HOOK_EVENTS)
            hint = f" (did you mean {near}?)" if near else ""
            raise ValueError(f"{short_repr(one)}: no such event{hint}: one of {', '.join(HOOK_EVENTS)}")
    if not texts(value):
        raise ValueError(f"must name at least one of {', '.join(HOOK_EVENTS)}")
    return tuple(dict.fromkeys(texts(value)))


def hook_name(value: object) -> str:
    """The name of a hook; not empty."""
    if not name(value):
        raise _invalid("a name", value)
    return name(value)


def media_type(value: object) -> str:
    """A content type."""
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w\"-]+)*", text(value), re.ASCII):
        raise _invalid("a content type, such as application/json", value)
    return text(value)


def path(value: object) -> str:
    """A path that is appended to a URL; empty: none."""
    if text(value) and not text(value).startswith("/"):
        raise _invalid("a path that begins with /", value)
    return text(value)


def members(value: object) -> dict[str, object]:
    """A mapping that is sent as JSON."""
    if not isinstance(value, dict):
        raise _invalid("a mapping", value)
    return value


def matchers(value: object) -> tuple[str, ...]:
    """A list of matchers."""
    for one in texts(value):
        Matcher.parse(one)
    return texts(value)


RULE_STATES = (*(state.label for state in WellbeingState), IGNORE)


def rule_state(value: object) -> str:
    """A wellbeing state, or `IGNORE`."""
    if value not in RULE_STATES or not isinstance(value, str):
        near = closest_match(str(value), RULE_STATES) if isinstance(value, str) else None
        hint = f" (did you mean {near}?)" if near else ""
        raise ValueError(f"{_invalid('one of ' + ', '.join(RULE_STATES), value)}{hint}")
    return value


def rule_matchers(value: object) -> tuple[str, ...]:
    """A list of matchers, or of lists of matchers."""
    for index, one in enumerate(texts(value)):
        try:
            Matcher.parse_list(one)
        except InvalidMatcher as error:
            raise InvalidMember(str(error), (index,)) from None
    return texts(value)


def scope(value: object) -> str:
    """A scope."""
    return parse_scope(text(value))


@dataclass(frozen=True, slots=True)
class OneOf:
    """A check for one of a few words.

    Attributes:
        allowed: the words.
    """

    allowed: tuple[str, ...]

    def __call__(self, value: object) -> str:
        """``value``, if it is one of the words."""
        if value not in self.allowed or not isinstance(value, str):
            raise _invalid(f"one of {', '.join(self.allowed)}", value)
        return value


def one_of(*allowed: str) -> OneOf:
    """One of the ``allowed`` words."""
    return OneOf(allowed)


@dataclass(frozen=True, slots=True)
class OneNumberOf:
    """A check for one of a few whole numbers.

    Attributes:
        allowed: the numbers.
    """

    allowed: tuple[int, ...]

    def __call__(self, value: object) -> int:
        """``value``, if it is one of the numbers."""
        if isinstance(value, bool) or not isinstance(value, int) or value not in self.allowed:
            raise _invalid(f"one of {', '.join(map(str, self.allowed))}", value)
        return value


def one_number_of(*allowed: int) -> OneNumberOf:
    """One of the ``allowed`` whole numbers."""
    return OneNumberOf(allowed)


def listeners(value: object) -> tuple[Listener, ...]:
    """One address to listen on, or a list of addresses and sections."""
    if isinstance(value, str | dict):
        value = [value]
    if not isinstance(value, list) or not value:
        raise _invalid("HOST:PORT, unix:/path, or a list of these", value)
    found = tuple(_listener(one, index) for index, one in enumerate(value))
    addresses = [one.address for one in found]
    for index, address in enumerate(addresses):
        if address in addresses[:index] and not address.endswith(":0"):
            raise ValueError(f"{address} is listed twice")
    return found


LISTENER_KEYS = ("address", "roles", "tls", "mode")


def _listener(value: object, index: int) -> Listener:
    if not isinstance(value, dict):
        return Listener(_address(value))
    for key in value:
        if key not in LISTENER_KEYS:
            raise no_such_key(key, LISTENER_KEYS, (index,))
    if "address" not in value:
        raise ValueError("address: is missing")
    keys: dict[str, Any] = {}
    if value.get("roles") is not None:
        keys["roles"] = roles(value["roles"])
    if value.get("tls") is not None:
        keys["tls"] = boolean(value["tls"])
    if value.get("mode") is not None:
        keys["mode"] = _mode(value["mode"])
    return Listener(_address(value["address"]), **keys)


def _address(value: object) -> str:
    match = _HOST_PORT.fullmatch(value) if isinstance(value, str) else None
    is_socket = isinstance(value, str) and value.startswith("unix:/") and "\0" not in value
    if not is_socket and (match is None or int(match[1]) > _MAX_PORT):
        raise _invalid("HOST:PORT, [V6]:PORT or unix:/path", value)
    if is_socket and len(os.fsencode(str(value).removeprefix("unix:"))) > _MAX_UNIX_PATH_BYTES:
        raise ValueError(
            f"the path of a Unix socket may have at most {_MAX_UNIX_PATH_BYTES} bytes: "
            f"shorten {short_repr(value)}"
        )
    return str(value)


def _mode(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch("0?[0-7]{3}", value):
        raise _invalid('an octal mode in quotes, such as "0660"', value)
    return int(value, 8)


def roles(value: object) -> tuple[str, ...]:
    """A list of roles."""
    for one in texts(value):
        if one not in ROLES:
            raise _invalid(f"a list of {', '.join(ROLES)}", one)
    return texts(value)


def store(value: object) -> str:
    """The URL of a store."""
    if isinstance(value, str) and re.fullmatch("memory:|sqlite:.+", value):
        return value
    if isinstance(value, str) and re.match(r"rediss?(\+\w+)?:", value):
        if not _REDIS.fullmatch(value):
            # The URL may contain a password.
            redacted = re.sub(r"//[^/]*@", "//***@", value)
            raise _invalid(f"the address of a Redis: {REDIS_FORMS}", redacted)
        return value
    raise _invalid("memory:, sqlite:PATH or redis://HOST:PORT", value)


def redis_prefix(value: object) -> str:
    """A prefix of the names of keys."""
    if not re.fullmatch(r"[A-Za-z0-9._:~/-]{1,64}", text(value), re.ASCII):
        raise _invalid("1 to 64 of A-Z a-z 0-9 . _ : ~ / -", value)
    return text(value)


def natural(value: object) -> int:
    """A whole number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**6:
        raise _invalid("a whole number of at least 0", value)
    return value
