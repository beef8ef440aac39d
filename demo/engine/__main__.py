"""Runs simulated engines at loopback ports: ``python -m demo.engine PORT:NAME[:KIND[:gate]] …``.

``KIND`` is ``vllm`` or ``sglang``. With ``gate``, the engine is behind the gate of the scope ``NAME``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any, cast

import uvicorn
import uvloop

from sidecar.client.asgi import GateMiddleware

from .dialects import Kind
from .server import Application


class _Server(uvicorn.Server):
    """One of several servers in this process. It does not handle signals; the process does."""

    def install_signal_handlers(self) -> None:
        pass


def _server(told: str) -> uvicorn.Server:
    port, name, kind, gated, *_ = [*told.split(":"), "", ""]
    application: Any = Application(name, cast("Kind", kind or "vllm"))
    if gated:
        application = GateMiddleware(application, scope=name, pass_paths=["/fault", "/restart"])
    config = uvicorn.Config(
        application,
        host="127.0.0.1",
        port=int(port),
        log_level="critical",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    return _Server(config)


async def _serve(tolds: list[str]) -> None:
    await asyncio.gather(*(_server(told).serve() for told in tolds))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    uvloop.run(_serve(sys.argv[1:]))
