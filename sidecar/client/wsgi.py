"""WSGI middleware: requests wait at the gate, except for a few harmless ones.

`sidecar.client.asgi` has a class of the same name for ASGI applications: import the class from the module
that fits your server.

A waiting request occupies its thread and cannot detect a disconnected client: keep ``wait_secs`` short, and
provide enough threads.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sidecar.trace_context import parse_traceparent

from .errors import InferencePaused
from .gate import Gate
from .routing import SERVER_ERROR, GateSelector, priority_of_header, scope_of_header, scope_of_model
from .tracing import parent_from, with_traceparent

_MAX_MODEL_BYTES = 33_554_432

StartResponse = Callable[..., Any]
App = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class GateMiddleware:
    """WSGI middleware that puts the gate before an application.

    Args:
        app: the application.
        gate: an existing gate; None: create one from the settings.
        settings: the settings of `GateSelector` and `Settings`. The environment provides the missing ones.

    Raises:
        TypeError: there is no such setting.
        ValueError: an argument or a variable is not allowed.
    """

    def __init__(self, app: App, gate: Gate | None = None, **settings: Any) -> None:  # noqa: ANN401
        self._app = app
        self._selector = GateSelector(gate, **settings)
        self.gate = self._selector.gate

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        path = environ.get("PATH_INFO", "")
        if self._selector.is_gated(environ["REQUEST_METHOD"], path):
            gate = (
                self.gate if self._selector.has_one_gate else self._selector.gate_for(self._scope_of(environ))
            )
            try:
                trial = ""
                if not gate.pass_if_open():
                    with parent_from(_traceparent(environ), environ.get("HTTP_TRACESTATE", "")):
                        trial = gate.enter(None, self._priority_of(environ))
            except InferencePaused as paused:
                refusal = with_traceparent(self._selector.refusal(path, paused), _traceparent(environ))
                headers = [(name.title(), value) for name, value in refusal.headers]
                start_response("503 Service Unavailable", headers)
                return [refusal.body]
            return _ObservedResponse(self._app, environ, start_response, gate, trial)
        return self._app(environ, start_response)

    def _priority_of(self, environ: dict[str, Any]) -> int:
        header = self._selector.priority_header
        return priority_of_header(environ.get(_variable(header), "") if header else "")

    def _scope_of(self, environ: dict[str, Any]) -> str:
        if self._selector.header:
            named = environ.get(_variable(self._selector.header), "")
            if named:
                return scope_of_header(named)
        if not self._selector.from_model:
            return ""
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > _MAX_MODEL_BYTES:
            return ""
        body = environ["wsgi.input"].read(int(length))
        environ["wsgi.input"] = io.BytesIO(body)
        return scope_of_model(body)


class _ObservedResponse:
    """The response of the application; records whether the request succeeded, when it is sent.

    A status of 500 or above, or an exception, counts as a failure.
    """

    def __init__(
        self, app: App, environ: dict[str, Any], start_response: StartResponse, gate: Gate, trial: str
    ) -> None:
        self._gate = gate
        self._trial = trial
        self._status = ""
        self._recorded = False

        def observe(status: str, *arguments: Any) -> Any:  # noqa: ANN401 - WSGI's
            self._status = status
            return start_response(status, *arguments)

        try:
            self._chunks = app(environ, observe)
        except Exception:
            self._record(succeeded=False)
            raise

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except Exception:
            self._record(succeeded=False)
            raise

    def close(self) -> None:
        """The response was sent, or the client has gone."""
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        finally:
            status = self._status[:3]
            if status.isdigit():
                self._record(succeeded=int(status) < SERVER_ERROR)

    def _record(self, *, succeeded: bool) -> None:
        if not self._recorded:
            self._recorded = True
            self._gate.record_outcome(succeeded=succeeded, trial=self._trial)


def _variable(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def _traceparent(environ: dict[str, Any]) -> str | None:
    # Servers join the values of a repeated header, so the result is not valid.
    return parse_traceparent([environ.get("HTTP_TRACEPARENT", "")])
