"""Which outcomes the middlewares record for admitted requests. The gate is open, and there is no sidecar."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from sidecar.client import Gate
from sidecar.client.asgi import GateMiddleware as AsgiMiddleware
from sidecar.client.wsgi import GateMiddleware as WsgiMiddleware

Application = Callable[[Any, Any, Any], Awaitable[None]]


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate("unix:/nowhere/at/all", report_secs=0, unreachable="open") as gate:
        gate._decided.wait()
        yield gate


def outcomes(gate: Gate) -> tuple[int, int]:
    return gate.counts["succeeded"], gate.counts["failed"]


def answers(status: int, *chunks: bytes, then: BaseException | None = None) -> Application:
    """An application that responds, and may raise afterwards; status 0: it does not respond."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if status:
            await send({"type": "http.response.start", "status": status, "headers": []})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if then is not None:
            raise then

    return application


def ask(gate: Gate, application: Application, send: Any = None) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    async def take(message: dict[str, Any]) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    asyncio.run(AsgiMiddleware(application, gate)(scope, receive, send or take))


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, (1, 0)), (404, (1, 0)), (429, (1, 0)), (499, (1, 0)), (500, (0, 1)), (503, (0, 1)), (0, (0, 0))],
)
def test_the_status_of_an_asgi_response_determines_the_outcome(
    gate: Gate, status: int, expected: tuple[int, int]
) -> None:
    ask(gate, answers(status, b"x"))
    assert outcomes(gate) == expected


@pytest.mark.parametrize("status", [0, 200, 500])
def test_an_exception_of_an_asgi_application_is_one_failure_even_in_the_middle_of_a_stream(
    gate: Gate, status: int
) -> None:
    with pytest.raises(ZeroDivisionError):
        ask(gate, answers(status, b"x" if status else b"", then=ZeroDivisionError()))
    assert outcomes(gate) == (0, 1)


def test_an_asgi_request_whose_client_disconnects_has_no_outcome(gate: Gate) -> None:
    async def gone(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        ask(gate, answers(200, b"x"), gone)
    with pytest.raises(asyncio.CancelledError):
        ask(gate, answers(200, b"x", then=asyncio.CancelledError()))
    assert outcomes(gate) == (0, 0)


def test_a_disconnect_is_recognised_in_the_exception_of_a_framework(gate: Gate) -> None:
    class FrameworkError(Exception):
        pass

    def translating(application: Application) -> Application:
        async def translated(scope: Any, receive: Any, send: Any) -> None:
            try:
                await application(scope, receive, send)
            except OSError:
                raise FrameworkError  # noqa: B904 - as frameworks do

        return translated

    def grouping(application: Application) -> Application:
        async def grouped(scope: Any, receive: Any, send: Any) -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(application(scope, receive, send))

        return grouped

    async def gone(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            raise ConnectionResetError

    with pytest.raises(FrameworkError):
        ask(gate, translating(answers(200, b"x")), gone)
    with pytest.raises(ExceptionGroup):
        ask(gate, grouping(answers(200, b"x")), gone)
    assert outcomes(gate) == (0, 0)


def test_a_connection_error_of_the_application_itself_is_a_failure(gate: Gate) -> None:
    with pytest.raises(ConnectionResetError):
        ask(gate, answers(200, b"x", then=ConnectionResetError()))
    assert outcomes(gate) == (0, 1)


def test_an_exception_of_send_means_that_the_client_disconnected(gate: Gate) -> None:
    def send(message: dict[str, Any]) -> Awaitable[None]:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        ask(gate, answers(200, b"x"), send)
    assert outcomes(gate) == (0, 0)


class Chunks:
    """The body of a WSGI response."""

    def __init__(self, *chunks: bytes, then: Exception | None = None) -> None:
        self.chunks, self.then, self.closed = chunks, then, 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.then:
            raise self.then

    def close(self) -> None:
        self.closed += 1


def serve(gate: Gate, application: Any, *, read: int = 99) -> list[bytes]:
    """Act as a WSGI server: read the body while the client is connected, and close it in any case."""
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/v1/chat/completions"}
    body = WsgiMiddleware(application, gate)(environ, lambda *_: None)
    try:
        return [chunk for chunk, _ in zip(body, range(read), strict=False)]
    finally:
        body.close()


@pytest.mark.parametrize(
    ("status", "expected"),
    [("200 OK", (1, 0)), ("404 Not Found", (1, 0)), ("500 Oh", (0, 1)), ("", (0, 0))],
)
@pytest.mark.parametrize("read", [99, 1])
def test_the_status_of_a_wsgi_response_determines_the_outcome_even_if_the_client_leaves(
    gate: Gate, status: str, expected: tuple[int, int], read: int
) -> None:
    chunks = Chunks(b"a", b"b")

    def application(environ: Any, start_response: Any) -> Chunks:
        if status:
            start_response(status, [])
        return chunks

    assert serve(gate, application, read=read) == [b"a", b"b"][:read]
    assert outcomes(gate) == expected
    assert chunks.closed == 1


def test_the_last_status_of_a_wsgi_response_counts(gate: Gate) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("500 Oh", [], (None, None, None))
        return [b"x"]

    serve(gate, application)
    assert outcomes(gate) == (0, 1)


@pytest.mark.parametrize("where", ["call", "middle"])
def test_an_exception_of_a_wsgi_application_is_one_failure(gate: Gate, where: str) -> None:
    def application(environ: Any, start_response: Any) -> Chunks:
        start_response("200 OK", [])
        if where == "call":
            raise ZeroDivisionError
        return Chunks(b"a", then=ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        serve(gate, application)
    assert outcomes(gate) == (0, 1)


def test_a_request_that_is_not_gated_has_no_outcome(gate: Gate) -> None:
    async def main() -> None:
        scope = {"type": "http", "method": "GET", "path": "/health", "headers": []}
        await AsgiMiddleware(answers(500), gate)(scope, None, lambda _: asyncio.sleep(0))

    asyncio.run(main())
    assert outcomes(gate) == (0, 0)
