"""Opens the listening sockets. An address that cannot be opened fails at once, with a one-line error."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gunicorn import sock as gunicorn_sock

_UNIX = "unix:"
_PROBE_TIMEOUT_SECS = 1.0


class StartError(Exception):
    """The sidecar cannot start; the message is one line that says how to fix it."""


def open_sockets(addresses: Sequence[str], cfg: Any, log: Any) -> list[Any]:  # noqa: ANN401 - gunicorn's
    """Open the listening sockets of ``addresses``, in the same order.

    Args:
        addresses: ``HOST:PORT``, ``[V6]:PORT`` or ``unix:/path``.
        cfg: gunicorn's config, with the same addresses.
        log: gunicorn's logger.

    Raises:
        StartError: one of them cannot be opened. The others are closed again.
    """
    opened: list[Any] = []
    try:
        for address, parsed in zip(addresses, cfg.address, strict=True):
            if address.startswith(_UNIX):
                _check_path(address)
            opened.append(_open(address, parsed, cfg, log))
    except BaseException:
        close_sockets(opened)
        raise
    return opened


def close_sockets(sockets: Sequence[Any]) -> None:
    """Close ``sockets``, and remove the files of Unix sockets that are still there."""
    for one in sockets:
        name = one.getsockname()
        one.close()
        if isinstance(name, str | bytes):
            Path(os.fsdecode(name)).unlink(missing_ok=True)


def _open(address: str, parsed: Any, cfg: Any, log: Any) -> Any:  # noqa: ANN401 - gunicorn's
    # gunicorn's own function would wait and retry five times.
    kind = gunicorn_sock._sock_type(parsed)  # noqa: SLF001 - the choice by family
    try:
        return kind(parsed, cfg, log)
    except socket.gaierror:
        host = address.rpartition(":")[0]
        raise StartError(f"listen: no host is named {host}: use an address of this machine") from None
    except (OSError, ValueError, OverflowError) as error:
        raise StartError(f"listen: {address} {_explain(address, error)}") from None


def _explain(address: str, error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if address.startswith(_UNIX):
        folder = Path(address.removeprefix(_UNIX)).parent
        if number in (errno.ENOENT, errno.ENOTDIR):
            missing = "" if folder.is_dir() else f": the folder {folder} does not exist: make it"
            return (
                f"cannot be made{missing}, or use another path"
                if missing
                else "cannot be made: use another path"
            )
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            return (
                f"cannot be made: the folder {folder} is not writable: make it writable, or use another path"
            )
        if number == errno.EADDRINUSE:
            return "exists already: remove it, or use another path"
    elif number == errno.EADDRINUSE:
        return "is in use by another process: stop that one, or use another port"
    elif number == errno.EADDRNOTAVAIL:
        return "is not an address of this machine: use 127.0.0.1, or an address that `ip address` shows"
    elif number in (errno.EACCES, errno.EPERM):
        return "may not be opened by this user: use a port above 1023"
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot be opened: {why}: use another address"


def _check_path(address: str) -> None:
    """Refuse a path that is not a socket, or is a socket that another process serves."""
    path = Path(address.removeprefix(_UNIX))
    try:
        is_socket = stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        # The path does not exist or is not accessible. Opening the socket reports the reason.
        return
    if not is_socket:
        raise StartError(f"listen: {address} exists and is not a socket: remove it, or use another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_SECS)
        try:
            probe.connect(str(path))
        except TimeoutError:
            pass
        except OSError as error:
            if error.errno != errno.EAGAIN:
                # A process that has ended left the socket file behind.
                return
    raise StartError(f"listen: {address} is in use by another process: stop that one, or use another path")
