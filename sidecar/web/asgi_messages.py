"""Reads and writes the messages of one HTTP request in ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .problems import Problem
from .responses import HttpResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def send_response(send: Send, response: HttpResponse, connection: str | None = None) -> None:
    """Send a whole response."""
    headers = [
        (name.lower().encode(), value.encode("latin-1", "replace")) for name, value in response.headers
    ]
    headers.append((b"x-content-type-options", b"nosniff"))
    if response.status != 304:  # noqa: PLR2004 - Not Modified has no body and so no length
        headers.append((b"content-length", str(len(response.body)).encode()))
    if connection:
        headers.append((b"connection", connection.encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def read_body(receive: Receive, limit: int, record_size: Callable[[int], None]) -> list[bytes] | None:
    """The parts of the body, at most ``limit`` bytes; None: the client disconnected.

    They are not joined, because joining several megabytes takes milliseconds. ``record_size`` gets each size.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise Problem("body-too-large", f"the body is longer than {limit} bytes (limits.max_body_bytes)")
        parts.append(part)
        record_size(size)
        if not message.get("more_body", False):
            return parts


def replay_body(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that first returns the ``body`` that was read already, and then calls ``receive``."""
    parts: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> MutableMapping[str, Any]:
        return parts.pop() if parts else await receive()

    return replay


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


def peer_of(scope: Scope) -> str:
    """The client's address, for the log."""
    client = scope.get("client")
    return str(client[0]) if client else "unix socket"


def has_body(scope: Scope) -> bool:
    """Whether a body follows the head of the request."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def require_method(scope: Scope, *methods: str) -> None:
    """Refuse a request with another method than ``methods``."""
    if scope["method"] not in methods:
        allowed = ", ".join(methods)
        detail = f"{ascii(scope['path'])[:200]} takes {allowed}"
        raise Problem("method-not-allowed", detail, headers={"Allow": allowed})


def with_content_length(scope: Scope, body: bytes) -> Scope:
    """``scope`` with the length of ``body`` in its headers."""
    headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"transfer-encoding")]
    return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
