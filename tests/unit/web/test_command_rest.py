"""Commands that arrive in pieces are served without ASGI if the rest arrives soon, otherwise with ASGI."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from harness.in_loop import in_loop, until
from sidecar.config import LimitsConfig
from sidecar.supervision import Failures
from sidecar.web.api import protocol
from sidecar.web.api.protocol import ApiProtocol
from sidecar.web.asgi_messages import Receive, Scope, Send, read_body, send_response
from sidecar.web.buffer_budget import BufferBudget
from sidecar.web.fair_queue import FairQueue
from sidecar.web.responses import HttpResponse, text_response

HEAD = b"POST /v1/alerts HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n"
BODY = b"0123456789"


class Commands:
    """Responds with the body that it got."""

    def takes(self, path: str) -> bool:
        return path == "/v1/alerts"

    async def respond(self, _: Scope, body: bytes) -> tuple[HttpResponse, bool]:
        return text_response(f"whole {body.decode()}"), False


async def application(_: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(receive, 10**6, lambda _: None)
    if body is not None:
        await send_response(send, text_response(f"asgi {b''.join(body).decode()}"))


class Client:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ApiProtocol
    ) -> None:
        self.reader, self.writer, self.server = reader, writer, server

    async def send(self, data: bytes) -> None:
        """Send ``data``; return once the server has read it."""
        read = asyncio.Event()
        receive = self.server.data_received

        def data_received(chunk: bytes) -> None:
            receive(chunk)
            read.set()

        self.server.data_received = data_received  # type: ignore[method-assign]
        self.writer.write(data)
        await read.wait()
        del self.server.data_received

    async def response(self) -> str:
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        size = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return (await self.reader.readexactly(int(size))).decode()


@asynccontextmanager
async def connected(served: Any = application) -> AsyncIterator[Client]:
    loop = asyncio.get_running_loop()
    config = Config(served, log_config=None)  # type: ignore[arg-type]
    config.load()
    uvicorn: dict[str, Any] = {"config": config, "server_state": ServerState(), "app_state": {}}
    context = SimpleNamespace(
        limits=LimitsConfig(),
        loop=loop,
        uvicorn=uvicorn,
        date=b"Date: today\r\n",
        queue=FairQueue(loop, Failures()),
        budget=BufferBudget(),
        commands=Commands(),
        untrusted=None,
        count_refusal=lambda _: None,
    )
    ours, theirs = socket.socketpair()
    _, server = await loop.connect_accepted_socket(lambda: ApiProtocol(context, None), ours)  # type: ignore[arg-type]
    reader, writer = await asyncio.open_connection(sock=theirs)
    yield Client(reader, writer, server)
    writer.close()
    await writer.wait_closed()


@pytest.fixture(autouse=True)
def no_late_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of a command is never late unless a test sets a shorter time."""
    monkeypatch.setattr(protocol, "_REST_SECS", 3600.0)


@in_loop
async def test_a_request_learns_of_the_disconnect_of_its_client_despite_pipelined_requests() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/stream":
            await application(scope, receive, send)
            return
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    chunked = b"POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    following = b"".join(b"GET /%s HTTP/1.1\r\nHost: test\r\n\r\n" % path for path in (b"stream", b"x", b"x"))
    async with connected(endless) as client:
        await client.send(chunked)
        # The parser finds the end of the body only by parsing, so it also parses the requests that follow.
        await client.send(b"0\r\n\r\n" + following)
        await begun.wait()
        client.server.transport.abort()
    await asyncio.wait_for(ended.wait(), 5)


@in_loop
async def test_head_and_body_that_arrive_apart_are_one_command() -> None:
    async with connected() as client:
        for _ in range(3):
            await client.send(HEAD)
            await client.send(BODY)
            assert await client.response() == "whole 0123456789"


@in_loop
async def test_a_body_may_arrive_in_many_pieces_and_with_the_next_request() -> None:
    async with connected() as client:
        for byte in (HEAD + BODY)[len(HEAD) - 1 : -1]:
            if byte == ord("\n"):
                await client.send(HEAD)
            else:
                await client.send(bytes([byte]))
        await client.send(BODY[-1:] + HEAD + BODY + HEAD + BODY[:3])
        assert await client.response() == "whole 0123456789"
        assert await client.response() == "whole 0123456789"
        await client.send(BODY[3:])
        assert await client.response() == "whole 0123456789"


@in_loop
async def test_a_late_rest_is_left_to_asgi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_REST_SECS", 0.0)
    async with connected() as client:
        await client.send(HEAD + BODY[:4])
        await until(lambda: client.server.cycle is not None)
        await client.send(BODY[4:])
        assert await client.response() == "asgi 0123456789"
        # The rest of the next command is on time.
        await client.send(HEAD + BODY)
        assert await client.response() == "whole 0123456789"


@in_loop
async def test_a_large_rest_is_left_to_asgi() -> None:
    async with connected() as client:
        await client.send(HEAD.replace(b"10", b"20000") + b"x" * 10)
        await client.send(b"x" * 10_000)
        await client.send(b"x" * 9_990)
        assert await client.response() == "asgi " + "x" * 20_000


@in_loop
async def test_a_shutdown_does_not_end_a_connection_with_half_a_command() -> None:
    async with connected() as client:
        await client.send(HEAD + BODY[:4])
        client.server.shutdown()
        await client.send(BODY[4:])
        assert await client.response() == "asgi 0123456789"
        assert await client.reader.read() == b""


@in_loop
async def test_a_client_that_sends_no_rest_is_closed() -> None:
    async with connected() as client:
        await client.send(HEAD + BODY[:4])
        client.writer.write_eof()
        assert await client.reader.read() == b""


@in_loop
async def test_an_ended_connection_leaves_no_work_for_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        async with connected() as client:
            server = weakref.ref(client.server)
            await client.send(HEAD + BODY)
            await client.response()
            # ASGI serves this one.
            await client.send(HEAD.replace(b"POST", b"PATCH") + BODY)
            await client.response()
            del client
        await until(lambda: server() is None)
    finally:
        gc.enable()
