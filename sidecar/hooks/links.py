"""Links to the status page of a sidecar."""

from __future__ import annotations

import socket
from urllib.parse import urlencode

from sidecar.config import Config

_WILDCARDS = ("", "0.0.0.0", "[::]")  # noqa: S104 - only compared


def base_url(config: Config) -> str:
    """URL at which people reach the sidecar, without a slash at its end; empty: it is not known."""
    if config.external_url:
        return config.external_url.rstrip("/")
    for listener in config.listen:
        if listener.is_unix:
            continue
        host, _, port = listener.address.rpartition(":")
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
