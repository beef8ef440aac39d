"""The ASGI application: the second door to the gates, and the way to all else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from sidecar.gates.gate import Ending, Gate, Waiter
from sidecar.web.api.command_routes import CommandRoutes
from sidecar.web.api.events import EVENTS, stream_events
from sidecar.web.api.metrics import METRICS, send_metrics
from sidecar.web.gate.requests import GATE, WATCH, GateRequest, check_parameters, scope_of

from .gate.responses import ended_response, snapshot_response
from .guard import refuse_cross_site, route_of, scope_in
from .problems import Problem
from .responses import HttpResponse, problem_response, text_response
from .service import Service

if TYPE_CHECKING:
    from sidecar.metrics import Exposition

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

T = TypeVar("T")

READY = "/-/ready"
_PROBES = ("/-/healthy", READY)
_WSGI_THREADS = 32
_LOAD_AFTER_SECS = 0.3


class LazyLoad(Generic[T]):
    """What the gate does without: made by a thread when it is first asked for.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: asyncio.Future[T] | None = None

    def load(self) -> asyncio.Future[T]:
        """Begin to make it, unless it is there or being made; what failed is tried again."""
        made = self._made
        if made is None or (made.done() and made.exception() is not None):
            made = self._made = asyncio.get_running_loop().run_in_executor(None, self._make)
        return made

    async def get(self) -> T:
        """It, as soon as it is there.

        Raises:
            Problem: it could not be made; the next one who asks tries again.
        """
        try:
            return await asyncio.shield(self.load())
        except Exception as error:
            logger.exception("a part of the sidecar could not be loaded")
            raise Problem("internal-error", "the sidecar failed; its log tells why") from error


class Application:
    """What uvicorn's protocol calls.

    Args:
        service: started and stopped with the server.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._commands = CommandRoutes(service)
        self._exposition = LazyLoad(lambda: _exposition_of(service))
        self._api = LazyLoad(lambda: _api_of(service))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.service.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is why nothing starts
            logger.critical("start_failed", extra={"fields": {"error": str(error)}})
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        await send({"type": "lifespan.startup.complete"})
        # Gates are answered before there are metrics; Prometheus shall not wait for them either.
        loading = asyncio.get_running_loop().call_later(_LOAD_AFTER_SECS, self._exposition.load)
        await receive()
        loading.cancel()
        await self.service.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = route_of(scope["path"])
        try:
            await self._admit(scope, route)
            if route in (GATE, WATCH):
                await self._gate(scope, receive, send)
                return
            if route == EVENTS:
                _take_only(scope, "GET")
                controller = self.service.controller
                path = scope_of(scope["path"], EVENTS)
                await stream_events(path, controller.tree, controller.streams, receive, send)
                return
            if route == METRICS:
                _take_only(scope, "GET", "HEAD")
                await send_metrics(await self._exposition.get(), scope["headers"], send)
                return
            if route in _PROBES:
                _take_only(scope, "GET", "HEAD")
                await _send(send, self._probe(scope["path"]))
                return
            method = self._commands.method_of(route, scope["path"])
            if method is not None:
                _take_only(scope, method)
            body = await self._read(receive)
        except Problem as problem:
            self.service.fast_path.count_refusal(problem.name)
            # What has not been read of it is not read any more.
            await _send(send, problem_response(problem), connection="close")
            return
        if body is None:
            return
        if route is not None and method is not None:
            await _send(send, await self._command(route, scope, body))
            return
        try:
            api = await self._api.get()
        except Problem as problem:
            await _send(send, problem_response(problem))
            return
        await api(_sized(scope, body), _replay(body, receive), send)

    async def _command(self, route: str, scope: Scope, body: bytes) -> HttpResponse:
        try:
            return await self._commands.answer(route, scope["path"], body, scope["state"]["identity"])
        except Problem as problem:
            self.service.fast_path.count_refusal(problem.name)
            return problem_response(problem)
        except Exception:
            logger.exception("a request failed")
            return problem_response(Problem("internal-error", "the sidecar failed; its log tells why"))

    def _probe(self, path: str) -> HttpResponse:
        if path == READY and not self.service.ready:
            raise Problem("shutting-down", "the sidecar is starting or shutting down")
        return text_response(f"The wellbeing sidecar is {path.removeprefix('/-/')}.\n")

    async def _admit(self, scope: Scope, route: str | None) -> None:
        """Find out who it is, or refuse."""
        headers = scope["headers"]
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) > 1:
            raise Problem("unauthorized", "there is more than one Authorization header")
        client = scope.get("client")
        try:
            identity = await self.service.guard.admit(
                scope["state"]["access"],
                given[0] if given else None,
                route,
                scope_in(scope["path"], route),
                client[0] if client else "",
            )
        except Problem:
            if route == "/v1/alerts":
                self.service.controller.counters.notifications["unauthorized"] += 1
            raise
        if scope["method"] not in ("GET", "HEAD"):
            refuse_cross_site(headers, identity)
        if not scope["query_string"].isascii():
            detail = "the query string has bytes outside ASCII: percent-encode them"
            raise Problem("invalid-parameter", detail)
        check_parameters(route, scope["query_string"].decode("ascii"))
        scope["state"]["identity"] = identity

    async def _read(self, receive: Receive) -> bytes | None:
        limits = self.service.config.limits
        try:
            async with asyncio.timeout(limits.body_timeout_secs):
                return await _read(receive, limits.max_body_bytes)
        except TimeoutError:
            detail = f"the body took longer than {limits.body_timeout_secs:g} s (limits.body_timeout_secs)"
            raise Problem("too-slow", detail) from None

    # -- gate and watch ---------------------------------------------------------------------------

    async def _gate(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except Problem as problem:
            answer = problem_response(problem)
        if answer is not None:
            await _send(send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> HttpResponse | None:
        _take_only(scope, "GET", "HEAD")
        if_none_match = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
        request = GateRequest(
            scope["path"],
            scope["query_string"].decode("ascii"),
            if_none_match.decode("latin-1") or None,
        )
        gate, path = self.service.controller.tree.find(request.scope)
        waiting_room = self.service.controller.waiting_room
        waiter = _AsgiWaiter()
        secs = request.wait_secs(gate.policy.wait_timeout_secs)
        if request.watch:
            if not request.knows(gate.version):
                return snapshot_response(gate, path)
            ending = waiting_room.watch(waiter, gate, path, secs)
        else:
            gate.requests += 1
            if not gate.closed:
                return snapshot_response(gate, path)
            ending = waiting_room.request(waiter, gate, path, secs)
        if ending is not None:
            return ended_response(request, ending, gate, path, self.service.clock.now())
        return await self._wait(request, waiter, receive)

    async def _wait(self, request: GateRequest, waiter: _AsgiWaiter, receive: Receive) -> HttpResponse | None:
        departed: asyncio.Future[Any] = asyncio.ensure_future(_departure(receive))
        ended: asyncio.Future[Any] = waiter.ended
        try:
            await asyncio.wait({ended, departed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            departed.cancel()
            self.service.controller.waiting_room.abandon(waiter)
        if not waiter.ended.done():
            return None
        ending, gate = waiter.ended.result()
        return ended_response(request, ending, gate, waiter.path, self.service.clock.now())


def _exposition_of(service: Service) -> Exposition:
    from sidecar.metrics import Exposition  # noqa: PLC0415

    return Exposition(service)


def _api_of(service: Service) -> Any:  # noqa: ANN401 - a2wsgi's own types are narrower than anybody's
    # With Flask the process is a third larger, and many a sidecar is never looked at by a person.
    from a2wsgi import WSGIMiddleware  # noqa: PLC0415

    from sidecar.web.api.flask_app import create_api  # noqa: PLC0415

    return WSGIMiddleware(cast("Any", create_api(service)), workers=_WSGI_THREADS)


class _AsgiWaiter(Waiter):
    """A wait that came through uvicorn's protocol."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.gate = None
        self.account = None
        self.ended: asyncio.Future[tuple[Ending, Gate]] = asyncio.get_running_loop().create_future()

    def end(self, ending: Ending, gate: Gate) -> None:
        """Wake the handler, which answers."""
        if not self.ended.done():
            self.ended.set_result((ending, gate))


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, answer: HttpResponse, connection: str | None = None) -> None:
    headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in answer.headers]
    headers.append((b"x-content-type-options", b"nosniff"))
    if answer.status != 304:  # noqa: PLR2004 - Not Modified has no body to tell the length of
        headers.append((b"content-length", str(len(answer.body)).encode()))
    if connection:
        headers.append((b"connection", connection.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The whole body, at most ``limit`` bytes; None: the client went away."""
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
        if not message.get("more_body", False):
            return b"".join(parts)


def _take_only(scope: Scope, *methods: str) -> None:
    if scope["method"] not in methods:
        allowed = ", ".join(methods)
        detail = f"{ascii(scope['path'])[:200]} takes {allowed}"
        raise Problem("method-not-allowed", detail, headers={"Allow": allowed})


def _sized(scope: Scope, body: bytes) -> Scope:
    headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"transfer-encoding")]
    return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}


def _replay(body: bytes, receive: Receive) -> Receive:
    parts: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> MutableMapping[str, Any]:
        return parts.pop() if parts else await receive()

    return replay
