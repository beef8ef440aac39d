"""The routes whose requests may wait, on the ASGI path: gate, watch, admission and event streams."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from sidecar.auth import Role
from sidecar.clock import Clock
from sidecar.gates.admission_control import ClientDemand
from sidecar.gates.gate import Ending, ScopeGate, Waiter
from sidecar.trace_context import parse_traceparent
from sidecar.web.api.admit import AdmitRequest, admit_response
from sidecar.web.api.events import EVENTS, stream_events
from sidecar.web.gate.authz import AUTHZ
from sidecar.web.gate.requests import PRIORITY_HEADER, READY, GateRequest, scope_of

from .asgi_messages import (
    Receive,
    Scope,
    Send,
    has_body,
    peer_of,
    require_method,
    send_response,
    wait_for_disconnect,
)
from .gate.responses import ended_response, ready_response, snapshot_response
from .guard import Guard
from .problems import Problem
from .responses import HttpResponse, problem_response
from .service import Service


class OpenRequest:
    """A long-lived request. It ends when its client loses access.

    Args:
        guard: decides on access.
        state: the state of the ASGI scope.
        role: the role that the route needs.
        scope: the requested scope.

    Attributes:
        revoked: done when the client has lost access.
    """

    def __init__(self, guard: Guard, state: MutableMapping[str, Any], role: Role, scope: str) -> None:
        self._guard = guard
        self._state = state
        self._role = role
        self._scope = scope
        self.revoked: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def refusal(self) -> Problem | None:
        """Why the request would be refused now."""
        return self._guard.refusal(self._state["access"], self._state["identity"], self._scope, self._role)

    def check_access(self) -> None:
        """End the request if its client has lost access. Called after credentials changed."""
        if not self.revoked.done() and self.refusal is not None:
            self.revoked.set_result(None)


class WaitingRoutes:
    """Serves the requests of these routes.

    Args:
        service: the running sidecar.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    # -- events -----------------------------------------------------------------------------------

    async def serve_events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an event stream until its client disconnects or loses its access."""
        controller = self._service.controller
        path = scope_of(scope["path"], EVENTS)
        request = OpenRequest(self._service.guard, scope["state"], Role.VIEWER, path)
        scope["state"]["connection"].wait(request.check_access)

        async def receive_until_revoked() -> MutableMapping[str, Any]:
            receiving: asyncio.Future[Any] = asyncio.ensure_future(receive())
            revoked: asyncio.Future[Any] = request.revoked
            try:
                await asyncio.wait({receiving, revoked}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not receiving.done():
                    receiving.cancel()
            return {"type": "http.disconnect"} if revoked.done() else await receiving

        await stream_events(path, controller.tree, controller.streams, receive_until_revoked, send)
        if request.revoked.done():
            await send({"type": "http.response.body", "body": b""})

    # -- admit ------------------------------------------------------------------------------------

    async def admit(self, scope: Scope) -> HttpResponse:
        """The response to a client-side gate's request for a share of a rate, after the wait."""
        request = AdmitRequest(scope["path"], scope["query_string"].decode("ascii"))
        gate, _ = self._service.controller.tree.find(request.scope)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def end() -> None:
            if not ended.done():
                ended.set_result(None)

        demand = ClientDemand(request.client, request.waiting, gate, end)
        admission = self._service.controller.waiting_room.admission
        if admission.demand(demand):
            open_request = OpenRequest(self._service.guard, scope["state"], Role.WORKER, request.scope)
            open_request.revoked.add_done_callback(lambda _: end())
            scope["state"]["connection"].wait(open_request.check_access, end)
            timer = loop.call_later(request.wait, end)
            try:
                await ended
            finally:
                timer.cancel()
                admission.withdraw(demand)
            if open_request.revoked.done():
                raise open_request.refusal or Problem("unauthorized", "the access was revoked")
        return admit_response(demand)

    # -- gate and watch ---------------------------------------------------------------------------

    async def serve_gate(self, scope: Scope, route: str, receive: Receive, send: Send) -> None:
        """Serve a request for a gate or a watch."""
        try:
            if route != AUTHZ:
                require_method(scope, "GET", "HEAD")
            response = await self.gate_response(scope, receive)
        except Problem as problem:
            self._service.fast_path.count_refusal(problem.name)
            response = problem_response(problem)
        if response is not None:
            # A proxy may announce its client's body without sending it. Then the next request would be read
            # as the body.
            await send_response(send, response, "close" if route == AUTHZ and has_body(scope) else None)

    def gate_ready(self, scope: Scope) -> HttpResponse:
        """Whether a gate is open, without a wait."""
        wanted = scope_of(scope["path"], READY)
        gate, path = self._service.controller.tree.find(wanted)
        if path is not None:
            self._service.fast_path.refusal_log.check_spelling(path, gate, lambda: peer_of(scope))
        return ready_response(gate, path, self._service.clock.now())

    async def gate_response(self, scope: Scope, receive: Receive) -> HttpResponse | None:
        """The response, after the wait; None: the client disconnected."""
        if_none_match = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
        request = GateRequest(
            scope["path"],
            scope["query_string"].decode("latin-1"),
            if_none_match.decode("latin-1") or None,
            parse_traceparent([value for name, value in scope["headers"] if name == b"traceparent"]),
            _priority_header(scope),
        )
        gate, path = self._service.controller.tree.find(request.scope)
        if path is not None:
            self._service.fast_path.refusal_log.check_spelling(path, gate, lambda: peer_of(scope))
        waiting_room = self._service.controller.waiting_room
        open_request = OpenRequest(self._service.guard, scope["state"], Role.WORKER, request.scope)
        waiter = AsgiWaiter(open_request, request, self._service.clock)
        secs = request.wait_secs(gate.policy.wait_timeout_secs)
        if request.watch:
            if not request.knows(gate, path):
                return snapshot_response(gate, path)
            ending = waiting_room.watch(waiter, gate, path, secs)
        else:
            gate.requests += 1
            if not gate.blocks:
                return snapshot_response(gate, path)
            ending = waiting_room.request(waiter, gate, path, secs, request.priority)
        if ending is not None:
            return ended_response(request, ending, gate, path, self._service.clock.now())
        scope["state"]["connection"].wait(open_request.check_access)
        return await self._wait(waiter, receive)

    async def _wait(self, waiter: AsgiWaiter, receive: Receive) -> HttpResponse | None:
        waiting_room = self._service.controller.waiting_room
        disconnected: asyncio.Future[Any] = asyncio.ensure_future(wait_for_disconnect(receive))
        ended: asyncio.Future[Any] = waiter.ended
        revoked = waiter.open_request.revoked
        try:
            await asyncio.wait({ended, disconnected, revoked}, return_when=asyncio.FIRST_COMPLETED)
            if revoked.done():
                waiting_room.reject(waiter, Ending.REVOKED)
        finally:
            disconnected.cancel()
            waiting_room.abandon(waiter)
        if not waiter.ended.done():
            return None
        answer: HttpResponse | None = waiter.ended.result()
        if answer is None:
            raise waiter.open_request.refusal or Problem("unauthorized", "the access was revoked")
        return answer


def _priority_header(scope: Scope) -> str | None:
    values = [value for name, value in scope["headers"] if name == PRIORITY_HEADER.encode()]
    return b",".join(values).decode("latin-1") if values else None


class AsgiWaiter(Waiter):
    """A wait on the ASGI path.

    Attributes:
        open_request: ends the wait when the client loses its access.
        ended: done when the wait has ended, with the response; None: the access is gone.
    """

    __slots__ = ("_clock", "_request", "ended", "open_request")

    def __init__(self, open_request: OpenRequest, request: GateRequest, clock: Clock) -> None:
        self.open_request = open_request
        self.gate = None
        self.account = None
        self.ended: asyncio.Future[HttpResponse | None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._clock = clock

    def end(self, ending: Ending, gate: ScopeGate) -> None:
        """Wake the handler, which sends the response. The gate may be in another state by then."""
        if self.ended.done():
            return
        if ending is Ending.REVOKED:
            self.ended.set_result(None)
            return
        try:
            self.ended.set_result(ended_response(self._request, ending, gate, self.path, self._clock.now()))
        except Exception as error:  # noqa: BLE001 - the handler answers and records it
            self.ended.set_exception(error)
