"""Checks for config values about listeners and roles. `checks` says what a check is."""

from __future__ import annotations

import os
import re
from typing import Any

from sidecar.core.errors import short_repr

from .checks import boolean, invalid, no_such_key, texts
from .values_access import ROLES, Listener

_HOST_PORT = re.compile(r"(?:[A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", re.ASCII)
_MAX_PORT = 65_535
_MAX_UNIX_PATH_BYTES = 107


def listeners(value: object) -> tuple[Listener, ...]:
    """One address to listen on, or a list of addresses and sections."""
    if isinstance(value, str | dict):
        value = [value]
    if not isinstance(value, list) or not value:
        raise invalid("HOST:PORT, unix:/path, or a list of these", value)
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
        raise invalid("HOST:PORT, [V6]:PORT or unix:/path", value)
    if is_socket and len(os.fsencode(str(value).removeprefix("unix:"))) > _MAX_UNIX_PATH_BYTES:
        raise ValueError(
            f"the path of a Unix socket may have at most {_MAX_UNIX_PATH_BYTES} bytes: "
            f"shorten {short_repr(value)}"
        )
    return str(value)


def _mode(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch("0?[0-7]{3}", value):
        raise invalid('an octal mode in quotes, such as "0660"', value)
    return int(value, 8)


def roles(value: object) -> tuple[str, ...]:
    """A list of roles."""
    for one in texts(value):
        if one not in ROLES:
            raise invalid(f"a list of {', '.join(ROLES)}", one)
    return texts(value)
