"""The protocol of gate, watch and authorization requests. A connection is one small object, even if it waits.

It serves complete requests without a body: ``GET`` and ``HEAD`` of gate and watch, and any method of
authorization. For any other bytes it hands the connection, with all unanswered bytes, to `ApiProtocol`, which
serves the same gates through ASGI. So all invalid requests are refused there.

A keep-alive client usually sends the same bytes for each request, so plans are looked up by the bytes.

Flow control: the first request is served as soon as it arrives. Pipelined requests share the event loop with
those of other connections (`FairQueue`). Reading pauses while more than `_MAX_PIPELINED_BYTES` are buffered,
or while the client does not read its responses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from sidecar.config import Listener
from sidecar.gates.gate import Ending, ScopeGate, Waiter
from sidecar.web.problems import Problem
from sidecar.web.responses import HttpResponse, problem_response
from sidecar.web.retry_after import retry_after
from sidecar.web.tls import certificate_authorities_of, names_of

from .authz import AUTHZ
from .fast_path import IDLE_SECS, GateFastPath
from .plans import ListenerAccess, RequestPlan
from .responses import ended_response, snapshot_response

_PREFIXES = tuple(method + b" /v1/" + what for method in (b"GET", b"HEAD") for what in (b"gate", b"watch"))
_AUTHZ = AUTHZ.encode()
_AFTER_PREFIX = b" /?"
_MAX_METHOD_LENGTH = 16
_MAX_PREFIX_LENGTH = max(len(start) for start in _PREFIXES) + 1
_END = b"\r\n\r\n"
_MAX_PIPELINED_BYTES = 16_384
_SNAPSHOT_ENDINGS = (Ending.OPENED, Ending.CHANGED)
"""The endings of a wait whose response is the snapshot."""
_CLOSE = b"Connection: close\r\n"
_TASK = "gate_connection"


class GateProtocol(Waiter, asyncio.Protocol):
    """A connection.

    Args:
        fast_path: the state that all connections share.
        listener: the listener that accepted the connection.

    Attributes:
        buffer: received bytes. The bytes before ``start`` are served.
        at_request_start: nothing is buffered, parked or unread: the next bytes begin a request.
        write_paused: the client does not read its responses.
        read_paused: reading is paused.
        eof: the client will send no more.
        queued: the connection is in the `FairQueue`.
        closing: the connection is closed after the next response.
        idle_sweeps: sweeps since the last request.
    """

    __slots__ = (
        "access",
        "at_request_start",
        "buffer",
        "closing",
        "eof",
        "fast_path",
        "idle_sweeps",
        "plan",
        "plans",
        "queued",
        "read_paused",
        "start",
        "transport",
        "write_paused",
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
        self.idle_sweeps = 0
        self.at_request_start = True
        self.write_paused = self.read_paused = self.eof = self.queued = self.closing = False

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
        """The client has sent everything; return whether the connection stays open.

        A parked request is abandoned, because a closed socket looks the same. Buffered requests are answered
        first.
        """
        if self.gate is not None:
            self.fast_path.waiting_room.abandon(self)
            return False
        self.eof = bool(self.buffer) and self.transport.get_extra_info("ssl_object") is None
        if self.eof:
            self.fast_path.queue.add(self)
        return self.eof

    def pause_writing(self) -> None:
        """The client does not read its responses: serve no more requests until it reads."""
        self.write_paused = True
        self.at_request_start = False
        self.idle_sweeps = 0
        self._update_flow_control()

    def resume_writing(self) -> None:
        self.write_paused = False
        self._continue_serving()

    def data_received(self, data: bytes) -> None:
        try:
            if self.at_request_start:
                plan = self.plans.get(data)
                if plan is not None:
                    self._serve(plan)
                    return
            self._receive(data)
        except Exception:  # noqa: BLE001 - recorded; only this connection ends
            self._fail()

    # -- called by uvicorn's server, the fast path and the queue ----------------------------------

    def shutdown(self) -> None:
        """Answer the parked request, and close the connection, because the server shuts down."""
        if self.gate is not None:
            self.fast_path.waiting_room.reject(self)
        self.transport.close()

    def sweep(self, secs: float) -> None:
        """Close the connection if it is idle or its client is too slow. Called every ``secs`` seconds."""
        if self.gate is not None:
            return
        self.idle_sweeps += 1
        idle_for = (self.idle_sweeps - 1) * secs
        limits = self.fast_path.limits
        if self.write_paused or self.buffer:
            if idle_for >= (limits.write_timeout_secs if self.write_paused else limits.header_timeout_secs):
                self.drop()
        elif idle_for >= IDLE_SECS:
            self.transport.abort()

    def drop(self) -> None:
        """End the connection at once: its client sends too much or reads too slowly."""
        self.fast_path.count_refusal("too-slow")
        self.transport.abort()

    def check_access(self) -> None:
        """Refuse the parked request if its client has lost access. Called after credentials changed."""
        plan = self.plan
        if plan is not None and self.gate is not None:
            scope = plan.request.scope
            if self.fast_path.guard.refusal(self.access, plan.identity, scope) is not None:
                self.fast_path.waiting_room.reject(self, Ending.REVOKED)

    def check_authorities(self, trusted: frozenset[bytes]) -> None:
        """End the connection if a removed certificate authority signed its certificate.

        Args:
            trusted: the certificate authorities that are trusted now, each in DER.
        """
        authorities = certificate_authorities_of(self.transport)
        if authorities and not authorities & trusted:
            self.access = self.fast_path.guard.untrusted
            self.closing = True
            if self.gate is not None:
                self.fast_path.waiting_room.reject(self, Ending.REVOKED)
            else:
                self._close()

    def serve_next(self) -> bool:
        """Serve one buffered request; return whether another one can be served now."""
        more = self._serve_buffered()
        if not more:
            if self.eof and self.gate is None and not self.write_paused:
                self.transport.close()
            self.at_request_start = not self.buffer and not self.write_paused and self.gate is None
        self._update_flow_control()
        return more

    # -- requests ---------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        """Buffer ``data``. Serve the first request, unless an earlier one is not answered yet."""
        self.at_request_start = False
        if self.buffer:
            self.buffer = self.buffer[self.start :] + data
        else:
            self.buffer = data
            self.idle_sweeps = 0
        self.start = 0
        if self.gate is None and not self.write_paused and not self.queued:
            if self.serve_next():
                self.fast_path.queue.add(self)
        else:
            self._update_flow_control()

    def _continue_serving(self) -> None:
        """Continue with the buffered requests, after a wait or when the client reads again."""
        if self.buffer:
            self.fast_path.queue.add(self)
        else:
            self.at_request_start = not self.write_paused and self.gate is None
        self._update_flow_control()

    def _update_flow_control(self) -> None:
        """Pause or resume reading, and update the buffer budget."""
        size = len(self.buffer) - self.start
        pause = self.write_paused or size > _MAX_PIPELINED_BYTES
        if pause != self.read_paused:
            self.read_paused = pause
            # After the end of input, do not resume reading: the end would be reported again.
            if not self.eof and not self.transport.is_closing():
                (self.transport.pause_reading if pause else self.transport.resume_reading)()
            if self.write_paused:
                size += self.transport.get_write_buffer_size()
            self.fast_path.budget.set(self, size)

    def _serve_buffered(self) -> bool:
        """Serve the first buffered request; return whether more bytes are ready to serve."""
        data, start = self.buffer, self.start
        if not data or self.gate is not None or self.write_paused or self.transport.is_closing():
            return False
        if not _may_be_gate_request(data, start):
            self._hand_over()
            return False
        end = data.find(_END, start)
        limit = self.fast_path.limits.max_header_bytes
        if end < 0 or end - start > limit:
            if len(data) - start > limit:
                detail = f"the head is longer than {limit} bytes (limits.max_header_bytes)"
                self._refuse(Problem("header-too-large", detail))
            elif data.count(b"\n", start) != data.count(b"\r\n", start):
                # The head has other line endings. The other parser decides what they mean.
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
        return bool(self.buffer) and self.gate is None and not self.write_paused

    def _serve(self, plan: RequestPlan) -> None:
        self.idle_sweeps = 0
        gate = plan.gate
        request = plan.request
        if request.watch:
            self._watch(plan, gate)
            return
        gate.requests += 1
        if gate.may_block:
            self._request(plan, gate)
        elif plan.plain:
            answer = gate.answer
            if answer is None or gate.answer_date is not self.fast_path.date:
                answer = self.fast_path.render_gate(gate)
            self.transport.write(answer)
        else:
            self._write_snapshot(plan)

    def _request(self, plan: RequestPlan, gate: ScopeGate) -> None:
        ending = self.fast_path.waiting_room.request(self, gate, plan.path, plan.wait, plan.request.priority)
        if ending is Ending.OPENED:
            self._write_snapshot(plan)
        else:
            self._park_or_respond(plan, gate, ending)

    def _watch(self, plan: RequestPlan, gate: ScopeGate) -> None:
        if plan.request.knows(gate, plan.path):
            self._park_or_respond(
                plan, gate, self.fast_path.waiting_room.watch(self, gate, plan.path, plan.wait)
            )
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
                answer = fast_path.render_gate(gate)
            self.transport.write(answer)
        else:
            self.transport.write(fast_path.render_plan(plan))

    def _park_or_respond(self, plan: RequestPlan, gate: ScopeGate, ending: Ending | None) -> None:
        """Keep the plan if the request was parked, else respond."""
        if ending is not None:
            self._write(plan, self._ended(plan, ending, gate, plan.path))
        elif self.eof:
            self.fast_path.waiting_room.abandon(self)
            self.transport.close()
        else:
            self.plan = plan
            self.at_request_start = False

    def end(self, ending: Ending, gate: ScopeGate) -> None:
        """Respond, because the wait has ended, and continue with the pipelined requests."""
        plan = self.plan
        if plan is None:
            return
        self.plan = None
        try:
            if ending in _SNAPSHOT_ENDINGS and gate is plan.gate and self.path is plan.path:
                fast_path = self.fast_path
                answer = gate.answer
                # This repeats `_write_snapshot` to save a call: ten thousand waits may end together.
                if (
                    plan.plain
                    and answer is not None
                    and gate.answer_date is fast_path.date
                    and not fast_path.waiting_room.closing
                ):
                    self.transport.write(answer)
                else:
                    self._write_snapshot(plan)
            else:
                self._write(plan, self._ended(plan, ending, gate, self.path))
            if self.buffer or self.read_paused or self.write_paused:
                self._continue_serving()
            else:
                self.at_request_start = self.gate is None
        except Exception:  # noqa: BLE001 - recorded; only this connection ends
            self._fail()

    def _ended(self, plan: RequestPlan, ending: Ending, gate: ScopeGate, path: str | None) -> HttpResponse:
        fast_path = self.fast_path
        if ending is Ending.REVOKED:
            problem = fast_path.guard.revoked_problem(self.access, plan.identity, plan.request.scope)
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
        """Respond with an internal error, and close the connection."""
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
        if self.read_paused:
            self.read_paused = False
            if not self.eof:
                self.transport.resume_reading()
        self.fast_path.hand_over(self.transport, self.access, data, eof=self.eof)
        self.eof = False

    def _leave(self) -> None:
        self.fast_path.connections.discard(self)
        self.fast_path.budget.set(self, 0)


class CertifiedGateProtocol(GateProtocol):
    """A connection whose client may have a certificate."""

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
    """Return a factory of protocols for ``listener``; ``certified``: clients may show certificates."""
    return partial(CertifiedGateProtocol if certified else GateProtocol, fast_path, listener)


def _may_be_gate_request(data: bytes, at: int) -> bool:
    """Whether ``data`` from ``at`` on is, or may become, a gate, watch or authorization request."""
    size = len(data) - at
    target = data.find(b" ", at, at + _MAX_METHOD_LENGTH) + 1
    if target and data.startswith(_AUTHZ, target):
        after = target + len(_AUTHZ)
        return after == len(data) or data[after] in _AFTER_PREFIX
    for start in _PREFIXES:
        if data.startswith(start, at):
            return size == len(start) or data[at + len(start)] in _AFTER_PREFIX
    return size < _MAX_PREFIX_LENGTH and any(start.startswith(data[at:]) for start in _PREFIXES)
