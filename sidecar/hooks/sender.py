"""The interface that formats use to send requests."""

from __future__ import annotations

from typing import Protocol

from sidecar.http_json import HttpReply

from .endpoint import HookRequest


class Sender(Protocol):
    """Sends requests to one endpoint."""

    def send(self, request: HookRequest) -> HttpReply:
        """Send ``request``; return a successful response. Raises `DeliveryFailed`."""
