"""ASGI middleware: requests wait at the gate, except for a few harmless ones.

`sidecar.client.wsgi` has a class of the same name for WSGI applications: import the class from the module
that fits your server.

``vllm serve … --middleware sidecar.client.asgi.GateMiddleware``
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from types import CodeType, TracebackType
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
        self._known = self._selector.known
        self._has_one_gate = self._selector.has_one_gate
        self._only_by_model = self._selector.from_model and not self._selector.header

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection scope.

        Raises:
            RuntimeError: at the application's start (lifespan), if the server does not run on asyncio.
        """
        # Every request runs this method, so it calls, creates and awaits as little as possible.
        held = None
        if not scope.get("root_path"):
            held = self._known.get((scope.get("method", ""), scope.get("path")))
        if held is None:
            held = self._is_held(scope)
        if not held:
            await self._app(scope, receive, send)
            return
        gate, trial = self.gate, ""
        if not self._has_one_gate or not gate.pass_if_open():
            entered = await self._enter(scope, receive, send)
            if entered is None:
                return
            gate, trial, receive = entered
        status = 0
        sending: Awaitable[None] | None = None

        # A coroutine function would create one more coroutine for each message.
        def observe(message: Message) -> Awaitable[None]:
            nonlocal status, sending
            if not status and message["type"] == "http.response.start":
                status = message["status"]
            sending = send(message)
            return sending

        try:
            await self._app(scope, receive, observe)
        except Exception as error:
            _record_exception(gate, trial, error, [observe.__code__, getattr(sending, "cr_code", None)])
            raise
        if status:
            gate.record_outcome(succeeded=status < SERVER_ERROR, trial=trial)

    async def _enter(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> tuple[Gate, str, Receive] | None:
        """Enter the gate of a request.

        Returns:
            The gate, the id of the trial (empty: none), and the ``receive`` for the application; None: the
            request is over.
        """
        gate, reader = self.gate, None
        if self._only_by_model and scope["type"] == "http":
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                # Almost every body comes in one message.
                gate = self._selector.gate_for_body(message.get("body", b""))
                if gate.pass_if_open():
                    return gate, "", _replay(message, receive)
            reader = _RequestReader(receive, message)
        reader = reader or _RequestReader(receive)
        if not self._has_one_gate:
            gate = await self._gate_of(scope, reader)
        trial: str | None = ""
        if self._has_one_gate or not gate.pass_if_open():
            trial = await self._wait(scope, reader, send, gate)
        if trial is None:
            return None
        return gate, trial, reader.receive if reader.has_read_ahead else receive

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
        """Whether a closed gate holds this connection scope. Only requests are held."""
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
    """Reads ahead while a request waits, and passes the messages to the application afterwards.

    Args:
        receive: the ``receive`` of the server.
        first: a message that was read already.
    """

    def __init__(self, receive: Receive, first: Message | None = None) -> None:
        self._receive = receive
        self._messages: deque[Message] = deque()
        self._pending: asyncio.Future[Message] | None = None
        self._size = 0
        self._whole = False
        self._left = False
        if first is not None:
            self._take(first)

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
                # The request counts as abandoned.
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


def _replay(first: Message, receive: Receive) -> Receive:
    """A ``receive`` that returns ``first``, and then what the server's ``receive`` returns."""
    left: Message | None = first

    async def replay() -> Message:
        nonlocal left
        if left is None:
            return await receive()
        message, left = left, None
        return message

    return replay


def _record_exception(gate: Gate, trial: str, error: Exception, senders: Sequence[CodeType | None]) -> None:
    """Record that a request failed, unless its client has disconnected. ``senders``: see below."""
    if not _shows_that_client_left(error, senders):
        gate.record_outcome(succeeded=False, trial=trial)


def _shows_that_client_left(error: BaseException, senders: Sequence[CodeType | None]) -> bool:
    """Whether ``error`` comes from an OSError that the server's ``send`` raised.

    A server reports a disconnected client by such an error, which is no failure of the application. An
    application may raise the same types, so the traceback decides.

    Args:
        error: the exception that ended the application.
        senders: code objects that call ``send``. An error of ``send`` has passed through one of them.
    """
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, OSError) and _passed_through(one.__traceback__, senders):
            return True
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
    return False


def _passed_through(trace: TracebackType | None, senders: Sequence[CodeType | None]) -> bool:
    while trace is not None:
        if trace.tb_frame.f_code in senders:
            return True
        trace = trace.tb_next
    return False


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
