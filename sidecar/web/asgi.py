"""The ASGI application: admits each request, and calls the handler of its route."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, cast

from sidecar.web.api.command_routes import CommandRoutes
from sidecar.web.api.events import EVENTS
from sidecar.web.api.metrics import METRICS, send_metrics
from sidecar.web.gate.authz import AUTHZ
from sidecar.web.gate.requests import ADMIT, GATE, WATCH, check_parameters, is_dry_run
from sidecar.web.gate.requests import READY as GATE_READY

from .asgi_messages import (
    Receive,
    Scope,
    Send,
    peer_of,
    read_body,
    replay_body,
    require_method,
    send_response,
    with_content_length,
)
from .guard import FORM_ROUTES, OPEN_ROUTES, ROUTE_ROLES, refuse_cross_site, route_of, scope_in
from .lazy_load import LazyLoad
from .local_actor import with_local_actor
from .problems import Problem
from .responses import HttpResponse, problem_response, text_response
from .retry_after import retry_after
from .service import Service
from .ui.problem_page import is_page, problem_page
from .waiting_routes import WaitingRoutes

if TYPE_CHECKING:
    from sidecar.metrics import Exposition

logger = logging.getLogger(__name__)

READY = "/-/ready"
_ALERTS = "/v1/alerts"
_PROBES = ("/-/healthy", READY)
_WSGI_THREADS = 4
"""Threads that render large responses compete with the event loop for the interpreter."""
_LOAD_AFTER_SECS = 0.3


class Application:
    """The ASGI application that uvicorn's protocol calls.

    Args:
        service: started and stopped with the server.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._commands = CommandRoutes(service)
        self._waiting = WaitingRoutes(service)
        self._exposition = LazyLoad(lambda: _load_exposition(service))
        self._api = LazyLoad(lambda: _load_api(service))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve_safely(scope, receive, send)

    def takes(self, path: str) -> bool:
        """Whether `respond` serves ``path`` without ASGI."""
        route = route_of(path)
        return route == ADMIT or self._commands.method_of(route, path) is not None

    async def respond(self, scope: Scope, body: bytes) -> tuple[HttpResponse, bool]:
        """Serve a command, or a client's request for a share, that has arrived with all of its body.

        Args:
            scope: the request, as in ASGI. `takes` has accepted its path.
            body: its body.

        Returns:
            The response, and whether the connection ends with it.
        """
        route = route_of(scope["path"])
        try:
            await self._admit(scope, route)
            self._check_access_again(scope, route)
            if route == ADMIT:
                require_method(scope, "GET")
                return await self._waiting.admit(scope), False
            require_method(scope, self._commands.method_of(route, scope["path"]) or "")
            return await self._serve_command(route or "", scope, [body]), False
        except Problem as problem:
            self._count(problem, route, scope)
            return problem_response(problem), True
        except Exception:  # noqa: BLE001 - recorded with its traceback
            self.service.fast_path.record_failure("request")
            return problem_response(_internal_error()), True

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.service.start()
        except Exception as error:  # noqa: BLE001 - any error means that the sidecar cannot start
            logger.critical("start_failed", extra={"fields": {"error": str(error)}})
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        await send({"type": "lifespan.startup.complete"})
        # Gates are served first. The metrics modules are loaded soon after, so that the first scrape does not
        # wait for them.
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
            await send_response(send, problem_response(_internal_error()), connection="close")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = route_of(scope["path"])
        try:
            await self._admit(scope, route)
            if await self._serve_in_loop(scope, route, receive, send):
                return
            method = self._commands.method_of(route, scope["path"])
            if method is not None:
                require_method(scope, method)
            body = await self._read(scope, receive)
            if body is not None:
                self._check_access_again(scope, route)
        except Problem as problem:
            self._count(problem, route, scope)
            # The handler has not read the rest of the body.
            await send_response(send, self._refusal(problem, route, scope), connection="close")
            return
        if body is None:
            return
        if route is not None and method is not None:
            await send_response(send, await self._serve_command(route, scope, body))
            return
        api = await self._api.get()
        whole = b"".join(body)
        await api(with_content_length(scope, whole), replay_body(whole, receive), send)

    async def _serve_in_loop(self, scope: Scope, route: str | None, receive: Receive, send: Send) -> bool:
        """Serve ``route`` if it needs no body; return whether it was served."""
        if route in (GATE, WATCH, AUTHZ):
            await self._waiting.serve_gate(scope, route, receive, send)
        elif route == ADMIT:
            require_method(scope, "GET")
            await send_response(send, await self._waiting.admit(scope))
        elif route == GATE_READY:
            require_method(scope, "GET", "HEAD")
            await send_response(send, self._waiting.gate_ready(scope))
        elif route == EVENTS:
            require_method(scope, "GET")
            await self._waiting.serve_events(scope, receive, send)
        elif route == METRICS:
            require_method(scope, "GET", "HEAD")
            await send_metrics(await self._exposition.get(), scope["headers"], send)
        elif route in _PROBES:
            require_method(scope, "GET", "HEAD")
            await send_response(send, self._probe(scope["path"]))
        else:
            return False
        return True

    async def _serve_command(self, route: str, scope: Scope, body: list[bytes]) -> HttpResponse:
        try:
            identity = with_local_actor(scope["state"]["identity"], scope["headers"], scope.get("client"))
            if route == _ALERTS and is_dry_run(scope["query_string"].decode("ascii")):
                return await self._commands.explain(body, identity)
            return await self._commands.respond(route, scope["path"], body, identity, peer_of(scope))
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
            fast_path.refusal_log.log_refused_webhook(problem, peer_of(scope))

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
                peer_of(scope),
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

    async def _read(self, scope: Scope, receive: Receive) -> list[bytes] | None:
        limits = self.service.config.limits
        connection = scope["state"]["connection"]
        if connection.has_whole_request:
            return await read_body(receive, limits.max_body_bytes, lambda _: None)
        record_size = connection.set_body_size
        try:
            async with asyncio.timeout(limits.body_timeout_secs):
                return await read_body(receive, limits.max_body_bytes, record_size)
        except TimeoutError:
            detail = f"the body took longer than {limits.body_timeout_secs:g} s (limits.body_timeout_secs)"
            raise Problem("too-slow", detail) from None
        finally:
            record_size(0)


def _load_exposition(service: Service) -> Exposition:
    from sidecar.metrics import Exposition  # noqa: PLC0415

    return Exposition(service)


def _load_api(service: Service) -> Any:  # noqa: ANN401 - a2wsgi's types are narrower than those of ASGI
    # Flask makes the process a third larger, and many sidecars never use it.
    from a2wsgi import WSGIMiddleware  # noqa: PLC0415

    from sidecar.web.api.flask_app import create_api  # noqa: PLC0415

    return WSGIMiddleware(cast("Any", create_api(service)), workers=_WSGI_THREADS)


def _internal_error() -> Problem:
    return Problem("internal-error", "the sidecar failed; its log has the reason")
