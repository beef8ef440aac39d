"""Pipelined requests, half-closed connections and slow readers: each connection is served, and delays no
other."""

from __future__ import annotations

import json
import socket
import struct

import pytest

from harness.process import eventually_equal
from harness.raw import Connection
from harness.sidecar import Sidecar

GATE = b"GET /v1/gate HTTP/1.1\r\nHost: test\r\n\r\n"
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n"
STATUS = b"GET /v1/status HTTP/1.1\r\nHost: test\r\n\r\n"


def all_of(connection: Connection) -> bytes:
    """All bytes until the sidecar closes the connection."""
    parts = []
    while part := connection.sock.recv(65_536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("request_bytes", "count"), [(GATE, 5000), (HEALTHY, 500), (STATUS, 50), (GATE + HEALTHY, 200)]
)
def test_all_pipelined_requests_of_a_half_closed_connection_are_answered(
    sidecar: Sidecar, request_bytes: bytes, count: int
) -> None:
    wanted = count * request_bytes.count(b"GET ")
    with Connection(sidecar) as connection:
        connection.send(request_bytes * count)
        connection.sock.shutdown(socket.SHUT_WR)
        assert all_of(connection).count(b"HTTP/1.1 200 ") == wanted


def test_a_half_closed_client_gets_the_response_to_its_post(sidecar: Sidecar, scope: str) -> None:
    body = b'{"reason": "a test"}'
    with Connection(sidecar) as connection:
        head = f"POST /v1/pause/{scope} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.send(head.encode() + body)
        connection.sock.shutdown(socket.SHUT_WR)
        answer = connection.receive()
        assert (answer.status, json.loads(answer.body)["gate"]) == (200, "closed")
        assert connection.closed()


@pytest.mark.parametrize("before", [b"", HEALTHY])
def test_a_wait_on_a_half_closed_connection_counts_as_abandoned(
    sidecar: Sidecar, scope: str, before: bytes
) -> None:
    sidecar.pause(scope)
    with Connection(sidecar) as connection:
        connection.send(before + GATE + f"GET /v1/gate/{scope}?wait=50 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.sock.shutdown(socket.SHUT_WR)
        answers = all_of(connection)
    assert answers.count(b"HTTP/1.1 200 ") == 1 + bool(before)
    eventually_equal(lambda: sidecar.counters(scope)["requests_abandoned"], 1, "abandoned")
    assert sidecar.counters(scope)["waiters"] == 0


def test_an_event_stream_of_a_half_closed_connection_ends(sidecar: Sidecar, scope: str) -> None:
    with Connection(sidecar) as connection:
        connection.get(f"/v1/events/{scope}")
        connection.receive()
        connection.sock.shutdown(socket.SHUT_WR)
        all_of(connection)


def test_an_incomplete_request_on_a_half_closed_connection_ends_it(sidecar: Sidecar) -> None:
    for start in (b"GET /v1/gate HTT", b"POST /v1/pause HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"):
        with Connection(sidecar) as connection:
            connection.send(start)
            connection.sock.shutdown(socket.SHUT_WR)
            all_of(connection)


@pytest.mark.parametrize("request_bytes", [GATE, HEALTHY, STATUS])
def test_the_bytes_that_a_connection_may_send_ahead_are_limited(
    sidecar: Sidecar, request_bytes: bytes
) -> None:
    """A client that reads nothing cannot send more than the socket buffers and a small buffer of the sidecar
    hold."""
    with Connection(sidecar) as connection:
        connection.sock.setblocking(False)
        chunk, sent, turns = request_bytes * 2000, 0, 0
        while turns < 5:
            try:
                sent += connection.sock.send(chunk[sent % len(chunk) :])
                turns = 0
            except BlockingIOError:
                # The sidecar has served another connection meanwhile, so it had time to read from this one.
                assert sidecar.gate().status_code == 200
                turns += 1
            assert sent < 64_000_000
        linger = struct.pack("ii", 1, 0)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert sidecar.gate().status_code == 200


def test_requests_before_a_bad_request_are_served_and_later_requests_are_not(sidecar: Sidecar) -> None:
    with Connection(sidecar) as connection:
        connection.send(HEALTHY + STATUS + b"BAD\x00\r\n\r\n" + STATUS)
        answers = all_of(connection)
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert answers.count(b"HTTP/1.1 400 ") == 1
    assert b"/problems/invalid-request" in answers


@pytest.mark.parametrize(
    "body",
    [b"Transfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n", b"Content-Length: 2\r\n\r\n{}"],
    ids=["chunked", "sized"],
)
def test_the_bytes_after_a_body_are_the_next_request(sidecar: Sidecar, scope: str, body: bytes) -> None:
    resume = f"POST /v1/resume/{scope} HTTP/1.1\r\nHost: test\r\n".encode() + body
    raw = (resume + GATE) * 20
    for cut in (len(raw), 1, 7, 100):
        with Connection(sidecar) as connection:
            for at in range(0, len(raw), cut):
                connection.send(raw[at : at + cut])
            assert [connection.receive().status for _ in range(40)] == [200] * 40


def test_a_large_chunked_body_arrives_whole(sidecar: Sidecar, scope: str) -> None:
    reason = "\\r\\n\\r\\n" * 50_000
    body = json.dumps({"reason": "x"}).encode()[:-1] + b', "nothing": "' + reason.encode() + b'"}'
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[at : at + 9999]), body[at : at + 9999])
        for at in range(0, len(body), 9999)
    )
    with Connection(sidecar) as connection:
        head = f"POST /v1/pause/{scope} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.send(head.encode() + chunks + b"0\r\n\r\n" + GATE)
        answer = connection.receive()
        assert (answer.status, "nothing" in json.loads(answer.body)["detail"]) == (400, True)
        assert connection.receive().status == 200
