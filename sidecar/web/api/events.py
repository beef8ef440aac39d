"""``/v1/events``: Server-Sent Events (WHATWG HTML, section 9.2): a snapshot, then every change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sidecar.gates.event_streams import EventStream, EventStreams
from sidecar.gates.gate import ScopeGate
from sidecar.gates.snapshot import snapshot_of
from sidecar.gates.tree import GateTree
from sidecar.web.problems import Problem
from sidecar.web.retry_after import retry_after

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

EVENTS = "/v1/events"
_HEARTBEAT_SECS = 15.0
_NOTICE_SECS = 1.0
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    # nginx would buffer small responses.
    (b"x-accel-buffering", b"no"),
]


async def stream_events(
    scope: str, tree: GateTree, streams: EventStreams, receive: Receive, send: Send
) -> None:
    """Stream the events of ``scope`` until the client disconnects.

    Raises:
        Problem: too many streams are open.
        Exception: an event cannot be sent, although the client is there.
    """
    stream = streams.open(scope)
    if stream is None:
        detail = "too many event streams are open (limits.max_event_streams): try again later"
        raise Problem("too-many-streams", detail, headers=retry_after(5))
    sending = asyncio.ensure_future(_send_events(stream, tree, send))
    disconnected = asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        await asyncio.wait({sending, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and sending.exception() is not None:
            # A reset connection refuses writes before the application gets the disconnect message.
            await asyncio.wait({disconnected}, timeout=_NOTICE_SECS)
            if not disconnected.done():
                sending.result()
    finally:
        streams.leave(stream)
        for task in (sending, disconnected):
            task.cancel()
        await asyncio.gather(sending, disconnected, return_exceptions=True)


async def _send_events(stream: EventStream, tree: GateTree, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await _send(send, _event("snapshot", *tree.find(stream.scope)))
    while True:
        events = await stream.wait(tree, _HEARTBEAT_SECS, _change)
        if events is None:
            await send({"type": "http.response.body", "body": b""})
            return
        await _send(send, events or b": still here\n\n")


def _change(gate: ScopeGate, path: str | None) -> bytes:
    return _event("change", gate, path)


def _event(name: str, gate: ScopeGate, path: str | None) -> bytes:
    snapshot = snapshot_of(gate, path)
    return f"event: {name}\nid: {snapshot.version}\ndata: {json.dumps(snapshot.to_json())}\n\n".encode()


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
