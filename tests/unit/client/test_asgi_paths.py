"""Which requests the ASGI middleware holds at a closed gate. There is no sidecar; the test sends ASGI
messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.client.asgi import GateMiddleware

WEBSOCKET = {"type": "websocket", "path": "/v1/realtime", "headers": []}


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "app", "received": (await receive())["type"]})


@pytest.fixture
def middleware() -> Iterator[GateMiddleware]:
    settings = {"url": "http://127.0.0.1:1", "unreachable": "closed", "wait_secs": 0.05, "report_secs": 0}
    made = GateMiddleware(application, **settings)
    yield made
    made.gate.close()


def sent(middleware: GateMiddleware, scope: dict[str, Any], *received: str) -> list[dict[str, Any]]:
    """The messages to a client that sends ``received`` and stays connected."""
    messages: list[dict[str, Any]] = []
    coming = list(received)

    async def receive() -> dict[str, Any]:
        if coming:
            return {"type": coming.pop(0)}
        return await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    asyncio.run(middleware(scope, receive, send))
    return messages


def test_a_websocket_is_refused_with_503_if_the_server_can(middleware: GateMiddleware) -> None:
    scope = {**WEBSOCKET, "extensions": {"websocket.http.response": {}}}
    start, body = sent(middleware, scope, "websocket.connect")
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
    assert b"retry-after" in dict(start["headers"])
    assert b"inference_paused" in body["body"]


def test_a_websocket_is_closed_if_the_server_cannot_send_a_refusal(middleware: GateMiddleware) -> None:
    assert sent(middleware, WEBSOCKET, "websocket.connect") == [{"type": "websocket.close", "code": 1013}]


def test_a_closed_websocket_is_not_passed_on(middleware: GateMiddleware) -> None:
    assert sent(middleware, WEBSOCKET, "websocket.connect", "websocket.disconnect") == []


def test_a_websocket_at_an_open_gate_gets_all_its_messages() -> None:
    made = GateMiddleware(application, url="http://127.0.0.1:1", report_secs=0)
    assert sent(made, WEBSOCKET, "websocket.connect") == [{"type": "app", "received": "websocket.connect"}]
    made.gate.close()


@pytest.mark.parametrize(
    ("path", "root_path", "passes"),
    [("/health", "", True), ("/api/health", "/api", True), ("/health", "/api", True), ("/api/health", "", False),
     ("/api/v1/completions", "/api", False), ("/apihealth", "/api", False)],
)  # fmt: skip
def test_paths_are_compared_without_the_root_path(
    middleware: GateMiddleware, path: str, root_path: str, passes: bool
) -> None:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": root_path, "headers": []}
    (first, *_) = sent(middleware, scope, "http.request")
    assert (first["type"] == "app") is passes
