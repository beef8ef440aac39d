"""ASGI middleware: requests wait at the gate, except for a few harmless ones.

`sidecar.client.wsgi` has a class of the same name for WSGI applications: import the one from the module that
fits your server.

``vllm serve … --middleware sidecar.client.asgi.GateMiddleware``
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .errors import InferencePaused
from .gate import Gate, require_asyncio
from .routing import (
    SERVER_ERROR,
    GateSelector,
    Refusal,
    priority_of_header,
    scope_of_header,
)
from .tracing import parent_from, trace_headers, with_traceparent

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_MAX_BUFFERED_BYTES = 1_048_576
_MAX_MODEL_BYTES = 33_554_432
_TRY_AGAIN_LATER = 1013


class GateMiddleware:
    """ASGI middleware that puts the gate before an application.

    An admitted request is never interrupted: a streaming response continues when the gate closes. If a client
    disconnects while its request waits, the request counts as abandoned and the application never sees it.

    Args:
        app: the application.
        gate: an existing gate; None: create one from the settings.
        settings: the settings of `GateSelector` and `Settings`. The environment provides the missing ones.

    Raises:
        TypeError: there is no such setting.
        ValueError: an argument or a variable is not allowed.
    """

    def __init__(self, app: App, gate: Gate | None = None, **settings: Any) -> None:  # noqa: ANN401
        self._app = app
        self._selector = GateSelector(gate, **settings)
        self.gate = self._selector.gate

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection scope.

        Raises:
            RuntimeError: at the application's start (lifespan), if the server does not run on asyncio.
        """
        if not self._is_held(scope):
            await self._app(scope, receive, send)
            return
        gate = self.gate
        reader: _RequestReader | None = None
        if not self._selector.has_one_gate:
            reader = _RequestReader(receive)
            gate = await self._gate_of(scope, reader)
        trial = ""
        if not gate.pass_if_open():
            reader = reader or _RequestReader(receive)
            waited = await self._wait(scope, reader, send, gate)
            if waited is None:
                return
            trial = waited
        if reader is not None and reader.has_read_ahead:
            receive = reader.receive
        await self._run(scope, receive, send, gate, trial)

    async def _run(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, gate: Gate, trial: str
    ) -> None:
        """Run the application, and record the outcome: a status of 500 or above, or an exception, failed."""
        status = 0
        left = False

        async def observe(message: Message) -> None:
            nonlocal status, left
            if message["type"] == "http.response.start":
                status = message["status"]
            try:
                await send(message)
            except OSError:
                # So a server says that the client has left, which says nothing about the application.
                left = True
                raise

        try:
            await self._app(scope, receive, observe)
        except Exception:
            if not left:
                gate.record_outcome(succeeded=False, trial=trial)
            raise
        if status:
            gate.record_outcome(succeeded=status < SERVER_ERROR, trial=trial)

    async def _wait(
        self, scope: MutableMapping[str, Any], reader: _RequestReader, send: Send, gate: Gate
    ) -> str | None:
        """Wait at ``gate``; return the id of the trial, or an empty text; None: the request is over."""
        try:
            with parent_from(*trace_headers(scope["headers"])):
                return await reader.wait_at(gate, self._priority_of(scope))
        except InferencePaused as paused:
            refusal = self._selector.refusal(scope["path"], paused)
            await _refuse(scope, send, with_traceparent(refusal, trace_headers(scope["headers"])[0]))
            return None

    def _priority_of(self, scope: MutableMapping[str, Any]) -> int:
        wanted = self._selector.priority_header.encode()
        values = [value for name, value in scope["headers"] if name == wanted] if wanted else []
        return priority_of_header(values[0].decode("latin-1") if values else "")

    def _is_held(self, scope: MutableMapping[str, Any]) -> bool:
        """Whether a closed gate holds a request; no other kind of connection scope is held."""
        if scope["type"] not in ("http", "websocket"):
            if scope["type"] == "lifespan":
                require_asyncio()
            return False
        path, prefix = scope["path"], scope.get("root_path", "")
        if prefix and path.startswith(f"{prefix}/"):
            path = path[len(prefix) :]
        return self._selector.is_gated(scope.get("method", ""), path)

    async def _gate_of(self, scope: MutableMapping[str, Any], reader: _RequestReader) -> Gate:
        """The gate of the scope that a request names."""
        selector = self._selector
        if selector.header:
            wanted = selector.header.encode()
            for name, value in scope["headers"]:
                if name == wanted:
                    return selector.gate_for(scope_of_header(value.decode("latin-1")))
        if selector.from_model and scope["type"] == "http":
            return selector.gate_for_body(await reader.body(_MAX_MODEL_BYTES))
        return self.gate


class _RequestReader:
    """Reads ahead while a request waits, and passes the messages to the application afterwards."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: deque[Message] = deque()
        self._pending: asyncio.Future[Message] | None = None
        self._size = 0
        self._whole = False
        self._left = False

    @property
    def has_read_ahead(self) -> bool:
        """Whether anything was read ahead."""
        return bool(self._messages) or self._pending is not None

    async def receive(self) -> Message:
        """The next message, for the application."""
        if self._messages:
            return self._messages.popleft()
        if self._pending is not None:
            pending, self._pending = self._pending, None
            return await pending
        return await self._receive()

    async def body(self, most: int) -> bytes:
        """The body, read until it is complete or has ``most`` bytes."""
        while not self._whole and not self._left and self._size < most:
            self._take(await self._receive())
        if len(self._messages) == 1:
            body: bytes = self._messages[0].get("body", b"")
            return body
        return b"".join(message.get("body", b"") for message in self._messages)

    async def wait_at(self, gate: Gate, priority: int) -> str | None:
        """Wait at ``gate``; return the id of the trial, or an empty text; None: the client disconnected.

        Raises:
            InferencePaused: the gate stayed closed.
        """
        require_asyncio()
        opening = asyncio.ensure_future(gate.enter_async(None, priority))
        try:
            while not opening.done() and self._size <= _MAX_BUFFERED_BYTES and not self._left:
                if self._pending is None:
                    self._pending = asyncio.ensure_future(self._receive())
                either: set[asyncio.Future[Any]] = {opening, self._pending}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if self._pending.done():
                    pending, self._pending = self._pending, None
                    self._take(pending.result())
            if self._left and not opening.done():
                return None
            trial = await opening
        finally:
            if not opening.done():
                # Counted abandoned.
                opening.cancel()
                await asyncio.gather(opening, return_exceptions=True)
        return None if self._left else trial

    def _take(self, message: Message) -> None:
        if message["type"] in ("http.disconnect", "websocket.disconnect"):
            self._left = True
            self._messages.append(message)
            return
        self._messages.append(message)
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)


async def _refuse(scope: MutableMapping[str, Any], send: Send, refusal: Refusal) -> None:
    kind = "http.response"
    if scope["type"] == "websocket":
        kind = "websocket.http.response"
        if kind not in scope.get("extensions", {}):
            # The server answers the handshake with 403.
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
            return
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers]
    await send({"type": f"{kind}.start", "status": 503, "headers": headers})
    await send({"type": f"{kind}.body", "body": refusal.body})
