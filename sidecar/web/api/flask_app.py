"""The Flask application: status, history, the pages, OpenAPI and reload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import BaseConverter

from sidecar.auth import Identity
from sidecar.config import ConfigError
from sidecar.json_pieces import dump_in_pieces
from sidecar.runtime.garbage import collection_paused
from sidecar.web.gate.requests import scope_of
from sidecar.web.guard import route_of
from sidecar.web.problems import CONTENT_TYPE, TITLES, Problem, header_fields
from sidecar.web.service import Service
from sidecar.web.ui.problem_page import is_page, problem_page
from sidecar.web.ui.views import PageViews

from .history import page_of, query_of
from .openapi import openapi
from .status import read_status


class _AnyPath(BaseConverter):
    """The rest of a path, including slashes. The view validates the scope."""

    regex = "(?s:.*)"
    part_isolating = False


def create_api(service: Service) -> Flask:
    """The WSGI application for ``service``."""
    api = Flask(__name__, static_folder=None)
    api.url_map.converters["rest"] = _AnyPath
    api.url_map.merge_slashes = False
    # OPTIONS gets 405 with an Allow header, as on all other routes.
    api.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    views = _Views(service)
    routes: tuple[tuple[str, str, Callable[[], Response]], ...] = (
        ("/v1/status", "GET", views.status),
        ("/v1/history", "GET", views.history),
        ("/openapi.json", "GET", views.openapi),
        ("/-/reload", "POST", views.reload),
    )
    api.add_url_rule("/problems/<name>", "problem", views.problem, methods=["GET"])
    for route, method, view in routes:
        api.add_url_rule(route, view.__name__, view, methods=[method])
        if route.startswith("/v1/"):
            api.add_url_rule(
                f"{route}/<rest:_scope>", f"{view.__name__}_in", _in_scope(view), methods=[method]
            )
    PageViews(service).add_to(api)
    api.register_error_handler(Problem, views.handle_problem)
    api.register_error_handler(HTTPException, _http_problem)
    api.register_error_handler(Exception, views.handle_exception)
    api.after_request(_no_store)
    api.wsgi_app = _pausing_collection(api.wsgi_app)  # type: ignore[method-assign]
    return api


def _pausing_collection(application: Callable[..., Any]) -> Callable[..., Any]:
    """``application``; no garbage is collected while one of its views runs.

    A view may read twenty thousand scopes, and each collection would scan every object that it has made. The
    view releases these objects soon.
    """

    def call(*arguments: Any) -> Any:  # noqa: ANN401 - those of WSGI
        with collection_paused(keeps_objects=False):
            return application(*arguments)

    return call


class _Views:
    """One method per route."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def status(self) -> Response:
        """``GET /v1/status[/scope]``."""
        scope = scope_of(request.path, "/v1/status")
        below = request.args.get("below", "false")
        if below not in ("true", "false"):
            raise Problem("invalid-parameter", f"below: must be true or false, got {ascii(below)[:80]}")
        return _json(self._status_of(scope, below=below == "true"))

    def _status_of(self, scope: str, *, below: bool) -> dict[str, Any]:
        service = self._service
        viewer: Identity = request.environ["asgi.scope"]["state"]["identity"]
        return read_status(
            service.call_in_loop,
            service.controller,
            service.engines,
            scope,
            visible=viewer.scope,
            below=below,
        )

    def history(self) -> Response:
        """``GET /v1/history[/scope]``."""
        query = query_of(scope_of(request.path, "/v1/history"), request.args)
        return _json(page_of(self._service.history(query), query))

    def openapi(self) -> Response:
        """``GET /openapi.json``."""
        return _json(openapi())

    def reload(self) -> Response:
        """``POST /-/reload``."""
        try:
            at_start = self._service.reload()
        except ConfigError as error:
            raise Problem("invalid-config", str(error)) from error
        later = f" At the next start only: {', '.join(at_start)}." if at_start else ""
        return Response(f"Reloaded.{later}\n", content_type="text/plain; charset=utf-8")

    def handle_problem(self, problem: Problem) -> Response:
        """The response to a problem that a view raised."""
        self._service.count_refusal(problem.name)
        scope = request.environ["asgi.scope"]
        if not is_page(route_of(scope["path"]), scope["headers"]):
            return _problem_response(problem)
        has_passwords = self._service.guard.keyring.has_passwords
        page = problem_page(problem, scope["path"], scope["headers"], has_passwords=has_passwords)
        return Response(page.body, page.status, list(page.headers))

    def handle_exception(self, _: Exception) -> Response:
        """Record any other exception of a view; the response is an internal error."""
        self._service.fast_path.record_failure("request")
        return _problem_response(Problem("internal-error", "the sidecar failed; its log has the reason"))

    def problem(self, name: str) -> Response:
        """``GET /problems/<name>``: the status and title of a problem type."""
        if name not in TITLES:
            raise NotFound
        status, title = TITLES[name]
        return _json({"type": request.path, "status": status, "title": title})


def _in_scope(view: Callable[[], Response]) -> Callable[..., Response]:
    def scoped(_scope: str) -> Response:
        return view()

    return scoped


def _json(value: Mapping[str, Any]) -> Response:
    # The response may contain twenty thousand scopes.
    chunks = list(dump_in_pieces(value))
    response = Response(chunks, content_type="application/json")
    response.content_length = sum(map(len, chunks))
    return response


def _problem_response(problem: Problem) -> Response:
    response = Response(problem.body, status=problem.status, content_type=CONTENT_TYPE)
    response.headers.extend(header_fields(problem, problem.challenges))
    return response


def _http_problem(error: HTTPException) -> Response:
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(set(error.valid_methods or ()) - {"OPTIONS"}))
        detail = f"{ascii(request.path)[:200]} takes {allowed}"
        return _problem_response(Problem("method-not-allowed", detail, headers={"Allow": allowed}))
    if isinstance(error, NotFound):
        return _problem_response(Problem("not-found", f"no route {ascii(request.path)[:200]}"))
    return _problem_response(Problem("invalid-body", error.description or error.name, status=error.code))


def _no_store(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers["X-Frame-Options"] = "DENY"
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    return response
