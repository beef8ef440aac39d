"""The ASGI application: all routes, and gate and watch requests that the fast path does not serve."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from sidecar.auth import Role
from sidecar.clock import Clock
from sidecar.gates.admission_control import ClientDemand
from sidecar.gates.gate import Ending, ScopeGate, Waiter
from sidecar.trace_context import parse_traceparent
from sidecar.web.api.admit import AdmitRequest, admit_response
from sidecar.web.api.command_routes import CommandRoutes
from sidecar.web.api.events import EVENTS, stream_events
from sidecar.web.api.metrics import METRICS, send_metrics
from sidecar.web.gate.authz import AUTHZ
from sidecar.web.gate.requests import (
    ADMIT,
    GATE,
    PRIORITY_HEADER,
    WATCH,
    GateRequest,
    check_parameters,
    is_dry_run,
    scope_of,
)
from sidecar.web.gate.requests import READY as GATE_READY

from .gate.responses import ended_response, ready_response, snapshot_response
from .guard import FORM_ROUTES, OPEN_ROUTES, ROUTE_ROLES, Guard, refuse_cross_site, route_of, scope_in
from .local_actor import with_local_actor
from .problems import Problem
from .responses import HttpResponse, problem_response, text_response
from .retry_after import retry_after
from .service import Service
from .ui.problem_page import is_page, problem_page

if TYPE_CHECKING:
    from sidecar.metrics import Exposition

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

T = TypeVar("T")

READY = "/-/ready"
_ALERTS = "/v1/alerts"
_PROBES = ("/-/healthy", READY)
_WSGI_THREADS = 4
"""Threads that render large responses compete with the event loop for the interpreter."""
_LOAD_AFTER_SECS = 0.3


class LazyLoad(Generic[T]):
    """Loads a component in a thread on first use. The gate does not need these components.

    Args:
        make: creates the component.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: asyncio.Future[T] | None = None

    def load(self) -> asyncio.Future[T]:
        """Start to load, unless it is loaded or loading. A failed load is tried again."""
        made = self._made
        if made is None or (made.done() and made.exception() is not None):
            made = self._made = asyncio.get_running_loop().run_in_executor(None, self._make)
        return made

    async def get(self) -> T:
        """Return the component once it is loaded. Raises what ``make`` raises; the next call tries again."""
        return await asyncio.shield(self.load())


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
        """Credentials changed: end the request if its client has lost access."""
        if not self.revoked.done() and self.refusal is not None:
            self.revoked.set_result(None)


class Application:
    """The ASGI application that uvicorn's protocol calls.

    Args:
        service: started and stopped with the server.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._commands = CommandRoutes(service)
        self._exposition = LazyLoad(lambda: _load_exposition(service))
        self._api = LazyLoad(lambda: _load_api(service))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve_safely(scope, receive, send)

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.service.start()
        except Exception as error:  # noqa: BLE001 - any error means that the sidecar cannot start
            logger.critical("start_failed", extra={"fields": {"error": str(error)}})
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        await send({"type": "lifespan.startup.complete"})
        # Gates are served first. Metrics are loaded soon after, so that Prometheus does not wait for them.
        loading = asyncio.get_running_loop().call_later(_LOAD_AFTER_SECS, self._exposition.load)
        await receive()
        loading.cancel()
        await self.service.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve_safely(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; answer 500 if anything unexpected is raised."""
        started = False

        async def send_and_record(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._serve(scope, receive, send_and_record)
        except Exception:  # noqa: BLE001 - recorded with its traceback
            self.service.fast_path.record_failure("request")
            if started:
                # The response is incomplete. Only a closed connection shows this to the client.
                scope["state"]["connection"].abort()
                return
            await _send(send, problem_response(_internal_error()), connection="close")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = route_of(scope["path"])
        try:
            await self._admit(scope, route)
            if await self._serve_in_loop(scope, route, receive, send):
                return
            method = self._commands.method_of(route, scope["path"])
            if method is not None:
                _require_method(scope, method)
            body = await self._read(scope, receive)
            if body is not None:
                self._check_access_again(scope, route)
        except Problem as problem:
            self._count(problem, route, scope)
            # The rest of the body is not read.
            await _send(send, self._refusal(problem, route, scope), connection="close")
            return
        if body is None:
            return
        if route is not None and method is not None:
            await _send(send, await self._serve_command(route, scope, body))
            return
        api = await self._api.get()
        await api(_with_content_length(scope, body), _replay(body, receive), send)

    async def _serve_in_loop(self, scope: Scope, route: str | None, receive: Receive, send: Send) -> bool:
        """Serve ``route`` if it needs no body; return whether it was served."""
        if route in (GATE, WATCH, AUTHZ):
            await self._serve_gate(scope, route, receive, send)
        elif route == ADMIT:
            _require_method(scope, "GET")
            await self._serve_admit(scope, receive, send)
        elif route == GATE_READY:
            _require_method(scope, "GET", "HEAD")
            await _send(send, self._gate_ready(scope))
        elif route == EVENTS:
            _require_method(scope, "GET")
            await self._serve_events(scope, receive, send)
        elif route == METRICS:
            _require_method(scope, "GET", "HEAD")
            await send_metrics(await self._exposition.get(), scope["headers"], send)
        elif route in _PROBES:
            _require_method(scope, "GET", "HEAD")
            await _send(send, self._probe(scope["path"]))
        else:
            return False
        return True

    async def _serve_command(self, route: str, scope: Scope, body: bytes) -> HttpResponse:
        try:
            identity = with_local_actor(scope["state"]["identity"], scope["headers"], scope.get("client"))
            if route == _ALERTS and is_dry_run(scope["query_string"].decode("ascii")):
                return await self._commands.explain(body, identity)
            return await self._commands.respond(route, scope["path"], body, identity, _peer(scope))
        except Problem as problem:
            self._count(problem, route, scope)
            return problem_response(problem)

    def _refusal(self, problem: Problem, route: str | None, scope: Scope) -> HttpResponse:
        if not is_page(route, scope["headers"]):
            return problem_response(problem)
        has_passwords = self.service.guard.keyring.has_passwords
        return problem_page(problem, scope["path"], scope["headers"], has_passwords=has_passwords)

    def _count(self, problem: Problem, route: str | None, scope: Scope) -> None:
        fast_path = self.service.fast_path
        fast_path.count_refusal(problem.name)
        if route == _ALERTS:
            fast_path.refusal_log.log_refused_webhook(problem, _peer(scope))

    def _probe(self, path: str) -> HttpResponse:
        if path == READY and not self.service.ready:
            detail = "the sidecar is starting or shutting down"
            raise Problem("shutting-down", detail, headers=retry_after(1))
        return text_response(f"The wellbeing sidecar is {path.removeprefix('/-/')}.\n")

    async def _admit(self, scope: Scope, route: str | None) -> None:
        """Identify the client, or refuse the request."""
        headers = scope["headers"]
        given = [value for name, value in headers if name == b"authorization"]
        repeats_client = route == AUTHZ
        if len(given) > 1:
            if not repeats_client:
                raise Problem("unauthorized", "there is more than one Authorization header")
            given = []
        try:
            identity = await self.service.guard.admit(
                scope["state"]["access"],
                given[0] if given else None,
                route,
                scope_in(scope["path"], route),
                _peer(scope),
            )
        except Problem:
            if route == _ALERTS:
                self.service.controller.counters.notifications["unauthorized"] += 1
            raise
        scope["state"]["identity"] = identity
        if repeats_client:
            # Method, query and headers come from the proxy's client, and the request changes nothing.
            return
        if scope["method"] not in ("GET", "HEAD"):
            refuse_cross_site(
                headers,
                identity,
                external_url=self.service.config.external_url,
                form=route in FORM_ROUTES,
            )
        if not scope["query_string"].isascii():
            detail = "the query string has bytes outside ASCII: percent-encode them"
            raise Problem("invalid-parameter", detail)
        check_parameters(route, scope["query_string"].decode("ascii"))

    def _check_access_again(self, scope: Scope, route: str | None) -> None:
        """Refuse a client that lost its access while its body arrived."""
        role = ROUTE_ROLES.get(route) if route else None
        if route in OPEN_ROUTES:
            return
        state = scope["state"]
        where = scope_in(scope["path"], route)
        problem = self.service.guard.refusal(state["access"], state["identity"], where, role)
        if problem is not None:
            raise problem

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        limits = self.service.config.limits
        record_size = scope["state"]["connection"].set_body_size
        try:
            async with asyncio.timeout(limits.body_timeout_secs):
                return await _read(receive, limits.max_body_bytes, record_size)
        except TimeoutError:
            detail = f"the body took longer than {limits.body_timeout_secs:g} s (limits.body_timeout_secs)"
            raise Problem("too-slow", detail) from None
        finally:
            record_size(0)

    # -- events -----------------------------------------------------------------------------------

    async def _serve_events(self, scope: Scope, receive: Receive, send: Send) -> None:
        controller = self.service.controller
        path = scope_of(scope["path"], EVENTS)
        request = OpenRequest(self.service.guard, scope["state"], Role.VIEWER, path)
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

    async def _serve_admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = AdmitRequest(scope["path"], scope["query_string"].decode("ascii"))
        open_request = OpenRequest(self.service.guard, scope["state"], Role.WORKER, request.scope)
        gate, _ = self.service.controller.tree.find(request.scope)
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answer() -> None:
            if not answered.done():
                answered.set_result(None)

        demand = ClientDemand(request.client, request.waiting, gate, answer)
        admission = self.service.controller.waiting_room.admission
        if admission.demand(demand):
            scope["state"]["connection"].wait(open_request.check_access)
            disconnected: asyncio.Future[Any] = asyncio.ensure_future(_wait_for_disconnect(receive))
            try:
                await asyncio.wait(
                    {answered, disconnected, open_request.revoked},
                    timeout=request.wait,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                disconnected.cancel()
                admission.withdraw(demand)
            if open_request.revoked.done():
                raise open_request.refusal or Problem("unauthorized", "the access was revoked")
            if not answered.done() and disconnected.done():
                return
        await _send(send, admit_response(demand))

    # -- gate and watch ---------------------------------------------------------------------------

    async def _serve_gate(self, scope: Scope, route: str, receive: Receive, send: Send) -> None:
        try:
            if route != AUTHZ:
                _require_method(scope, "GET", "HEAD")
            response = await self._gate_response(scope, receive)
        except Problem as problem:
            self.service.fast_path.count_refusal(problem.name)
            response = problem_response(problem)
        if response is not None:
            # A proxy may announce its client's body and not send it. Then the next request would be read as
            # the body.
            await _send(send, response, "close" if route == AUTHZ and _has_body(scope) else None)

    def _gate_ready(self, scope: Scope) -> HttpResponse:
        wanted = scope_of(scope["path"], GATE_READY)
        gate, path = self.service.controller.tree.find(wanted)
        if path is not None:
            self.service.fast_path.refusal_log.check_spelling(path, gate, lambda: _peer(scope))
        return ready_response(gate, path, self.service.clock.now())

    async def _gate_response(self, scope: Scope, receive: Receive) -> HttpResponse | None:
        if_none_match = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
        request = GateRequest(
            scope["path"],
            scope["query_string"].decode("latin-1"),
            if_none_match.decode("latin-1") or None,
            parse_traceparent([value for name, value in scope["headers"] if name == b"traceparent"]),
            _priority_header(scope),
        )
        gate, path = self.service.controller.tree.find(request.scope)
        if path is not None:
            self.service.fast_path.refusal_log.check_spelling(path, gate, lambda: _peer(scope))
        waiting_room = self.service.controller.waiting_room
        open_request = OpenRequest(self.service.guard, scope["state"], Role.WORKER, request.scope)
        waiter = _AsgiWaiter(open_request, request, self.service.clock)
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
            return ended_response(request, ending, gate, path, self.service.clock.now())
        scope["state"]["connection"].wait(open_request.check_access)
        return await self._wait(waiter, receive)

    async def _wait(self, waiter: _AsgiWaiter, receive: Receive) -> HttpResponse | None:
        waiting_room = self.service.controller.waiting_room
        disconnected: asyncio.Future[Any] = asyncio.ensure_future(_wait_for_disconnect(receive))
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


def _load_exposition(service: Service) -> Exposition:
    from sidecar.metrics import Exposition  # noqa: PLC0415

    return Exposition(service)


def _load_api(service: Service) -> Any:  # noqa: ANN401 - a2wsgi's types are narrower than those of ASGI
    # Flask makes the process a third larger, and many sidecars never use it.
    from a2wsgi import WSGIMiddleware  # noqa: PLC0415

    from sidecar.web.api.flask_app import create_api  # noqa: PLC0415

    return WSGIMiddleware(cast("Any", create_api(service)), workers=_WSGI_THREADS)


class _AsgiWaiter(Waiter):
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


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, response: HttpResponse, connection: str | None = None) -> None:
    headers = [
        (name.lower().encode(), value.encode("latin-1", "replace")) for name, value in response.headers
    ]
    headers.append((b"x-content-type-options", b"nosniff"))
    if response.status != 304:  # noqa: PLR2004 - Not Modified has no body and so no length
        headers.append((b"content-length", str(len(response.body)).encode()))
    if connection:
        headers.append((b"connection", connection.encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _internal_error() -> Problem:
    return Problem("internal-error", "the sidecar failed; its log has the reason")


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unix socket"


async def _read(receive: Receive, limit: int, record_size: Callable[[int], None]) -> bytes | None:
    """The body, at most ``limit`` bytes; None: the client disconnected. ``record_size`` gets each size."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise Problem("body-too-large", f"the body is longer than {limit} bytes (limits.max_body_bytes)")
        parts.append(part)
        record_size(size)
        if not message.get("more_body", False):
            return b"".join(parts)


def _has_body(scope: Scope) -> bool:
    """Whether a body follows the head of the request."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _require_method(scope: Scope, *methods: str) -> None:
    if scope["method"] not in methods:
        allowed = ", ".join(methods)
        detail = f"{ascii(scope['path'])[:200]} takes {allowed}"
        raise Problem("method-not-allowed", detail, headers={"Allow": allowed})


def _with_content_length(scope: Scope, body: bytes) -> Scope:
    headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"transfer-encoding")]
    return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}


def _replay(body: bytes, receive: Receive) -> Receive:
    parts: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> MutableMapping[str, Any]:
        return parts.pop() if parts else await receive()

    return replay
