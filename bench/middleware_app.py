"""A FastAPI application behind a middleware that does nothing, or behind the gate: scenario ``j``.

uvicorn serves ``empty``, ``gated`` or ``by_model``. The settings of the gates come from the environment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request

from sidecar.client.asgi import GateMiddleware

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class EmptyMiddleware:
    """Passes everything on. Each middleware costs this much at least."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        await self._app(scope, receive, send)


def _hello() -> FastAPI:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> dict[str, str]:
        await request.json()
        return {"hello": "world"}

    return app


def empty() -> EmptyMiddleware:
    """Behind a middleware that does nothing."""
    return EmptyMiddleware(_hello())


def gated() -> GateMiddleware:
    """Behind the gate of one scope."""
    return GateMiddleware(_hello())


def by_model() -> GateMiddleware:
    """Behind the gate of the scope that the body's ``model`` names."""
    return GateMiddleware(_hello(), scope_from_model=True)
