"""The name of the local user who sent a command without a credential. The command line reports it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

from sidecar.auth import Identity

HEADER = b"wellbeing-actor"
PREFIX = "local:"
"""A prefix that distinguishes these names from those of credentials, because they are not verified."""

_NAME = re.compile(rb"[A-Za-z0-9._@-]{1,64}")


def with_local_actor(
    identity: Identity, headers: Iterable[tuple[bytes, bytes]], client: tuple[str, int] | None
) -> Identity:
    """``identity`` with the name in the header ``Wellbeing-Actor``, for log and history.

    Args:
        identity: the client; a credential keeps its own name.
        headers: the header fields of the request.
        client: the address of the client; None: it uses a Unix socket.
    """
    if identity.name or not _is_local(client):
        return identity
    for name, value in headers:
        if name == HEADER and _NAME.fullmatch(value):
            return replace(identity, name=PREFIX + value.decode())
    return identity


def _is_local(client: tuple[str, int] | None) -> bool:
    try:
        return client is None or ip_address(client[0]).is_loopback
    except ValueError:
        return False
