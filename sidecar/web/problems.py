"""Errors in responses: problem documents (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

CONTENT_TYPE = "application/problem+json"
_BASE = "/problems/"

TITLES: Mapping[str, tuple[int, str]] = {
    "inference-paused": (503, "Inference is paused"),
    "too-many-waiters": (503, "Too many requests are waiting"),
    "shutting-down": (503, "The sidecar is shutting down"),
    "store-unavailable": (503, "The change could not be stored, so nothing was changed"),
    "too-many-watchers": (503, "Too many watches are open"),
    "too-many-streams": (503, "Too many event streams are open"),
    "too-many-connections": (503, "Too many connections are open"),
    "too-many-signals": (503, "The scope has too many signals"),
    "unauthorized": (401, "Authentication is required"),
    "forbidden": (403, "The credential does not allow this"),
    "cross-site": (403, "Pages of other sites may not do this"),
    "too-many-attempts": (429, "Too many wrong credentials"),
    "too-slow": (408, "The request took too long to arrive"),
    "notification-too-large": (413, "The notification is too large"),
    "too-many-clients": (503, "Too many clients send reports"),
    "too-many-scopes": (503, "Too many scopes are known"),
    "invalid-scope": (400, "The path is not a valid scope"),
    "invalid-parameter": (400, "A query parameter is not valid"),
    "invalid-notification": (400, "The notification is not a valid Alertmanager webhook"),
    "invalid-body": (400, "The body is not valid for this route"),
    "body-too-large": (413, "The body is too large"),
    "header-too-large": (431, "The request head is too large"),
    "invalid-request": (400, "The request is not valid HTTP"),
    "invalid-config": (400, "The config is not valid; the previous one is still in use"),
    "not-found": (404, "There is no such route"),
    "method-not-allowed": (405, "The route does not support this method"),
    "internal-error": (500, "The sidecar failed; its log has the reason"),
}
"""Each problem's status and title, by the last part of its ``type``."""


class Problem(Exception):
    """An error that becomes a problem document in the response.

    Args:
        name: one of `TITLES`.
        detail: what is wrong, where, and how to fix it.
        status: overrides the default status of the problem.
        headers: additional response headers.
        challenges: values of ``WWW-Authenticate``, each in a field of its own. Chromium reads one scheme in a
            field.
        members: additional members of the document.
    """

    def __init__(
        self,
        name: str,
        detail: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        challenges: tuple[str, ...] = (),
        **members: object,
    ) -> None:
        super().__init__(detail)
        self.name = name
        self.status = status or TITLES[name][0]
        self.headers = dict(headers or {})
        self.challenges = challenges
        self.body = json.dumps(
            {
                "type": _BASE + name,
                "title": TITLES[name][1],
                "status": self.status,
                "detail": detail,
                **members,
            }
        ).encode()


def header_fields(problem: Problem, challenges: tuple[str, ...]) -> list[tuple[str, str]]:
    """The additional header fields of a response with ``problem``."""
    return [*problem.headers.items(), *(("WWW-Authenticate", one) for one in challenges)]


def reason_phrase(status: int) -> str:
    """The reason phrase of ``status``."""
    return HTTPStatus(status).phrase
