"""ASGI middleware: requests that generate wait at the gate, all others pass.

``vllm serve … --middleware sidecar.client.asgi.GateMiddleware``
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .door import GatedPaths, scope_of_header, scope_of_model
from .errors import InferencePaused
from .gate import Gate

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_MOST_BUFFERED_BYTES = 1_048_576
_MOST_MODEL_BYTES = 33_554_432


class GateMiddleware:
    """Puts the gate before an application.

    A request that is let through is never disturbed again: answers that stream stream on when the gate
    closes. A client that goes away while it waits is counted abandoned, and the application hears nothing of
    it.

    Args:
        app: the application.
        gate: one that is there already.
        settings: those of `GatedPaths` and `Settings`; what is not given comes from the environment.
    """

    def __init__(self, app: App, gate: Gate | None = None, **settings: Any) -> None:  # noqa: ANN401
        self._app = app
        self._paths = GatedPaths(gate, **settings)
        self.gate = self._paths.gate

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] != "http" or not self._paths.gates(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        waiting = _Waiting(receive)
        gate = self.gate if self._paths.one_gate else self._paths.gate_for(await self._name(scope, waiting))
        try:
            if gate.is_open:
                # It may have closed by now; then it waits without being heard.
                await gate.wait_async()
            elif not await waiting.for_gate(gate):
                return
        except InferencePaused as paused:
            await _refuse(send, self._paths, scope["path"], paused)
            return
        await self._app(scope, waiting.receive if waiting.touched else receive, send)

    async def _name(self, scope: MutableMapping[str, Any], waiting: _Waiting) -> str:
        if self._paths.header:
            wanted = self._paths.header.encode()
            for name, value in scope["headers"]:
                if name == wanted:
                    return scope_of_header(value.decode("latin-1"))
        if self._paths.from_model:
            return scope_of_model(await waiting.body(_MOST_MODEL_BYTES))
        return ""


class _Waiting:
    """One request's messages, read ahead while it waits and given to the application afterwards."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []
        self._pending: asyncio.Future[Message] | None = None
        self._size = 0
        self._whole = False
        self._left = False

    @property
    def touched(self) -> bool:
        """Whether anything was read ahead."""
        return bool(self._messages) or self._pending is not None

    async def receive(self) -> Message:
        """What the application receives."""
        if self._messages:
            return self._messages.pop(0)
        if self._pending is not None:
            pending, self._pending = self._pending, None
            return await pending
        return await self._receive()

    async def body(self, most: int) -> bytes:
        """The body, as far as ``most`` bytes."""
        while not self._whole and not self._left and self._size < most:
            self._take(await self._receive())
        return b"".join(message.get("body", b"") for message in self._messages)

    async def for_gate(self, gate: Gate) -> bool:
        """Wait at ``gate``; whether the client is still there.

        Raises:
            InferencePaused: it stayed closed.
        """
        opening = asyncio.ensure_future(gate.wait_async())
        try:
            while not opening.done() and self._size <= _MOST_BUFFERED_BYTES and not self._left:
                if self._pending is None:
                    self._pending = asyncio.ensure_future(self._receive())
                either: set[asyncio.Future[Any]] = {opening, self._pending}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if self._pending.done():
                    pending, self._pending = self._pending, None
                    self._take(pending.result())
            if self._left and not opening.done():
                return False
            await opening
        finally:
            if not opening.done():
                # Counted abandoned.
                opening.cancel()
                await asyncio.gather(opening, return_exceptions=True)
        return not self._left

    def _take(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self._left = True
            self._messages.append(message)
            return
        self._messages.append(message)
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)


async def _refuse(send: Send, paths: GatedPaths, path: str, paused: InferencePaused) -> None:
    refusal = paths.refusal(path, paused)
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body})
