"""The simulated engine over HTTP.

``POST /v1/chat/completions`` takes as long as the model does. ``POST /fault`` with a fault's name sets the
fault; ``none`` removes it. A ``dead`` engine answers no other request: its connections stay open and silent.
``POST /restart`` loses all requests and counts, as a restart does, but keeps the fault.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from .dialects import DIALECTS, Dialect, Kind
from .model import FAULTS, End, Sequence

TICK_SECS = 0.02

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]


class Application:
    """The ASGI application of one engine.

    Args:
        name: the name of its model.
        kind: the engine whose names and pause API it has.
    """

    def __init__(self, name: str, kind: Kind = "vllm") -> None:
        self.name = name
        self._kind = kind
        self.dialect: Dialect = DIALECTS[kind](name)
        self._ticking: asyncio.Task[None] | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] != "http":
            return
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().create_task(self._tick())
        path = scope["path"]
        body = await _body(receive)
        if path == "/fault":
            await _send(send, 200, self._put(body.decode()))
            return
        if path == "/restart":
            self._restart()
            await _send(send, 200, b"")
            return
        if self.dialect.model.fault == "dead":
            # uvicorn turns any exception into a response.
            await _gone(receive)
            return
        if path == "/metrics":
            await _send(send, 200, self.dialect.exposition(), b"text/plain; version=0.0.4")
            return
        if path == "/v1/chat/completions":
            status, told = await self._chat(receive)
        else:
            query = dict(parse_qsl(scope["query_string"].decode()))
            said = json.loads(body) if body else {}
            answer = await self.dialect.control(scope["method"], path, query, said)
            status, told = answer or (404, {"error": "not found"})
        self.dialect.answered(path, status)
        await _send(send, status, json.dumps(told).encode(), b"application/json")

    async def _tick(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECS)
            now = time.monotonic()
            self.dialect.model.step(now, now - last)
            last = now

    def _put(self, fault: str) -> bytes:
        if fault in FAULTS:
            self.dialect.model.fault = fault
        return self.dialect.model.fault.encode()

    def _restart(self) -> None:
        before = self.dialect.model
        self.dialect = DIALECTS[self._kind](self.name)
        self.dialect.model.fault = before.fault
        before.drop_all()

    async def _chat(self, receive: Receive) -> tuple[int, dict[str, Any]]:
        if self.dialect.refuses():
            return 503, {"error": "the engine is paused"}
        ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()

        def done(end: End) -> None:
            if not ended.done():
                ended.set_result(end)

        sequence = Sequence(time.monotonic(), done=done)
        model = self.dialect.model
        model.add(sequence)
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((ended, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_gone = not ended.done()
            gone.cancel()
            model.drop(sequence)
        end = await ended
        if is_gone:
            # No client receives this response. SGLang counts such a request as aborted by the client.
            return 400, {"error": "the client is gone"}
        if end in ("error", "abort"):
            return 500 if end == "error" else 503, {"error": end}
        choice = {"index": 0, "message": {"role": "assistant", "content": "…"}, "finish_reason": end}
        return 200, {"model": self.name, "choices": [choice]}


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, status: int, body: bytes, content_type: bytes = b"text/plain") -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
