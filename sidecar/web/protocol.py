"""The light gate protocol: one small object a connection, and nothing else while it is parked.

It understands whole heads of ``GET`` and ``HEAD`` of gate and watch, without a body. The first thing
that it does not understand makes it hand the connection over whole, unanswered bytes included, to
uvicorn's protocol, where the same gates are reached by ASGI. So it need not know how to refuse.

A keep-alive client sends the same bytes again and again: what they meant is looked up by the bytes.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sidecar.runtime.gate import Gate, snapshot
from sidecar.runtime.waiter import Ending, Waiter

from .answers import Answer, ended_answer, problem_answer, snapshot_answer
from .door import IDLE_SWEEPS, MAX_HEAD_BYTES, Door, Plan
from .problems import Problem

_STARTS = tuple(method + b" /v1/" + what for method in (b"GET", b"HEAD") for what in (b"gate", b"watch"))
_AFTER_START = b" /?"
_LONGEST_START = max(len(start) for start in _STARTS) + 1
_END = b"\r\n\r\n"
_MAX_PIPELINED_BYTES = 65_536


class GateProtocol(Waiter, asyncio.Protocol):
    """A connection, as uvicorn's server makes it: the arguments are uvicorn's."""

    __slots__ = ("buffer", "door", "full", "idle", "plan", "quiet", "transport")

    transport: asyncio.Transport

    def __init__(
        self,
        config: Any,  # noqa: ANN401 - uvicorn's, passed on as it is
        server_state: Any,  # noqa: ANN401
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        door: Door = app_state["door"]
        if not door.uvicorn:
            door.uvicorn = {"config": config, "server_state": server_state, "app_state": app_state}
            door.connections = server_state.connections
        self.door = door
        self.gate = None
        self.plan: Plan | None = None
        self.buffer = b""
        self.idle = 0
        # Nothing is buffered and nobody is parked: the next bytes begin a request.
        self.quiet = True
        self.full = False

    # -- what the transport calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.door.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.gate is not None:
            self.door.parking.abandon(self)
        self._leave()

    def eof_received(self) -> None:
        """The client has sent all it will. If it is parked, it has gone: a closed socket looks the same."""
        if self.gate is not None:
            self.door.parking.abandon(self)

    def pause_writing(self) -> None:
        """The client does not read: nothing more is answered until it does."""
        self.full = True
        self.quiet = False
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.full = False
        self.quiet = self.gate is None
        self.transport.resume_reading()
        self._work()

    def data_received(self, data: bytes) -> None:
        if self.quiet:
            plan = self.door.plans.get(data)
            if plan is not None:
                self._serve(plan)
                return
        self.buffer = self.buffer + data if self.buffer else data
        if self.gate is None:
            self._work()
        elif len(self.buffer) > _MAX_PIPELINED_BYTES:
            self.transport.pause_reading()

    # -- what uvicorn's server and the door call --------------------------------------------------

    def shutdown(self) -> None:
        """The server is going: answer who is parked, and close."""
        if self.gate is not None:
            self.door.parking.turn_away(self)
        self.transport.close()

    def sweep(self) -> None:
        """Called every few seconds: close the connection once it has been idle for several sweeps."""
        if self.gate is None:
            self.idle += 1
            if self.idle >= IDLE_SWEEPS:
                self.transport.abort()

    # -- requests ---------------------------------------------------------------------------------

    def _work(self) -> None:
        """Serve what is buffered, as far as it is whole and the client reads."""
        while self.buffer and self.gate is None and not self.full and not self.transport.is_closing():
            data = self.buffer
            if not _may_be_ours(data):
                self._hand_over(data)
                return
            end = data.find(_END)
            if end < 0 or end > MAX_HEAD_BYTES:
                if len(data) > MAX_HEAD_BYTES:
                    self._refuse("header-too-large", f"the head is longer than {MAX_HEAD_BYTES} bytes")
                elif data.count(b"\n") != data.count(b"\r\n"):
                    # Lines that end otherwise: not for us to say what that means.
                    self._hand_over(data)
                else:
                    self.quiet = False
                return
            head = data[: end + len(_END)]
            plan = self.door.plans.get(head) or self.door.plan(head)
            if plan is None:
                self._hand_over(data)
                return
            self.buffer = data[len(head) :]
            self.quiet = True
            self._serve(plan)

    def _serve(self, plan: Plan) -> None:
        self.idle = 0
        gate = plan.gate
        request = plan.request
        if request.watch:
            self._watch(plan, gate)
            return
        gate.requests += 1
        if gate.closed:
            self._settle(plan, gate, self.door.parking.request(self, gate, plan.path, plan.wait))
        elif plan.plain:
            answer = gate.answer
            if answer is None or gate.answer_date is not self.door.date:
                answer = self.door.render_open(gate)
            self.transport.write(answer)
        elif plan.close or self.door.parking.closing:
            self._write(plan, snapshot_answer(snapshot(gate, plan.path)))
        else:
            if plan.answer_version != gate.version or plan.answer_date is not self.door.date:
                self.door.render_planned(plan)
            self.transport.write(plan.answer)

    def _watch(self, plan: Plan, gate: Gate) -> None:
        if plan.request.knows(gate.version):
            self._settle(plan, gate, self.door.parking.watch(self, gate, plan.path, plan.wait))
        else:
            self._write(plan, snapshot_answer(snapshot(gate, plan.path)))

    def _settle(self, plan: Plan, gate: Gate, ending: Ending | None) -> None:
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
        if ending is Ending.OPENED and plan.plain and gate is plan.gate:
            answer = gate.answer
            if answer is None or gate.answer_date is not self.door.date:
                answer = self.door.render_open(gate)
            self.transport.write(answer)
        else:
            self._write(plan, self._ended(plan, ending, gate, self.path))
        if self.buffer:
            self.transport.resume_reading()
            self._work()

    def _ended(self, plan: Plan, ending: Ending, gate: Gate, path: str | None) -> Answer:
        return ended_answer(plan.request, ending, gate, path, self.door.controller.clock.now())

    def _write(self, plan: Plan, answer: Answer) -> None:
        closing = plan.close or self.door.parking.closing
        connection = b"Connection: close\r\n" if closing else plan.connection
        self.transport.write(answer.to_bytes(self.door.date, head=plan.head, connection=connection))
        if closing:
            self.buffer = b""
            self.transport.close()

    def _refuse(self, name: str, detail: str) -> None:
        answer = problem_answer(Problem(name, detail))
        self.buffer = b""
        self.transport.write(answer.to_bytes(self.door.date, connection=b"Connection: close\r\n"))
        self.transport.close()

    def _hand_over(self, data: bytes) -> None:
        self._leave()
        self.buffer = b""
        self.door.hand_over(self.transport, data)

    def _leave(self) -> None:
        self.door.connections.discard(self)


def _may_be_ours(data: bytes) -> bool:
    """Whether ``data`` begins a request of gate or watch, or may yet turn out to."""
    for start in _STARTS:
        if data.startswith(start):
            return len(data) == len(start) or data[len(start)] in _AFTER_START
    return len(data) < _LONGEST_START and any(start.startswith(data) for start in _STARTS)
