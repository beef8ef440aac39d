"""The address of a Redis: one server, a Sentinel group or a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_URL = re.compile(r"(rediss?)(?:\+(sentinel|cluster))?://(?:([^@/]*)@)?([^/@?#]+)(/[^?#]*)?", re.ASCII)
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?", re.ASCII)
_MAX_PORT = 65_535
_PORTS = {"": 6379, "sentinel": 26379, "cluster": 6379}

FORMS = (
    "redis://HOST[:PORT][/DB], redis+sentinel://HOST[:PORT],…/MASTER[/DB] or redis+cluster://HOST[:PORT],…; "
    "rediss for TLS"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A parsed address.

    Attributes:
        kind: empty: one server; ``sentinel`` or ``cluster``.
        hosts: hosts with their ports.
        tls: whether to use TLS.
        master: name of the master that Sentinel knows.
        db: number of the database.
        username: empty: none is given.
        password: empty: none is given.
    """

    kind: str
    hosts: tuple[tuple[str, int], ...]
    tls: bool
    master: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Parse ``url``. Raises `ValueError`, whose message does not contain the password."""
        found = _URL.fullmatch(url)
        if found is None:
            raise ValueError(f"{redacted(url)} is not the address of a Redis: use {FORMS}")
        scheme, kind, user, hosts, path = found.groups(default="")
        username, _, password = user.rpartition(":") if ":" in user else (user, "", "")
        parts = [part for part in path.split("/") if part]
        master = ""
        if kind == "sentinel":
            if not parts:
                raise ValueError(f"{redacted(url)}: name the master: redis+sentinel://HOST,…/MASTER")
            master = parts.pop(0)
        if len(parts) > 1 or (parts and not parts[0].isdecimal()) or (kind == "cluster" and parts):
            raise ValueError(f"{redacted(url)}: {path[1:]!r} is not the number of a database")
        return cls(
            kind,
            tuple(_host(one, _PORTS[kind], url) for one in hosts.split(",")),
            scheme == "rediss",
            master,
            int(parts[0]) if parts else 0,
            unquote(username),
            unquote(password),
        )

    def __str__(self) -> str:
        """The hosts, for messages."""
        return ", ".join(f"{host}:{port}" for host, port in self.hosts)


def _host(text: str, port: int, url: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if found is None or not 0 < int(found[2] or port) <= _MAX_PORT:
        raise ValueError(f"{redacted(url)}: {text!r} is not HOST:PORT")
    return found[1].strip("[]"), int(found[2] or port)


def redacted(url: str) -> str:
    """``url`` without its password, for logs and messages."""
    parts = urlsplit(url) if "://" in url else None
    if parts is None or "@" not in parts.netloc:
        return url
    return re.sub(r"//[^/]*@", "//***@", url)
