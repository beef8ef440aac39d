"""State that all connections share: request plans, date, limits, and the hand-over to uvicorn's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Any

import httptools

from sidecar.auth import Identity, Role
from sidecar.config import LimitsConfig
from sidecar.gates.gate import ScopeGate
from sidecar.runtime.controller import Controller
from sidecar.supervision import RepeatingTimer
from sidecar.time_slice import release_in_pieces
from sidecar.trace_context import parse_traceparent
from sidecar.web.access_review import review_connections
from sidecar.web.api.protocol import ApiProtocol
from sidecar.web.api.whole_request import Commands
from sidecar.web.buffer_budget import BufferBudget
from sidecar.web.fair_queue import FairQueue
from sidecar.web.guard import Guard
from sidecar.web.problems import Problem
from sidecar.web.refusal_log import RefusalLog

from .authz import AUTHZ
from .plans import ListenerAccess, RequestPlan
from .requests import GateRequest
from .responses import snapshot_response

IDLE_SECS = 70.0
"""An idle connection is closed after this time, or a sweep later."""
_MAX_PLANS_BYTES = 6_000_000
"""The limit for the plans of all listeners and certificates together."""
_PLAN_BYTES = 400
_RELEASED_INLINE = 500
_MAX_PLAN_BYTES = 2048
_TICK_SECS = 1.0
_AUTHZ = AUTHZ.encode()
_END_OF_SCOPE = b"/-/"
_OK = b"HTTP/1.1 200 OK\r\n"
_SWEEP_TICKS = 5
_SWEEPER = "connection_sweeper"


class GateFastPath:
    """Answers gate and watch requests from pre-rendered bytes, and hands all others to uvicorn's protocol.

    Args:
        controller: has the gates.
        guard: decides on access.
        limits: on heads, bodies, connections and time.

    Attributes:
        uvicorn: keyword arguments for uvicorn's protocol; its server sets them.
        connections: all open connections, of both protocols.
        on_tick: called every second.
        queue: connections with buffered requests.
        budget: the bytes that connections buffer.
        commands: serves commands without ASGI; None: nothing does.
        refusal_log: logs requests that look like configuration mistakes.
    """

    def __init__(self, controller: Controller, guard: Guard, limits: LimitsConfig) -> None:
        self.controller = controller
        self.guard = guard
        self.limits = limits
        self.waiting_room = controller.waiting_room
        self.loop = controller.loop
        self.on_tick: Callable[[], None] = lambda: None
        self.date = _date()
        self.connections: set[Any] = set()
        self.uvicorn: dict[str, Any] = {}
        self.commands: Commands | None = None
        self._ticks = 0
        self._plan_bytes = 0
        self._failures = controller.counters.task_failures
        self.queue = FairQueue(self.loop, self._failures)
        self.budget = BufferBudget()
        self.refusal_log = RefusalLog(controller, self._failures)
        self._timer = RepeatingTimer(
            self.loop, _TICK_SECS, self._tick, name=_SWEEPER, failures=self._failures
        )
        controller.on_structure_change = self.clear_plans

    @property
    def untrusted(self) -> ListenerAccess:
        """The access of a connection whose certificate is no longer trusted."""
        return self.guard.untrusted

    def clear_plans(self) -> None:
        """Drop all plans, because they may be wrong after a change of scopes, policies or credentials."""
        self._plan_bytes = 0
        plans: list[object] = [*self.guard.clear_plans()]
        if len(plans) > _RELEASED_INLINE:
            # Releasing ten thousand plans would block the event loop for milliseconds.
            self.loop.run_in_executor(None, release_in_pieces, plans)

    def check_access(self) -> None:
        """Refuse the parked requests of clients that have lost access. Called after credentials changed."""
        self.clear_plans()
        review_connections(self.loop, self.connections, lambda one: one.check_access(), self._failures)

    def check_authorities(self, trusted: frozenset[bytes]) -> None:
        """End the connections whose certificates were signed by a removed certificate authority.

        Args:
            trusted: the certificate authorities that are trusted now, each in DER.
        """
        review_connections(
            self.loop, self.connections, lambda one: one.check_authorities(trusted), self._failures
        )

    def count_refusal(self, name: str) -> None:
        """Count a request that was refused with the problem ``name``."""
        refusals = self.controller.counters.refusals
        if name in refusals:
            refusals[name] += 1

    def record_failure(self, name: str) -> None:
        """Count and log the exception that is being handled in ``name``."""
        self._failures.record(name)

    def stop(self) -> None:
        """Stop the timer."""
        self._timer.stop()

    def plan(
        self, head: bytes, access: ListenerAccess, transport: asyncio.BaseTransport
    ) -> RequestPlan | None:
        """The plan for a complete request head; None: only `ApiProtocol` can serve it."""
        seen = _Head()
        if not seen.parse(head):
            return None
        if seen.target.startswith(_AUTHZ):
            return self._authz_plan(seen, access, transport)
        try:
            request = GateRequest.parse(
                seen.target, seen.if_none_match, parse_traceparent(seen.traceparents), seen.priority
            )
        except Problem:
            return None
        identity = self.guard.identify_fast(access, seen.authorization, Role.WORKER, request.scope)
        if identity is None:
            return None
        plan = self._new_plan(request, identity, seen, transport)
        # A head with a trace context rarely repeats.
        if not request.watch and not seen.traceparents:
            self._remember(access, head, plan)
        return plan

    def _authz_plan(
        self, seen: _Head, access: ListenerAccess, transport: asyncio.BaseTransport
    ) -> RequestPlan | None:
        """The plan for an authorization request; None: only `ApiProtocol` can serve it.

        Heads rarely repeat here, so plans are looked up by the operator's part of the target.
        """
        target = seen.target.partition(b"?")[0].partition(_END_OF_SCOPE)[0]
        is_plain = (
            seen.keep_alive and seen.version == "1.1" and seen.method != b"HEAD" and not seen.traceparents
        )
        if is_plain:
            plan = access.plans.get(target)
            if plan is not None:
                return plan
        try:
            request = GateRequest.parse(target, None, parse_traceparent(seen.traceparents))
        except Problem:
            return None
        role = Role.WORKER
        if access.identity.may(role, request.scope):
            # Ignore the header, because it comes from the proxy's client.
            identity = access.identity
        else:
            found = self.guard.identify_fast(access, seen.authorization, role, request.scope)
            if found is None:
                return None
            identity, is_plain = found, False
        plan = self._new_plan(request, identity, seen, transport)
        if is_plain:
            self._remember(access, target, plan)
        return plan

    def _new_plan(
        self, request: GateRequest, identity: Identity, seen: _Head, transport: asyncio.BaseTransport
    ) -> RequestPlan:
        gate, path = self.controller.tree.find(request.scope)
        plan = RequestPlan(request, gate, path, identity, head=seen.method == b"HEAD")
        if path is not None:
            self.refusal_log.check_spelling(path, gate, lambda: peer_of(transport))
        if not seen.keep_alive:
            plan.close = True
            plan.connection = b"Connection: close\r\n"
            plan.plain = False
        elif seen.version == "1.0":
            plan.connection = b"Connection: keep-alive\r\n"
            plan.plain = False
        return plan

    def _remember(self, access: ListenerAccess, key: bytes, plan: RequestPlan) -> None:
        """Cache ``plan`` for the requests with ``key``."""
        if len(key) > _MAX_PLAN_BYTES:
            return
        # The size of the plan counts too: heads that never repeat must not fill the memory.
        self._plan_bytes += len(key) + _PLAN_BYTES
        if self._plan_bytes > _MAX_PLANS_BYTES:
            self.clear_plans()
        access.plans[key] = plan

    def render_plan(self, plan: RequestPlan) -> bytes:
        """The response for a plan that is not plain, rendered again if the gate or the date changed."""
        gate = plan.gate
        if plan.answer_version != gate.version or plan.answer_date is not self.date:
            snapshot = snapshot_response(gate, plan.path)
            plan.answer = snapshot.to_bytes(self.date, head=plan.head, connection=plan.connection)
            plan.answer_date = self.date
            plan.answer_version = gate.version
        return plan.answer

    def render_gate(self, gate: ScopeGate) -> bytes:
        """The snapshot of ``gate`` as a response. It is cached until the gate or the date changes."""
        rest = gate.answer_rest
        if rest is None:
            rest = snapshot_response(gate).after_date()
            if gate.following is not None:
                # Do not cache: requests would not notice when the next state becomes visible.
                return _OK + self.date + rest
            gate.answer_rest = rest
        gate.answer = _OK + self.date + rest
        gate.answer_date = self.date
        return gate.answer

    def hand_over(
        self, transport: asyncio.Transport, access: ListenerAccess, data: bytes, *, eof: bool
    ) -> None:
        """Give the connection to uvicorn's protocol.

        Args:
            transport: the transport of the connection.
            access: the access of the connection.
            data: received bytes that are not answered yet.
            eof: the client will send no more.
        """
        protocol = ApiProtocol(self, access)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)
        if eof and not protocol.eof_received():
            transport.close()

    def _tick(self) -> None:
        self.date = _date()
        self._ticks += 1
        shortest = min(self.limits.header_timeout_secs, self.limits.write_timeout_secs)
        ticks = max(1, min(_SWEEP_TICKS, int(shortest / _TICK_SECS)))
        if self._ticks % ticks == 0:
            # Sweep in batches, because checking ten thousand connections at once takes several milliseconds.
            sweep = partial(self._sweep, ticks * _TICK_SECS)
            review_connections(self.loop, self.connections, sweep, self._failures, _SWEEPER)
        self.on_tick()

    def _sweep(self, secs: float, connection: Any) -> None:  # noqa: ANN401 - of either protocol
        # The connection may have been closed since the sweep began.
        if connection in self.connections:
            connection.sweep(secs)


class _Head:
    """One request head, parsed by httptools. Only a plain head without a body is accepted.

    ``Upgrade`` is ignored (RFC 9110, section 7.8).
    """

    __slots__ = (
        "_complete", "_hosts", "_parser", "_refused", "authorization", "if_none_match", "keep_alive",
        "method", "priority", "target", "traceparents", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.target = b""
        self.if_none_match: bytes | None = None
        self.authorization: bytes | None = None
        self.priority: bytes | None = None
        self.traceparents: list[bytes] = []
        self._hosts = 0
        self._complete = False
        self._refused = False

    def parse(self, head: bytes) -> bool:
        """Return whether ``head`` is exactly one complete request without a body."""
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade as upgrade:
            # The parser stops after the head, as if the following bytes were another protocol.
            return self._complete and not self._refused and upgrade.args[0] == len(head)
        except httptools.HttpParserError:
            return False
        finally:
            # The parser refers to this object. Without the cycle, the garbage collector has no work.
            del self._parser
        return self._complete and not self._refused

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"if-none-match":
            self.if_none_match = value if self.if_none_match is None else self.if_none_match + b"," + value
        elif name == b"wellbeing-priority":
            self.priority = value if self.priority is None else self.priority + b"," + value
        elif name == b"authorization":
            self._refused = self._refused or self.authorization is not None
            self.authorization = value
        elif name == b"traceparent":
            self.traceparents.append(value)
        elif name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            self._refused = True

    def on_headers_complete(self) -> None:
        # The parser drops these values when the message is complete.
        self.method: bytes = self._parser.get_method()
        self.version: str = self._parser.get_http_version()
        self.keep_alive: bool = self._parser.should_keep_alive()
        has_host = self._hosts == 1 or (self._hosts == 0 and self.version == "1.0")
        self._refused = self._refused or self.version not in ("1.0", "1.1") or not has_host

    def on_message_complete(self) -> None:
        self._complete = True


def peer_of(transport: asyncio.BaseTransport) -> str:
    """The client's address, as logged."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else "unix socket"


def _date() -> bytes:
    return f"Date: {formatdate(usegmt=True)}\r\n".encode()
