"""Errors as the world sees them: RFC 9457 problem documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

CONTENT_TYPE = "application/problem+json"
_BASE = "/problems/"

TITLES: Mapping[str, tuple[int, str]] = {
    "inference-paused": (503, "Inference is paused"),
    "too-many-waiters": (503, "Too many requests are waiting already"),
    "shutting-down": (503, "The sidecar is shutting down"),
    "store-unavailable": (503, "The change could not be made durable, so nothing was changed"),
    "too-many-watchers": (503, "Too many watches are parked already"),
    "too-many-streams": (503, "Too many event streams are open already"),
    "too-many-connections": (503, "Too many connections are open already"),
    "too-many-signals": (503, "The scope has too many signals already"),
    "unauthorized": (401, "Who are you?"),
    "forbidden": (403, "You may not do this here"),
    "cross-site": (403, "Another site's page may not do this"),
    "too-many-attempts": (429, "Too many wrong credentials"),
    "too-slow": (408, "The request took too long to arrive"),
    "notification-too-large": (413, "The notification is larger than may be"),
    "too-many-clients": (503, "Too many clients report already"),
    "too-many-scopes": (503, "Too many scopes are known already"),
    "invalid-scope": (400, "The path names no scope"),
    "invalid-parameter": (400, "A query parameter is not valid"),
    "invalid-notification": (400, "The notification is not a valid Alertmanager webhook of version 4"),
    "invalid-body": (400, "The body is not what this route takes"),
    "body-too-large": (413, "The body is too large"),
    "header-too-large": (431, "The request's head is too large"),
    "invalid-config": (400, "The config is not valid; the one before still counts"),
    "not-found": (404, "There is no such route"),
    "method-not-allowed": (405, "The route does not take this method"),
    "internal-error": (500, "The sidecar failed; its log tells why"),
}
"""Each problem's status and title, by the last part of its ``type``."""


class Problem(Exception):
    """An error to be answered as a problem document.

    Args:
        name: one of `TITLES`.
        detail: what was wrong here, where, and what to do.
        status: in place of the problem's own.
        headers: further response headers.
        members: further members of the document.
    """

    def __init__(
        self,
        name: str,
        detail: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> None:
        super().__init__(detail)
        self.name = name
        self.status = status or TITLES[name][0]
        self.headers = dict(headers or {})
        self.body = json.dumps(
            {
                "type": _BASE + name,
                "title": TITLES[name][1],
                "status": self.status,
                "detail": detail,
                **members,
            }
        ).encode()


def reason_phrase(status: int) -> str:
    """The phrase of ``status``, as it stands in a status line."""
    return HTTPStatus(status).phrase
