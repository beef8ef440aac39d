"""An event that cannot be sent, because the client is gone or because the sidecar fails."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from sidecar.core.policy import Policy, PolicyTable
from sidecar.runtime.controller import Controller
from sidecar.store import MemoryStore
from sidecar.web.api import events


def stream_to(client_gone: asyncio.Event) -> None:
    async def receive() -> MutableMapping[str, Any]:
        await client_gone.wait()
        return {"type": "http.disconnect"}

    async def send(_: MutableMapping[str, Any]) -> None:
        asyncio.get_running_loop().call_soon(client_gone.set)
        raise RuntimeError("the handler is closed")

    async def main() -> None:
        controller = Controller(PolicyTable(Policy()), MemoryStore())
        await controller.start()
        await events.stream_events("a", controller.tree, controller.streams, receive, send)
        await controller.stop()

    asyncio.run(main())


def test_a_client_that_resets_its_connection_is_no_failure() -> None:
    stream_to(asyncio.Event())


def test_a_failure_of_the_sidecar_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    class Never(asyncio.Event):
        def set(self) -> None:
            pass

    monkeypatch.setattr(events, "_NOTICE_SECS", 0.01)
    with pytest.raises(RuntimeError, match="the handler is closed"):
        stream_to(Never())
