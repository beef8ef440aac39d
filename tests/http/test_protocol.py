"""The gate protocol, byte by byte."""

from __future__ import annotations

import json
import socket

import pytest

from harness.process import eventually_equal
from harness.raw import Connection
from harness.sidecar import Sidecar

GATE = b"GET /v1/gate HTTP/1.1\r\nHost: test\r\n\r\n"
HOST = GATE.removesuffix(b"\r\n")
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n"


def test_pipelined_requests_are_answered_in_order(sidecar: Sidecar, scope: str) -> None:
    named = f"GET /v1/gate/{scope} HTTP/1.1\r\nHost: test\r\n\r\n".encode()
    with Connection(sidecar) as connection:
        connection.send(GATE + named + GATE + HEALTHY + named + HEALTHY)
        kinds = [connection.receive() for _ in range(6)]
    assert [one.status for one in kinds] == [200] * 6
    scopes = [json.loads(one.body)["scope"] if b"scope" in one.body else "healthy" for one in kinds]
    assert scopes == ["", scope, "", "healthy", scope, "healthy"]


def test_a_request_pipelined_behind_a_wait_is_answered_after_it(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    with Connection(sidecar) as connection:
        connection.get(f"/v1/gate/{scope}?wait=50")
        connection.send(GATE + HEALTHY)
        sidecar.wait_for_waiters(scope, 1)
        sidecar.resume(scope)
        bodies = [connection.receive().body for _ in range(3)]
    assert json.loads(bodies[0])["scope"] == scope
    assert json.loads(bodies[1])["scope"] == ""
    assert b"healthy" in bodies[2]


@pytest.mark.parametrize("request_bytes", [GATE, HEALTHY, GATE.replace(b"GET", b"HEAD")])
def test_a_request_head_may_be_split_anywhere(sidecar: Sidecar, request_bytes: bytes) -> None:
    for cut in range(1, len(request_bytes)):
        with Connection(sidecar) as connection:
            connection.send(request_bytes[:cut])
            connection.send(request_bytes[cut:])
            assert connection.receive(head=request_bytes.startswith(b"HEAD")).status == 200


def test_http_1_0_closes_the_connection_without_keep_alive(sidecar: Sidecar) -> None:
    with Connection(sidecar) as connection:
        connection.get("/v1/gate", version="1.0")
        assert connection.receive().headers["connection"] == "close"
        assert connection.closed()
    with Connection(sidecar) as connection:
        for _ in range(2):
            connection.get("/v1/gate", "Connection: keep-alive", version="1.0")
            assert connection.receive().headers["connection"] == "keep-alive"


def test_connection_close_closes_the_connection(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    for target in ("/v1/gate", f"/v1/gate/{scope}?wait=0", f"/v1/gate/{scope}?wait=0.05"):
        with Connection(sidecar) as connection:
            connection.get(target, "Connection: close")
            assert connection.receive().headers["connection"] == "close"
            assert connection.closed()


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
)
def test_the_body_of_a_get_is_skipped(sidecar: Sidecar, body: bytes) -> None:
    with Connection(sidecar) as connection:
        connection.send(b"GET /v1/gate HTTP/1.1\r\nHost: test\r\n" + body + GATE)
        assert [connection.receive().status for _ in range(2)] == [200, 200]


def test_scopes_are_decoded_once(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(f"{scope}/a")
    encoded = f"{scope}%2Fa".replace("test-", "test%2D")
    for warm in (b"", HEALTHY):
        with Connection(sidecar) as connection:
            if warm:
                connection.send(warm)
                connection.receive()
            connection.get(f"/v1/gate/{encoded}?wait=0")
            answer = connection.receive()
            assert (answer.status, json.loads(answer.body)["scope"]) == (503, f"{scope}/a")
            connection.get(f"/v1/gate/{scope}%252Fa")
            assert connection.receive().status == 400


def test_an_absolute_request_target_reaches_the_same_gate(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    with Connection(sidecar) as connection:
        connection.get(f"http://test/v1/gate/{scope}?wait=0")
        assert connection.receive().status == 503


def test_a_request_head_that_is_too_long_is_refused_and_the_server_continues(sidecar: Sidecar) -> None:
    for head in (b"GET /v1/gate/" + b"a" * 70_000, b"GET /v1/gate HTTP/1.1\r\nX: " + b"a" * 70_000):
        with Connection(sidecar) as connection:
            connection.send(head)
            assert connection.receive().status == 431
    assert sidecar.gate().status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"get /v1/gate HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /v1/gate HTTP/9.9\r\nHost: test\r\n\r\n",
        b"GET /v1/gate HTTP/1.1\r\nHost : test\r\n\r\n",
        HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_bytes_that_are_not_a_request_are_refused(sidecar: Sidecar, raw: bytes) -> None:
    with Connection(sidecar) as connection:
        connection.send(raw)
        connection.sock.shutdown(socket.SHUT_WR)
        data = b""
        while chunk := connection.sock.recv(65536):
            data += chunk
    assert not data or b" 400 " in data.split(b"\r\n")[0], data
    assert sidecar.gate().status_code == 200


@pytest.mark.parametrize("path", [b"/v1/gate", b"/v1/authz", b"/-/healthy"])
@pytest.mark.parametrize("host", [b"", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nhost: b\r\n"])
def test_a_request_needs_one_host(sidecar: Sidecar, path: bytes, host: bytes) -> None:
    with Connection(sidecar) as connection:
        connection.send(b"GET " + path + b" HTTP/1.1\r\n" + host + b"\r\n")
        answer = connection.receive()
        assert answer.status == 400
        assert b"Host" in answer.body
        assert connection.closed()


CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("start", "framing"),
    [
        (b"POST /v1/pause/%s HTTP/1.1", b"Transfer-Encoding: gzip, chunked\r\n"),
        (b"POST /v1/pause/%s HTTP/1.1", b"Transfer-Encoding: chunked;q=1\r\n"),
        (b"POST /v1/pause/%s HTTP/1.1", b"Transfer-Encoding: gzip\r\n" + CHUNKED),
        (b"POST /v1/pause/%s HTTP/1.1", b"Content-Length: 20\r\n" + CHUNKED),
        (b"POST /v1/pause/%s HTTP/1.0", CHUNKED),
        (b"GET /v1/gate/%s HTTP/1.1", b"Transfer-Encoding: gzip, chunked\r\n"),
    ],
)
def test_a_body_whose_end_is_not_certain_is_refused(
    sidecar: Sidecar, scope: str, start: bytes, framing: bytes
) -> None:
    body = b'{"reason": "smuggled"}'
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with Connection(sidecar) as connection:
        connection.send(start % scope.encode() + b"\r\nHost: test\r\n" + framing + b"\r\n" + chunks + GATE)
        assert connection.receive().status == 400
        assert connection.closed()
    assert sidecar.status(scope)["gate"] == "open"


def test_a_trailer_is_ignored_and_a_long_one_is_refused(sidecar: Sidecar, scope: str) -> None:
    head = f"POST /v1/pause/{scope} HTTP/1.1\r\nHost: test\r\n".encode() + CHUNKED + b"\r\n"
    chunks = b'f\r\n{"reason": "x"}\r\n0\r\n'
    with Connection(sidecar) as connection:
        connection.send(head + chunks + b"Content-Type: text/plain\r\nX-A: b\r\n\r\n" + GATE)
        assert [connection.receive().status for _ in range(2)] == [200, 200]
    sidecar.resume(scope)
    with Connection(sidecar) as connection:
        connection.send(head + chunks + b"X-A: b\r\n" * 3_000 + b"\r\n" + head + chunks + b"\r\n")
        assert connection.receive().status == 431
        assert connection.closed()
    assert sidecar.status(scope)["gate"] == "open"


def test_http_1_0_needs_no_host(sidecar: Sidecar) -> None:
    for path in (b"/v1/gate", b"/-/healthy"):
        with Connection(sidecar) as connection:
            connection.send(b"GET " + path + b" HTTP/1.0\r\n\r\n")
            assert connection.receive().status == 200


@pytest.mark.parametrize("target", [b"/v1/gate/a#/b", b"/v1/gate?wait=0#b", b"/v1/status#"])
def test_a_target_with_a_fragment_is_refused(sidecar: Sidecar, target: bytes) -> None:
    with Connection(sidecar) as connection:
        connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: test\r\n\r\n")
        answer = connection.receive()
        assert answer.status == 400
        assert b"fragment" in answer.body


def test_a_client_that_half_closes_its_connection_while_it_waits_counts_as_gone(
    sidecar: Sidecar, scope: str
) -> None:
    sidecar.pause(scope)
    with Connection(sidecar) as connection:
        connection.get(f"/v1/gate/{scope}?wait=50")
        sidecar.wait_for_waiters(scope, 1)
        connection.sock.shutdown(socket.SHUT_WR)
        eventually_equal(lambda: sidecar.counters(scope)["requests_abandoned"], 1, "abandoned")
        assert connection.closed()


def test_routes_with_a_similar_path_are_not_the_gate(sidecar: Sidecar) -> None:
    with Connection(sidecar) as connection:
        for target in ("/v1/gates", "/v1/gateway/x", "/v1/watchers", "/v1"):
            connection.get(target)
            answer = connection.receive()
            assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
        connection.get("/v1/gate", "Content-Length: 0", method="POST")
        answer = connection.receive()
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def send_up_to(sock: socket.socket, count: int) -> None:
    sent = 0
    while sent < count:
        sent += sock.send(GATE * 1000)


def test_a_client_that_does_not_read_is_not_served_further(sidecar: Sidecar) -> None:
    with Connection(sidecar) as connection:
        connection.sock.settimeout(1)
        with pytest.raises(TimeoutError):
            send_up_to(connection.sock, 200_000_000)
        assert sidecar.gate().status_code == 200
