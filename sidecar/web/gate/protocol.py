"""The protocol of gate and watch requests: one small object per connection, and nothing else while it waits.

It understands whole heads of ``GET`` and ``HEAD`` requests of gate and watch without a body. At the first
bytes that it does not understand it hands the connection over, with all unanswered bytes, to `ApiProtocol`,
where the same gates are reached by ASGI. So this file has no rules about how a request is refused.

A keep-alive client sends the same bytes again and again: their meaning is looked up by the bytes.

Flow control: one request is served as soon as it arrives. Requests that were sent behind it are served in
turns with those of other connections (`FairQueue`). No more is read while more than `_MAX_PIPELINED_BYTES`
are buffered, or while the client does not read its responses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from sidecar.config import Listener
from sidecar.gates.gate import Ending, Gate, Waiter
from sidecar.web.problems import Problem
from sidecar.web.responses import HttpResponse, problem_response
from sidecar.web.retry_after import retry_after
from sidecar.web.tls import certificate_authorities_of, names_of

from .fast_path import IDLE_SECS, GateFastPath
from .plans import ListenerAccess, RequestPlan
from .responses import ended_response, snapshot_response

_STARTS = tuple(method + b" /v1/" + what for method in (b"GET", b"HEAD") for what in (b"gate", b"watch"))
_AFTER_START = b" /?"
_LONGEST_START = max(len(start) for start in _STARTS) + 1
_END = b"\r\n\r\n"
_MAX_PIPELINED_BYTES = 16_384
_SNAPSHOT_ENDINGS = (Ending.OPENED, Ending.CHANGED)
"""Endings of a wait that are answered with the snapshot."""
_CLOSE = b"Connection: close\r\n"
_TASK = "gate_connection"


class GateProtocol(Waiter, asyncio.Protocol):
    """A connection.

    Args:
        fast_path: what all connections share.
        listener: where the client connected.

    Attributes:
        buffer: received bytes; those before ``start`` are served.
        quiet: nothing is buffered, parked or unread: the next bytes begin a request.
        full: the client does not read its responses.
        held: reading is paused.
        eof: the client has sent all that it will send.
        queued: in the `FairQueue`.
        closing: the next response ends the connection.
        idle: sweeps since the last request.
    """

    __slots__ = (
        "access", "buffer", "closing", "eof", "fast_path", "full", "held", "idle", "plan", "plans", "queued",
        "quiet", "start", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, fast_path: GateFastPath, listener: Listener) -> None:
        self.fast_path = fast_path
        self.access: ListenerAccess = fast_path.guard.access(listener)
        self.plans = self.access.plans
        self.gate = None
        self.plan: RequestPlan | None = None
        self.buffer = b""
        self.start = 0
        self.idle = 0
        self.quiet = True
        self.full = self.held = self.eof = self.queued = self.closing = False

    # -- called by the transport ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        connections = self.fast_path.connections
        connections.add(self)
        if len(connections) > self.fast_path.limits.max_connections:
            detail = "too many connections are open (limits.max_connections)"
            self._refuse(Problem("too-many-connections", detail, headers=retry_after(1)))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.gate is not None:
            self.fast_path.waiting_room.abandon(self)
        self.buffer, self.start = b"", 0
        self._leave()

    def eof_received(self) -> bool:
        """The client has sent all that it will send; return whether the connection stays open.

        A parked request is abandoned: a client that closed its socket looks the same. Requests that are
        buffered are answered first.
        """
        if self.gate is not None:
            self.fast_path.waiting_room.abandon(self)
            return False
        self.eof = bool(self.buffer) and self.transport.get_extra_info("ssl_object") is None
        if self.eof:
            self.fast_path.queue.add(self)
        return self.eof

    def pause_writing(self) -> None:
        """The client does not read: nothing more is answered until it does."""
        self.full = True
        self.quiet = False
        self.idle = 0
        self._regulate()

    def resume_writing(self) -> None:
        self.full = False
        self._proceed()

    def data_received(self, data: bytes) -> None:
        try:
            if self.quiet:
                plan = self.plans.get(data)
                if plan is not None:
                    self._serve(plan)
                    return
            self._receive(data)
        except Exception:  # noqa: BLE001 - recorded; only this connection ends
            self._fail()

    # -- called by uvicorn's server, the fast path and the queue ----------------------------------

    def shutdown(self) -> None:
        """The server shuts down: answer the parked request, and close."""
        if self.gate is not None:
            self.fast_path.waiting_room.turn_away(self)
        self.transport.close()

    def sweep(self, secs: float) -> None:
        """Close the connection if it is idle or its client is too slow. Called every ``secs`` seconds."""
        if self.gate is not None:
            return
        self.idle += 1
        idle_for = (self.idle - 1) * secs
        limits = self.fast_path.limits
        if self.full or self.buffer:
            if idle_for >= (limits.write_timeout_secs if self.full else limits.header_timeout_secs):
                self.drop()
        elif idle_for >= IDLE_SECS:
            self.transport.abort()

    def drop(self) -> None:
        """End the connection at once: its client sends too much or reads too slowly."""
        self.fast_path.count_refusal("too-slow")
        self.transport.abort()

    def check_access(self) -> None:
        """Credentials changed: refuse the parked request if its client may not wait here any more."""
        plan = self.plan
        if plan is not None and self.gate is not None:
            scope = plan.request.scope
            if self.fast_path.guard.refusal(self.access, plan.identity, scope) is not None:
                self.fast_path.waiting_room.turn_away(self, Ending.REVOKED)

    def check_authorities(self, trusted: frozenset[bytes]) -> None:
        """Certificate authorities were removed: end the connection if its certificate came from one of them.

        Args:
            trusted: the certificate authorities that are trusted now, each in DER.
        """
        authorities = certificate_authorities_of(self.transport)
        if authorities and not authorities & trusted:
            self.access = self.fast_path.guard.untrusted
            self.closing = True
            if self.gate is not None:
                self.fast_path.waiting_room.turn_away(self, Ending.REVOKED)
            else:
                self._close()

    def serve_next(self) -> bool:
        """Serve one buffered request; return whether another one can be served now."""
        more = self._serve_buffered()
        if not more:
            if self.eof and self.gate is None and not self.full:
                self.transport.close()
            self.quiet = not self.buffer and not self.full and self.gate is None
        self._regulate()
        return more

    # -- requests ---------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        """Buffer ``data``; serve its first request, unless others are to be answered before."""
        self.quiet = False
        if self.buffer:
            self.buffer = self.buffer[self.start :] + data
        else:
            self.buffer = data
            self.idle = 0
        self.start = 0
        if self.gate is None and not self.full and not self.queued:
            if self.serve_next():
                self.fast_path.queue.add(self)
        else:
            self._regulate()

    def _proceed(self) -> None:
        """A wait has ended, or the client reads again: go on with the buffered requests."""
        if self.buffer:
            self.fast_path.queue.add(self)
        else:
            self.quiet = not self.full and self.gate is None
        self._regulate()

    def _regulate(self) -> None:
        """Pause or resume reading, and account for what is buffered."""
        size = len(self.buffer) - self.start
        held = self.full or size > _MAX_PIPELINED_BYTES
        if held != self.held:
            self.held = held
            # What has ended is not read again: it would end once more.
            if not self.eof and not self.transport.is_closing():
                (self.transport.pause_reading if held else self.transport.resume_reading)()
            if self.full:
                size += self.transport.get_write_buffer_size()
            self.fast_path.budget.set(self, size)

    def _serve_buffered(self) -> bool:
        """Serve the first buffered request; return whether another one may be buffered behind it."""
        data, start = self.buffer, self.start
        if not data or self.gate is not None or self.full or self.transport.is_closing():
            return False
        if not _may_be_ours(data, start):
            self._hand_over()
            return False
        end = data.find(_END, start)
        most = self.fast_path.limits.max_header_bytes
        if end < 0 or end - start > most:
            if len(data) - start > most:
                detail = f"the head is longer than {most} bytes (limits.max_header_bytes)"
                self._refuse(Problem("header-too-large", detail))
            elif data.count(b"\n", start) != data.count(b"\r\n", start):
                # Lines that end in another way: the other parser decides what that means.
                self._hand_over()
            return False
        end += len(_END)
        head = data[start:end]
        plan = self.plans.get(head) or self.fast_path.plan(head, self.access, self.transport)
        if plan is None:
            self._hand_over()
            return False
        if end == len(data):
            self.buffer, self.start = b"", 0
        else:
            self.start = end
        self._serve(plan)
        return bool(self.buffer) and self.gate is None and not self.full

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
            self._write_snapshot(plan)

    def _watch(self, plan: RequestPlan, gate: Gate) -> None:
        if plan.request.knows(gate.version):
            self._settle(plan, gate, self.fast_path.waiting_room.watch(self, gate, plan.path, plan.wait))
        else:
            self._write_snapshot(plan)

    def _write_snapshot(self, plan: RequestPlan) -> None:
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
            self.transport.write(fast_path.rendered(plan))

    def _settle(self, plan: RequestPlan, gate: Gate, ending: Ending | None) -> None:
        """Keep the plan of a request that was parked, or answer one that was not."""
        if ending is not None:
            self._write(plan, self._ended(plan, ending, gate, plan.path))
        elif self.eof:
            self.fast_path.waiting_room.abandon(self)
            self.transport.close()
        else:
            self.plan = plan
            self.quiet = False

    def end(self, ending: Ending, gate: Gate) -> None:
        """The wait has ended: answer, and go on with the requests that were sent behind it."""
        plan = self.plan
        if plan is None:
            return
        self.plan = None
        try:
            if ending in _SNAPSHOT_ENDINGS and gate is plan.gate and self.path is plan.path:
                self._write_snapshot(plan)
            else:
                self._write(plan, self._ended(plan, ending, gate, self.path))
            self._proceed()
        except Exception:  # noqa: BLE001 - recorded; only this connection ends
            self._fail()

    def _ended(self, plan: RequestPlan, ending: Ending, gate: Gate, path: str | None) -> HttpResponse:
        fast_path = self.fast_path
        if ending is Ending.REVOKED:
            problem = fast_path.guard.revoked(self.access, plan.identity, plan.request.scope)
            fast_path.count_refusal(problem.name)
            return problem_response(problem)
        return ended_response(plan.request, ending, gate, path, fast_path.controller.clock.now())

    def _write(self, plan: RequestPlan, answer: HttpResponse) -> None:
        closing = plan.close or self.closing or self.fast_path.waiting_room.closing
        connection = _CLOSE if closing else plan.connection
        self.transport.write(answer.to_bytes(self.fast_path.date, head=plan.head, connection=connection))
        if closing:
            self._close()

    def _refuse(self, problem: Problem) -> None:
        self.fast_path.count_refusal(problem.name)
        self.transport.write(problem_response(problem).to_bytes(self.fast_path.date, connection=_CLOSE))
        self._close()

    def _fail(self) -> None:
        """Answer that this program failed, whatever was asked, and close."""
        self.fast_path.record_failure(_TASK)
        if self.gate is not None:
            self.fast_path.waiting_room.abandon(self)
        self.plan = None
        problem = Problem("internal-error", "the sidecar failed; its log has the reason")
        self.transport.write(problem_response(problem).to_bytes(self.fast_path.date, connection=_CLOSE))
        self._close()

    def _close(self) -> None:
        self.buffer, self.start = b"", 0
        self.transport.close()

    def _hand_over(self) -> None:
        self._leave()
        data, self.buffer, self.start = self.buffer[self.start :], b"", 0
        if self.held:
            self.held = False
            if not self.eof:
                self.transport.resume_reading()
        self.fast_path.hand_over(self.transport, self.access, data, eof=self.eof)
        self.eof = False

    def _leave(self) -> None:
        self.fast_path.connections.discard(self)
        self.fast_path.budget.set(self, 0)


class CertifiedGateProtocol(GateProtocol):
    """A connection whose client may have shown a certificate."""

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
    """Make protocols for the connections at ``listener``; ``certified``: clients may show certificates."""
    return partial(CertifiedGateProtocol if certified else GateProtocol, fast_path, listener)


def _may_be_ours(data: bytes, at: int) -> bool:
    """Whether ``data`` from ``at`` on begins a gate or watch request, or may turn out to."""
    size = len(data) - at
    for start in _STARTS:
        if data.startswith(start, at):
            return size == len(start) or data[at + len(start)] in _AFTER_START
    return size < _LONGEST_START and any(start.startswith(data[at:]) for start in _STARTS)
