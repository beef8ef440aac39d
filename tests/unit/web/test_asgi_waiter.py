"""The response to a wait on the ASGI path shows the state at the end of the wait."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from sidecar.clock import Clock
from sidecar.core.commands import Pause, Resume
from sidecar.core.policy import PolicyTable
from sidecar.runtime.controller import Controller
from sidecar.store import MemoryStore
from sidecar.web.waiting_routes import WaitingRoutes


def test_an_admitted_request_gets_200_although_the_gate_closed_again_at_once() -> None:
    async def main() -> tuple[int, dict[str, Any]]:
        controller = Controller(PolicyTable(), MemoryStore())
        await controller.start()
        await controller.submit(Pause("a", "x", "op"))
        service = SimpleNamespace(controller=controller, clock=Clock(), guard=None)
        routes = WaitingRoutes(service)
        waits = asyncio.Event()
        connection = SimpleNamespace(wait=lambda _: waits.set())
        scope = {
            "method": "GET",
            "path": "/v1/gate/a",
            "query_string": b"",
            "headers": [],
            "state": {"connection": connection},
        }
        answer = asyncio.ensure_future(routes.gate_response(scope, asyncio.Event().wait))
        await waits.wait()
        gate = controller.tree.gates["a"]
        # Both happen before the handler runs.
        controller.tree.update({"a": controller.core_state.records[""]}, 1.0)
        for _ in controller.waiting_room.release(gate):
            pass
        controller.tree.update({"a": controller.core_state.records["a"]}, 2.0)
        assert gate.closed
        found = await answer
        assert gate.waited == 1
        await controller.submit(Resume("a", "op"))
        await controller.stop()
        assert found is not None
        return found.status, json.loads(found.body)

    status, body = asyncio.run(main())
    assert (status, body["gate"]) == (200, "open")
