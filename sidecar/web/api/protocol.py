"""uvicorn's protocol with limits. It serves everything except plain gate and watch requests.

It adds to uvicorn's protocol:

- One request at a time is parsed. Pipelined requests stay in a buffer until the response is sent and the
  client has read it. Then they share the event loop with those of other connections (`FairQueue`).
- The size of a head and the time to send it are limited.
- An ``Upgrade`` header is ignored, as RFC 9110, section 7.8 allows: the request is served by HTTP/1.1.
- A client that half-closes its connection still gets its responses.
- A command that arrives with all of its body is served without ASGI (`whole_request`). Some clients send head
  and body apart, and Alertmanager sends pieces of 4 kB: the rest may come a moment later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sidecar.web.asgi_messages import Scope
from sidecar.web.gate.plans import ListenerAccess
from sidecar.web.tls import certificate_authorities_of

from .connection_context import ConnectionContext, ConnectionFlow
from .limited_parser import CLOSE, LimitedParser
from .whole_request import Commands, read_whole

_MAX_PIPELINED_BYTES = 16_384
_REST_SECS = 0.01
"""How long the rest of a command's body may take. Then the application reads it as it arrives."""


class ApiProtocol(LimitedParser):
    """A connection with requests that `GateProtocol` does not serve.

    Args:
        context: the state that connections share.
        access: the access of requests without a credential.
    """

    def __init__(self, context: ConnectionContext, access: ListenerAccess) -> None:
        uvicorn: dict[str, Any] = {
            **context.uvicorn,
            "app_state": {**context.uvicorn["app_state"], "access": access, "connection": self},
        }
        super().__init__(context, uvicorn)
        self.queued = False
        self._body_held = 0
        self._read_paused = False
        self._eof = False
        self._check_access: Callable[[], None] | None = None
        self._disconnected: Callable[[], None] | None = None
        # The ASGI scope of the request that is served without ASGI, as the application reads it.
        self._command: Scope | None = None
        self._ends_after_command = False
        # Set while the beginning of a command is buffered and its rest is expected very soon.
        self._rest_timer: asyncio.TimerHandle | None = None
        self._whole_bytes = 0
        self._rest_is_late = False

    # -- called by the transport ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to serve."""
        super().connection_made(transport)
        self.flow: ConnectionFlow = ConnectionFlow(transport, self._continue_serving)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        super().connection_lost(exc)
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        self._unanswered = []
        self._stop_rest_timer()
        self._buffer, self._start = b"", 0
        self._context.budget.set(self, 0)
        if self._disconnected is not None:
            self._disconnected()
        # Drop the references to the protocol. Without a cycle, the garbage collector has no work.
        self.flow.detach()
        self._refusal = self._check_access = self._disconnected = None
        # Restore the state before the first request.
        self.scope = self.cycle = None  # type: ignore[assignment]
        self.app_state = {}

    def data_received(self, data: bytes) -> None:
        """Buffer ``data``, and parse the next request unless an earlier one is not answered yet."""
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        self._buffer = self._buffer[self._start :] + data if self._buffer else data
        self._start = 0
        if self._rest_timer is not None:
            if len(self._buffer) < self._whole_bytes:
                return
            self._stop_rest_timer()
        if not self.queued and self.serve_next():
            self._context.queue.add(self)
        self._update_flow_control()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has sent everything; return whether the connection stays open.

        It stays open until all requests are answered. A waiting request is abandoned, because a closed socket
        looks the same.
        """
        self._expect_no_rest()
        if self._check_access is not None or self.transport.get_extra_info("ssl_object") is not None:
            return False
        self._eof = self._must_answer() or self._can_parse()
        if self._eof:
            self._context.queue.add(self)
        return self._eof

    def pause_writing(self) -> None:
        """The client does not read."""
        self._slow_sweeps = 0
        super().pause_writing()
        self._update_flow_control()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._continue_serving()

    # -- called by the fast path, the application and the queue -----------------------------------

    def wait(self, check_access: Callable[[], None], disconnected: Callable[[], None] | None = None) -> None:
        """Mark the current request as waiting.

        Until it is answered, it ends when the client half-closes its connection.

        Args:
            check_access: called when credentials change.
            disconnected: called when the connection has ended.
        """
        self._check_access = check_access
        self._disconnected = disconnected
        if self._eof:
            self.transport.close()

    @property
    def has_whole_request(self) -> bool:
        """Whether the last byte of the current request has arrived."""
        return not self._in_message

    def abort(self) -> None:
        """End the connection at once, because a response cannot be completed."""
        self.transport.abort()

    def set_body_size(self, size: int) -> None:
        """Set how many bytes of an incomplete request body the application holds."""
        self._body_held = size
        self._update_budget()

    def drop(self) -> None:
        """End the connection at once: its client sends too much or reads too slowly."""
        self._context.count_refusal("too-slow")
        self.transport.abort()

    def check_access(self) -> None:
        """End the waiting request if its client has lost access. Called after credentials changed."""
        if self._check_access is not None:
            self._check_access()

    def check_authorities(self, trusted: frozenset[bytes]) -> None:
        """Distrust the client's certificate if a removed certificate authority signed it.

        Args:
            trusted: the certificate authorities that are trusted now, each in DER.
        """
        authorities = certificate_authorities_of(self.transport)
        if authorities and not authorities & trusted:
            self._expect_no_rest()
            self.app_state["access"] = self._context.untrusted
            if self._command is not None:
                self._command["state"]["access"] = self._context.untrusted
                self._ends_after_command = True
            elif self._unanswered:
                for cycle in self._unanswered:
                    cycle.scope["state"]["access"] = self._context.untrusted
                    cycle.keep_alive = False
                self.check_access()
            else:
                self.transport.close()

    def sweep(self, secs: float) -> None:
        """End the connection if its client is too slow. Called every ``secs`` seconds."""
        limits = self._context.limits
        self._slow_sweeps += 1
        slow_for = (self._slow_sweeps - 1) * secs
        answered = self.cycle is not None and self.cycle.response_complete
        sends_slowly = (
            self._in_head or (self._in_message and answered)
        ) and slow_for >= limits.header_timeout_secs
        reads_slowly = (
            self.flow is not None and self.flow.write_paused and slow_for >= limits.write_timeout_secs
        )
        if sends_slowly or reads_slowly:
            self.drop()

    def serve_next(self) -> bool:
        """Parse the next piece of the buffer; return whether another piece can be parsed now."""
        more = self._can_parse()
        if more:
            self._unset_keepalive_if_required()
            if not self._serve_command():
                self._parse(self._next_piece())
            more = self._can_parse()
        if not more and self._eof and not self._must_answer():
            self.transport.close()
        self._update_flow_control()
        return more

    def shutdown(self) -> None:
        """The server shuts down: the connection ends after the current response."""
        self._expect_no_rest()
        if self._command is not None:
            self._ends_after_command = True
        else:
            super().shutdown()

    # -- commands ---------------------------------------------------------------------------------

    def _serve_command(self) -> bool:
        """Begin to serve the next request without ASGI, or wait for its rest, if it is a short command."""
        commands = self._context.commands
        if commands is None or self._in_message:
            return False
        if self._rest_is_late:
            self._rest_is_late = False
            return False
        limits = self._context.limits
        request = read_whole(self._buffer, self._start, limits.max_header_bytes, limits.max_body_bytes)
        if request is None or not commands.takes(request.path):
            return False
        if request.end > len(self._buffer):
            self._whole_bytes = request.end - self._start
            if self._whole_bytes > _MAX_PIPELINED_BYTES or self._eof:
                return False
            self._rest_timer = self.loop.call_later(_REST_SECS, self._expect_no_rest)
            return True
        if request.end == len(self._buffer):
            self._buffer, self._start = b"", 0
        else:
            self._start = request.end
        self._slow_sweeps = 0
        self._command = request.scope(self.client, self.app_state.copy())
        task = self.loop.create_task(self._run_command(commands, self._command, request.body))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        return True

    def _expect_no_rest(self) -> None:
        """If the rest of a command was expected, stop waiting for it, and let ASGI read it as it arrives."""
        if self._rest_timer is None:
            return
        self._stop_rest_timer()
        self._rest_is_late = True
        if not self.queued and self.serve_next():
            self._context.queue.add(self)

    def _stop_rest_timer(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    async def _run_command(self, commands: Commands, scope: Scope, body: bytes) -> None:
        response, ends = await commands.respond(scope, body)
        self._command = None
        ends = ends or self._ends_after_command
        if not self.transport.is_closing():
            self.transport.write(response.to_bytes(self._context.date, connection=CLOSE if ends else b""))
            if ends:
                self.transport.close()
        self.on_response_complete()

    # -- flow -------------------------------------------------------------------------------------

    def _continue_serving(self) -> None:
        """Continue: a request was answered, its body was consumed, or the client reads again."""
        if self._buffer or self._eof:
            self._context.queue.add(self)
        self._update_flow_control()

    def _must_answer(self) -> bool:
        """Whether a complete request is not answered yet."""
        if self._command is not None:
            return True
        return self.cycle is not None and not self.cycle.response_complete and not self._in_message

    def _can_parse(self) -> bool:
        return (
            len(self._buffer) > self._start
            and self.parser is not None
            and not self._is_refused
            and not self.transport.is_closing()
            and not self._must_answer()
            and self._rest_timer is None
            and not self.flow.read_paused
            and not self.flow.write_paused
        )

    def _update_flow_control(self) -> None:
        """Pause or resume reading, and update the buffer budget."""
        held = self.flow.write_paused or len(self._buffer) - self._start > _MAX_PIPELINED_BYTES
        if held != self._read_paused and not self.transport.is_closing():
            self._read_paused = held
            # After the end of input, do not resume reading: the end would be reported again.
            if held and not self._eof:
                self.transport.pause_reading()
            elif not self._eof:
                self.transport.resume_reading()
            self._update_budget()

    def _update_budget(self) -> None:
        size = len(self._buffer) - self._start + self._body_held
        if self.flow.write_paused:
            size += self.transport.get_write_buffer_size()
        self._context.budget.set(self, size)

    # -- called by uvicorn ------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """A response is written."""
        self._check_access = self._disconnected = None
        self._unanswered = [cycle for cycle in self._unanswered if not cycle.response_complete]
        super().on_response_complete()
        if self._refusal is not None and self.cycle.response_complete and not self.transport.is_closing():
            self._write_refusal(self._refusal)
            return
        self._continue_serving()
