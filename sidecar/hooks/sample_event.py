"""A sample event, to test a hook."""

from __future__ import annotations

from typing import Any

from sidecar.http_json import HttpReply
from sidecar.store import HistoryEntry

from .endpoint import Endpoint, HookRequest
from .events import HookEvent

_VALUES = {
    "pause": ("pause", "open", "closed", "auto"),
    "resume": ("resume", "closed", "open", "recovered"),
    "advice": ("advice", "open", "open", "auto"),
    "advice_ended": ("advice_ended", "open", "open", "recovered"),
    "intervention": ("intervention", "healthy", "distressed", ""),
    "blind": ("blind", "seeing", "blind", ""),
    "sighted": ("blind", "blind", "seeing", ""),
    "trial_failed": ("pause", "open", "closed", "trial_failed"),
    "store_down": ("store", "up", "down", ""),
    "store_up": ("store", "down", "up", ""),
}
_WITH_END = ("pause", "advice", "trial_failed")
_WITHOUT_SCOPE = ("blind", "sighted", "store_down", "store_up")
_SCOPE = "test/hook"


class RecordingSender:
    """Sends requests, and records them without URL, credentials and headers.

    Args:
        endpoint: sends the requests.
        dry_run: send nothing, and report each request as successful.

    Attributes:
        requests: method, path below the URL, content type and body of each request.
    """

    def __init__(self, endpoint: Endpoint, *, dry_run: bool) -> None:
        self.requests: list[dict[str, Any]] = []
        self._endpoint = endpoint
        self._dry_run = dry_run

    def send(self, request: HookRequest) -> HttpReply:
        """Send ``request``. Raises `DeliveryFailed`."""
        body = None if request.body is None else request.body.decode("utf-8", "replace")
        self.requests.append(
            {
                "method": request.method,
                "path": request.path,
                "content_type": request.content_type,
                "body": body,
            }
        )
        return HttpReply(200, {}, b'{"id": 1}') if self._dry_run else self._endpoint.send(request)


def sample_event(name: str, scope: str, at: float, secs: float) -> HookEvent:
    """The event ``name`` as if it had just happened.

    Args:
        name: the name of the event.
        scope: its scope; empty: a scope that does not exist.
        at: when it happened.
        secs: how long the sample pause lasts.
    """
    kind, old, new, cause = _VALUES[name]
    entry = HistoryEntry(
        0,
        at,
        "" if name in _WITHOUT_SCOPE else scope or _SCOPE,
        kind,
        old,
        new,
        "agent:hook-test",
        "this is a test: nothing was paused",
        cause,
        at + secs if name in _WITH_END else None,
    )
    return HookEvent(name, entry, test=True)
