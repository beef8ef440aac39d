"""Links to the status page of a sidecar."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from urllib.parse import urlencode

from sidecar.config import Config

_WILDCARDS = ("", "0.0.0.0", "[::]")  # noqa: S104 - only compared


def base_url(config: Config, addresses: Sequence[str] = ()) -> str:
    """URL at which people reach the sidecar, without a slash at its end; empty: it is not known.

    Args:
        config: the config.
        addresses: the addresses that the listeners got, in their order; empty: as in the config.
    """
    if config.external_url:
        return config.external_url.rstrip("/")
    bound = addresses or [listener.address for listener in config.listen]
    for listener, address in zip(config.listen, bound, strict=True):
        if listener.is_unix:
            continue
        host, _, port = address.rpartition(":")
        if port == "0":
            continue
        tls = config.tls is not None if listener.tls is None else listener.tls
        host = socket.gethostname() if host in _WILDCARDS else host
        return f"{'https' if tls else 'http'}://{host}:{port}"
    return ""


def scope_link(base: str, scope: str) -> str:
    """URL of the page of ``scope``; empty: the base is not known."""
    if not base:
        return ""
    return f"{base}/?{urlencode({'scope': scope})}" if scope else f"{base}/"
