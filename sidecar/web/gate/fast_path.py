"""What all connections share: what was parsed once, today's date, and the way to the other door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httptools

from sidecar.auth import Role
from sidecar.config import LimitsConfig
from sidecar.gates.gate import Gate
from sidecar.runtime.controller import Controller
from sidecar.supervision import RepeatingTimer
from sidecar.web.api.protocol import ApiProtocol
from sidecar.web.guard import Guard
from sidecar.web.problems import Problem

from .plans import ListenerAccess, RequestPlan
from .requests import GateRequest
from .responses import snapshot_response

IDLE_SECS = 70.0
"""An idle connection is closed after this, or a sweep later."""
_MAX_PLANS_BYTES = 6_000_000
_PLAN_BYTES = 400
_MAX_PLAN_BYTES = 2048
_TICK_SECS = 1.0
_OK = b"HTTP/1.1 200 OK\r\n"
_SWEEP_TICKS = 5


class GateFastPath:
    """The light door: answers gate and watch from bytes, and hands all else to uvicorn's protocol.

    Args:
        controller: whose gates these are.
        guard: knows who may.
        limits: how much is too much.

    Attributes:
        uvicorn: what its protocol is made with; its server sets it.
        connections: all that are open, by whichever door.
        ticking: called every second.
    """

    def __init__(self, controller: Controller, guard: Guard, limits: LimitsConfig) -> None:
        self.controller = controller
        self.guard = guard
        self.limits = limits
        self.waiting_room = controller.waiting_room
        self.loop = controller.loop
        self.ticking: Callable[[], None] = lambda: None
        self.date = _date()
        self.connections: set[Any] = set()
        self.uvicorn: dict[str, Any] = {}
        self._ticks = 0
        self._failures = controller.counters.task_failures
        self._timer = RepeatingTimer(
            self.loop, _TICK_SECS, self._tick, name="connection_sweeper", failures=self._failures
        )
        controller.on_reshape = self.forget

    def forget(self) -> None:
        """Scopes or policies changed: the same bytes may lead to another gate."""
        self.guard.forget()

    def count_refusal(self, name: str) -> None:
        """Something was refused by the problem ``name``."""
        refusals = self.controller.counters.refusals
        if name in refusals:
            refusals[name] += 1

    def stop(self) -> None:
        """No more ticks."""
        self._timer.stop()

    def plan(self, head: bytes, access: ListenerAccess) -> RequestPlan | None:
        """What to do about a whole request head; None: the other door has to see to it."""
        seen = _Head()
        if not seen.parse(head):
            return None
        try:
            request = GateRequest.parse(seen.target, seen.if_none_match)
        except Problem:
            return None
        if not self.guard.identify_fast(access, seen.authorization, Role.WORKER, request.scope):
            return None
        gate, path = self.controller.tree.find(request.scope)
        plan = RequestPlan(request, gate, path, head=seen.method == b"HEAD")
        if not seen.keep_alive:
            plan.close = True
            plan.connection = b"Connection: close\r\n"
            plan.plain = False
        elif seen.version == "1.0":
            plan.connection = b"Connection: keep-alive\r\n"
            plan.plain = False
        if not request.watch and len(head) <= _MAX_PLAN_BYTES:
            # Counted with what a plan itself takes: heads that never come again must not fill the memory.
            access.plan_bytes += len(head) + _PLAN_BYTES
            if access.plan_bytes > _MAX_PLANS_BYTES:
                access.forget()
            access.plans[head] = plan
        return plan

    def shown(self, plan: RequestPlan) -> bytes:
        """A plan that is not plain, answered: rendered anew where the gate or the second changed."""
        gate = plan.gate
        if plan.answer_version != gate.version or plan.answer_date is not self.date:
            snapshot = snapshot_response(gate, plan.path)
            plan.answer = snapshot.to_bytes(self.date, head=plan.head, connection=plan.connection)
            plan.answer_date = self.date
            plan.answer_version = gate.version
        return plan.answer

    def render(self, gate: Gate) -> bytes:
        """The snapshot of ``gate`` as an answer, kept with it until it changes or the second does."""
        rest = gate.answer_rest
        if rest is None or gate.policy.resume_ramp_per_sec:
            # With a ramp it tells how many clients share it, which is no part of the snapshot.
            rest = gate.answer_rest = snapshot_response(gate).after_date()
        gate.answer = _OK + self.date + rest
        gate.answer_date = self.date
        return gate.answer

    def hand_over(self, transport: asyncio.Transport, access: ListenerAccess, data: bytes) -> None:
        """Give the connection, with what it has sent and nobody has answered, to uvicorn."""
        protocol = ApiProtocol(self, access)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)

    def _tick(self) -> None:
        self.date = _date()
        self._ticks += 1
        shortest = min(self.limits.header_timeout_secs, self.limits.write_timeout_secs)
        ticks = max(1, min(_SWEEP_TICKS, int(shortest / _TICK_SECS)))
        if self._ticks % ticks == 0:
            for connection in list(self.connections):
                try:
                    connection.sweep(ticks * _TICK_SECS)
                except Exception:  # noqa: BLE001 - recorded; the other connections are swept all the same
                    self._failures.record("connection_sweeper")
        self.ticking()


class _Head:
    """One request head, read by httptools; anything but a plain one without a body is refused."""

    __slots__ = (
        "_complete", "_parser", "_refused", "authorization", "if_none_match", "keep_alive", "method",
        "target", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.target = b""
        self.if_none_match: bytes | None = None
        self.authorization: bytes | None = None
        self._complete = False
        self._refused = False

    def parse(self, head: bytes) -> bool:
        """Whether ``head`` is one whole request without a body, and nothing more."""
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserError:
            return False
        return self._complete and not self._refused

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"if-none-match":
            self.if_none_match = value if self.if_none_match is None else self.if_none_match + b"," + value
        elif name == b"authorization":
            self._refused = self._refused or self.authorization is not None
            self.authorization = value
        elif name in (b"transfer-encoding", b"content-length", b"expect", b"upgrade"):
            self._refused = True

    def on_headers_complete(self) -> None:
        # The parser knows these only until the message is complete.
        self.method: bytes = self._parser.get_method()
        self.version: str = self._parser.get_http_version()
        self.keep_alive: bool = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self._complete = True


def _date() -> bytes:
    return f"Date: {formatdate(usegmt=True)}\r\n".encode()
