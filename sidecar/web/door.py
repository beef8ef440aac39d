"""What all connections share: what was parsed once, today's date, and the way to the other door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httptools

from sidecar.auth import Role
from sidecar.config import LimitsConfig
from sidecar.runtime.controller import Controller
from sidecar.runtime.gate import Gate

from .answers import snapshot_answer
from .api_protocol import ApiProtocol
from .guard import Access, Guard
from .problems import Problem
from .requests import GateRequest

IDLE_SECS = 70.0
"""An idle connection is closed after this, or a sweep later."""
_MAX_PLANS_BYTES = 6_000_000
_PLAN_BYTES = 400
_MAX_PLAN_BYTES = 2048
_TICK_SECS = 1.0
_OK = b"HTTP/1.1 200 OK\r\n"
_SWEEP_TICKS = 5


class Plan:
    """A request head, understood: what to do whenever the same bytes come again.

    Attributes:
        request: what it asks for.
        gate: the nearest known one.
        path: the unnamed scope that was asked for; None: the gate's own.
        wait: seconds to wait at most.
        head: HEAD, so answers have no body.
        close: the connection ends with the answer.
        connection: a whole ``Connection`` line for the answer, where it needs one.
        plain: a snapshot is answered with the gate's own rendered bytes.
        answer: a snapshot as it is answered where it is not plain, as last rendered.
        answer_version: the version of the gate that ``answer`` shows.
        answer_date: what ``answer`` was rendered with.
    """

    __slots__ = (
        "answer", "answer_date", "answer_version", "close", "connection", "gate", "head", "path", "plain",
        "request", "wait",
    )  # fmt: skip

    def __init__(self, request: GateRequest, gate: Gate, path: str | None, *, head: bool) -> None:
        self.request = request
        self.gate = gate
        self.path = path
        self.wait = request.wait_secs(gate.policy.wait_timeout_secs)
        self.head = head
        self.close = False
        self.connection = b""
        self.plain = not head and path is None
        self.answer = b""
        self.answer_date: bytes | None = None
        self.answer_version = 0


class Door:
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
        self.parking = controller.parking
        self.loop = controller.loop
        self.ticking: Callable[[], None] = lambda: None
        self.date = _date()
        self.connections: set[Any] = set()
        self.uvicorn: dict[str, Any] = {}
        self._ticks = 0
        self._timer = self.loop.call_later(_TICK_SECS, self._tick)
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
        self._timer.cancel()

    def plan(self, head: bytes, access: Access) -> Plan | None:
        """What to do about a whole request head; None: the other door has to see to it."""
        seen = _Head()
        if not seen.parse(head):
            return None
        try:
            request = GateRequest.parse(seen.target, seen.if_none_match)
        except Problem:
            return None
        if not self.guard.quickly(access, seen.authorization, Role.WORKER, request.scope):
            return None
        gate, path = self.controller.tree.find(request.scope)
        plan = Plan(request, gate, path, head=seen.method == b"HEAD")
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

    def shown(self, plan: Plan) -> bytes:
        """A plan that is not plain, answered: rendered anew where the gate or the second changed."""
        gate = plan.gate
        if plan.answer_version != gate.version or plan.answer_date is not self.date:
            snapshot = snapshot_answer(gate, plan.path)
            plan.answer = snapshot.to_bytes(self.date, head=plan.head, connection=plan.connection)
            plan.answer_date = self.date
            plan.answer_version = gate.version
        return plan.answer

    def render(self, gate: Gate) -> bytes:
        """The snapshot of ``gate`` as an answer, kept with it until it changes or the second does."""
        rest = gate.answer_rest
        if rest is None or gate.policy.resume_ramp_per_sec:
            # With a ramp it tells how many clients share it, which is no part of the snapshot.
            rest = gate.answer_rest = snapshot_answer(gate).after_date()
        gate.answer = _OK + self.date + rest
        gate.answer_date = self.date
        return gate.answer

    def hand_over(self, transport: asyncio.Transport, access: Access, data: bytes) -> None:
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
                connection.sweep(ticks * _TICK_SECS)
        self.ticking()
        self._timer = self.loop.call_later(_TICK_SECS, self._tick)


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
