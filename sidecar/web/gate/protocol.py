"""The light gate protocol: one small object a connection, and nothing else while it is parked.

It understands whole heads of ``GET`` and ``HEAD`` of gate and watch, without a body. The first thing
that it does not understand makes it hand the connection over whole, unanswered bytes included, to
uvicorn's protocol, where the same gates are reached by ASGI. So it need not know how to refuse.

A keep-alive client sends the same bytes again and again: what they meant is looked up by the bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from sidecar.config import Listener
from sidecar.gates.gate import Ending, Gate, Waiter
from sidecar.web.problems import Problem
from sidecar.web.responses import HttpResponse, problem_response
from sidecar.web.tls import names_of

from .fast_path import IDLE_SECS, GateFastPath
from .plans import ListenerAccess, RequestPlan
from .responses import ended_response, snapshot_response

_STARTS = tuple(method + b" /v1/" + what for method in (b"GET", b"HEAD") for what in (b"gate", b"watch"))
_AFTER_START = b" /?"
_LONGEST_START = max(len(start) for start in _STARTS) + 1
_END = b"\r\n\r\n"
_MAX_PIPELINED_BYTES = 65_536
_PIPELINED_AT_ONCE = 8
_SHOWN = (Ending.OPENED, Ending.CHANGED)
"""What ends a wait with the snapshot."""


class GateProtocol(Waiter, asyncio.Protocol):
    """A connection.

    Args:
        fast_path: what connections share.
        listener: where it came.
    """

    __slots__ = (
        "access",
        "buffer",
        "fast_path",
        "full",
        "held_back",
        "idle",
        "plan",
        "plans",
        "quiet",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, fast_path: GateFastPath, listener: Listener) -> None:
        self.fast_path = fast_path
        self.access: ListenerAccess = fast_path.guard.access(listener)
        self.plans = self.access.plans
        self.gate = None
        self.plan: RequestPlan | None = None
        self.buffer = b""
        self.idle = 0
        # Nothing is buffered and nobody is parked: the next bytes begin a request.
        self.quiet = True
        self.full = False
        # Nothing more is read until what was pipelined is served.
        self.held_back = False

    # -- what the transport calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        connections = self.fast_path.connections
        connections.add(self)
        if len(connections) > self.fast_path.limits.max_connections:
            detail = "as many connections are open as may be (limits.max_connections)"
            self._refuse(Problem("too-many-connections", detail, headers={"Retry-After": "1"}))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.gate is not None:
            self.fast_path.waiting_room.abandon(self)
        self._leave()

    def eof_received(self) -> None:
        """The client has sent all it will. If it is parked, it has gone: a closed socket looks the same."""
        if self.gate is not None:
            self.fast_path.waiting_room.abandon(self)

    def pause_writing(self) -> None:
        """The client does not read: nothing more is answered until it does."""
        self.full = True
        self.quiet = False
        self.idle = 0
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.full = False
        self.quiet = self.gate is None
        self.transport.resume_reading()
        self._work()

    def data_received(self, data: bytes) -> None:
        if self.quiet:
            plan = self.plans.get(data)
            if plan is not None:
                self._serve(plan)
                return
        if self.buffer:
            self.buffer += data
        else:
            self.buffer = data
            self.idle = 0
        if self.gate is None:
            self._work()
        elif len(self.buffer) > _MAX_PIPELINED_BYTES:
            self.transport.pause_reading()

    # -- what uvicorn's server and the door call --------------------------------------------------

    def shutdown(self) -> None:
        """The server is going: answer who is parked, and close."""
        if self.gate is not None:
            self.fast_path.waiting_room.turn_away(self)
        self.transport.close()

    def sweep(self, secs: float) -> None:
        """Called every ``secs`` seconds: close a connection that is idle, or whose client is too slow."""
        if self.gate is not None:
            return
        self.idle += 1
        idle_for = (self.idle - 1) * secs
        limits = self.fast_path.limits
        if self.full or self.buffer:
            if idle_for >= (limits.write_timeout_secs if self.full else limits.header_timeout_secs):
                self.fast_path.count_refusal("too-slow")
                self.transport.abort()
        elif idle_for >= IDLE_SECS:
            self.transport.abort()

    # -- requests ---------------------------------------------------------------------------------

    def _work(self) -> None:
        """Serve what is buffered, as far as it is whole and the client reads; a little at a time."""
        for _ in range(_PIPELINED_AT_ONCE):
            if not self._work_once():
                break
        else:
            # Whoever pipelines much waits for those who ask for little.
            self.quiet = False
            if not self.held_back and len(self.buffer) > _MAX_PIPELINED_BYTES:
                self.held_back = True
                self.transport.pause_reading()
            self.fast_path.loop.call_soon(self._work)
            return
        if self.held_back and not self.full:
            self.held_back = False
            self.transport.resume_reading()

    def _work_once(self) -> bool:
        """Serve the first request that is buffered; whether there may be another to serve."""
        if self.buffer and self.gate is None and not self.full and not self.transport.is_closing():
            data = self.buffer
            if not _may_be_ours(data):
                self._hand_over(data)
                return False
            end = data.find(_END)
            most = self.fast_path.limits.max_header_bytes
            if end < 0 or end > most:
                if len(data) > most:
                    detail = f"the head is longer than {most} bytes (limits.max_header_bytes)"
                    self._refuse(Problem("header-too-large", detail))
                elif data.count(b"\n") != data.count(b"\r\n"):
                    # Lines that end otherwise: not for us to say what that means.
                    self._hand_over(data)
                else:
                    self.quiet = False
                return False
            head = data[: end + len(_END)]
            plan = self.plans.get(head) or self.fast_path.plan(head, self.access)
            if plan is None:
                self._hand_over(data)
                return False
            self.buffer = data[len(head) :]
            self.quiet = True
            self._serve(plan)
            return bool(self.buffer)
        return False

    def _serve(self, plan: RequestPlan) -> None:
        self.idle = 0
        gate = plan.gate
        request = plan.request
        if request.watch:
            self._watch(plan, gate)
            return
        gate.requests += 1
        if gate.closed:
            self._settle(plan, gate, self.fast_path.waiting_room.request(self, gate, plan.path, plan.wait))
        elif plan.plain:
            answer = gate.answer
            if answer is None or gate.answer_date is not self.fast_path.date:
                answer = self.fast_path.render(gate)
            self.transport.write(answer)
        else:
            self._show(plan)

    def _watch(self, plan: RequestPlan, gate: Gate) -> None:
        if plan.request.knows(gate.version):
            self._settle(plan, gate, self.fast_path.waiting_room.watch(self, gate, plan.path, plan.wait))
        else:
            self._show(plan)

    def _show(self, plan: RequestPlan) -> None:
        """Answer with the snapshot of the plan's gate."""
        fast_path = self.fast_path
        if plan.close or fast_path.waiting_room.closing:
            self._write(plan, snapshot_response(plan.gate, plan.path))
        elif plan.plain:
            gate = plan.gate
            answer = gate.answer
            if answer is None or gate.answer_date is not fast_path.date:
                answer = fast_path.render(gate)
            self.transport.write(answer)
        else:
            self.transport.write(fast_path.shown(plan))

    def _settle(self, plan: RequestPlan, gate: Gate, ending: Ending | None) -> None:
        if ending is None:
            self.plan = plan
            self.quiet = False
        else:
            self._write(plan, self._ended(plan, ending, gate, plan.path))

    def end(self, ending: Ending, gate: Gate) -> None:
        """The wait has ended: answer, and go on with what was pipelined behind it."""
        plan = self.plan
        if plan is None:
            return
        self.plan = None
        self.quiet = not self.buffer and not self.full
        if ending in _SHOWN and gate is plan.gate and self.path is plan.path:
            self._show(plan)
        else:
            self._write(plan, self._ended(plan, ending, gate, self.path))
        if self.buffer:
            self.transport.resume_reading()
            self._work()

    def _ended(self, plan: RequestPlan, ending: Ending, gate: Gate, path: str | None) -> HttpResponse:
        return ended_response(plan.request, ending, gate, path, self.fast_path.controller.clock.now())

    def _write(self, plan: RequestPlan, answer: HttpResponse) -> None:
        closing = plan.close or self.fast_path.waiting_room.closing
        connection = b"Connection: close\r\n" if closing else plan.connection
        self.transport.write(answer.to_bytes(self.fast_path.date, head=plan.head, connection=connection))
        if closing:
            self.buffer = b""
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        self.fast_path.count_refusal(problem.name)
        answer = problem_response(problem)
        self.buffer = b""
        self.transport.write(answer.to_bytes(self.fast_path.date, connection=b"Connection: close\r\n"))
        self.transport.close()

    def _hand_over(self, data: bytes) -> None:
        self._leave()
        self.buffer = b""
        if self.held_back:
            self.held_back = False
            self.transport.resume_reading()
        self.fast_path.hand_over(self.transport, self.access, data)

    def _leave(self) -> None:
        self.fast_path.connections.discard(self)


class CertifiedGateProtocol(GateProtocol):
    """A connection on which the client may have shown a certificate."""

    __slots__ = ("_listener",)

    def __init__(self, fast_path: GateFastPath, listener: Listener) -> None:
        super().__init__(fast_path, listener)
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        names = names_of(transport.get_extra_info("peercert"))
        self.access = self.fast_path.guard.access(self._listener, names)
        self.plans = self.access.plans
        super().connection_made(transport)


def protocol_factory(
    fast_path: GateFastPath, listener: Listener, *, certified: bool
) -> Callable[[], asyncio.Protocol]:
    """Makes the protocols of connections at ``listener``; ``certified``: with clients' certificates."""
    return partial(CertifiedGateProtocol if certified else GateProtocol, fast_path, listener)


def _may_be_ours(data: bytes) -> bool:
    """Whether ``data`` begins a request of gate or watch, or may yet turn out to."""
    for start in _STARTS:
        if data.startswith(start):
            return len(data) == len(start) or data[len(start)] in _AFTER_START
    return len(data) < _LONGEST_START and any(start.startswith(data) for start in _STARTS)
