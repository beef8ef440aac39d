"""Checks for config values that are URLs or belong to HTTP requests. `checks` says what a check is."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from sidecar.core.errors import closest_match, short_repr

from .checks import invalid, members, text, texts

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
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_OWN_FIELDS = (
    "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
)  # fmt: skip
_PORTS = {"http": 80, "https": 443}
_MAX_LINK_NAME = 40
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_LINK_PLACEHOLDERS = ("scope", "alertname", "fingerprint")


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
            raise invalid("http://HOST:PORT or https://HOST:PORT, optionally with a path", redacted)
        address = (parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.path.rstrip("/"))
        if address in seen:
            raise ValueError(f"{short_repr(redacted)} is listed twice")
        seen.add(address)
    return texts(value)


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
        raise invalid(f"1 to {_MAX_LINK_NAME} printable characters", value)
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
        raise invalid("a URL such as https://grafana.example/d/scope?var-scope={scope}", value)
    if "{" in url.split("//", 1)[1].partition("/")[0].partition("?")[0]:
        raise invalid("a URL without placeholders in its host", value)
    return url


def header_fields(value: object) -> dict[str, str]:
    """A mapping of header fields. Errors do not show the values, because they may contain a secret."""
    for field, content in members(value).items():
        if not _FIELD_NAME.fullmatch(field):
            raise invalid("names of header fields", field)
        if field.lower() in _OWN_FIELDS:
            raise ValueError(f"{field} cannot be set: the sidecar sets it")
        if not isinstance(content, str) or not content.isascii() or not content.isprintable():
            raise ValueError(f"{field}: must be printable text in ASCII; numbers in quotes")
    return {field: str(content) for field, content in members(value).items()}


def field_name(value: object) -> str:
    """The name of a header field."""
    if not _FIELD_NAME.fullmatch(text(value)) or text(value).lower() in _OWN_FIELDS:
        raise invalid("the name of a header field, such as X-Api-Key", value)
    return text(value)


def media_type(value: object) -> str:
    """A content type."""
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w\"-]+)*", text(value), re.ASCII):
        raise invalid("a content type, such as application/json", value)
    return text(value)


def path(value: object) -> str:
    """A path that is appended to a URL; empty: none."""
    if text(value) and not text(value).startswith("/"):
        raise invalid("a path that begins with /", value)
    return text(value)


def store(value: object) -> str:
    """The URL of a store."""
    if isinstance(value, str) and re.fullmatch("memory:|sqlite:.+", value):
        return value
    if isinstance(value, str) and re.match(r"rediss?(\+\w+)?:", value):
        if not _REDIS.fullmatch(value):
            # The URL may contain a password.
            redacted = re.sub(r"//[^/]*@", "//***@", value)
            raise invalid(f"the address of a Redis: {REDIS_FORMS}", redacted)
        return value
    raise invalid("memory:, sqlite:PATH or redis://HOST:PORT", value)


def redis_prefix(value: object) -> str:
    """A prefix of the names of keys."""
    if not re.fullmatch(r"[A-Za-z0-9._:~/-]{1,64}", text(value), re.ASCII):
        raise invalid("1 to 64 of A-Z a-z 0-9 . _ : ~ / -", value)
    return text(value)
