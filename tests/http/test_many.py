"""Ten thousand waiting requests at once, and a shutdown with them."""

from __future__ import annotations

import asyncio
import resource
import signal
import time

from harness.raw import Connection
from harness.sidecar import Sidecar

MANY = 10_000
NEEDED_FILES = MANY + 500


async def _open(
    sidecar: Sidecar, scope: str, count: int
) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    request = f"GET /v1/gate/{scope}?wait=60 HTTP/1.1\r\nHost: test\r\n\r\n".encode()
    connections = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(*sidecar.where, limit=8192)
        writer.write(request)
        connections.append((reader, writer))
    return connections


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    return head + await reader.readexactly(length)


def test_ten_thousand_waiters_are_each_answered_once() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= NEEDED_FILES, f"open files are capped at {hard}, this needs {NEEDED_FILES}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with Sidecar({"defaults": {"wait_timeout_secs": 120}}) as own:
            own.pause("many")
            asyncio.run(_ten_thousand(own))
            counters = own.counters("many")
            assert counters["requests_blocked"] == counters["requests_waited"] == MANY
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _ten_thousand(own: Sidecar) -> None:
    connections = await _open(own, "many", MANY)
    try:
        await _wait_and_go_on(own, connections)
    finally:
        for _, writer in connections:
            writer.transport.abort()
        # The loop closes aborted sockets in its next iteration.
        await asyncio.sleep(0)


async def _wait_and_go_on(own: Sidecar, connections: list) -> None:
    await asyncio.to_thread(own.wait_for_waiters, "many", MANY)
    began = time.perf_counter()
    await asyncio.to_thread(own.resume, "many")
    answers = await asyncio.gather(*(_answer(reader) for reader, _ in connections))
    print(f"{MANY} waiters answered {time.perf_counter() - began:.3f} s after the resume was asked for")
    assert all(answer.startswith(b"HTTP/1.1 200 OK\r\n") for answer in answers)
    # Exactly once: the next bytes on each connection are the response to another request, or its end.
    for reader, writer in connections:
        writer.write(b"GET /v1/gate/many HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        rest = await reader.read()
        assert rest.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close" in rest


def test_sigterm_answers_every_waiting_request() -> None:
    with Sidecar() as own:
        own.pause("a")
        connections = [Connection(own) for _ in range(200)]
        for number, connection in enumerate(connections):
            if number % 2:
                # Every second request waits on the ASGI path.
                connection.get("/-/healthy")
                connection.receive()
            connection.get("/v1/gate/a?wait=50")
        own.wait_for_waiters("a", 200)
        own.session.close()
        began = time.monotonic()
        own.signal(signal.SIGTERM)
        for connection in connections:
            answer = connection.receive()
            assert answer.status == 503
            assert b"/shutting-down" in answer.body
            assert answer.headers["connection"] == "close"
            connection.sock.close()
        assert own.wait() == 0
        # This is the contract, not a measurement: within 2 s, because Kubernetes' grace period depends on it.
        assert time.monotonic() - began < 2
