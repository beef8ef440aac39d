"""Clients that offer to upgrade to another protocol are served over HTTP/1.1, as RFC 9110, section 7.8
allows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.raw import Connection
from harness.sidecar import Sidecar

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
WEBSOCKET = ("Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAA")
OFFERS = [H2C, WEBSOCKET, ("Connection: Upgrade",), ("Upgrade: h2c",), ("Expect: 100-continue",)]
NOTIFICATION = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "alertmanager" / "01_single_firing.json").read_text()
)
ROUTES = [
    ("GET", "/v1/gate/{scope}", None, 200),
    ("HEAD", "/v1/gate/{scope}", None, 200),
    ("GET", "/v1/watch/{scope}", None, 200),
    ("GET", "/v1/status/{scope}", None, 200),
    ("GET", "/v1/history/{scope}", None, 200),
    ("GET", "/metrics", None, 200),
    ("GET", "/-/ready", None, 200),
    ("GET", "/openapi.json", None, 200),
    ("GET", "/nothing", None, 404),
    ("POST", "/v1/gate/{scope}", {}, 405),
    ("POST", "/v1/alerts", {**NOTIFICATION, "alerts": []}, 200),
    ("PUT", "/v1/state/{scope}", {"state": "healthy"}, 200),
    ("POST", "/v1/pause/{scope}", {"reason": "a test"}, 200),
    ("POST", "/v1/resume/{scope}", {"reason": "a test"}, 200),
    ("POST", "/v1/reports/{scope}", {"client": "c", "sequence": 1, "requests": 0}, 200),
]


def request_bytes(method: str, path: str, body: object, headers: tuple[str, ...]) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    length = () if body is None else (f"Content-Length: {len(data)}",)
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *headers, *length, "", ""]).encode() + data


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer[-1][:20])
@pytest.mark.parametrize(("method", "path", "body", "status"), ROUTES, ids=lambda value: str(value)[:20])
def test_an_upgrade_offer_is_ignored_and_the_body_is_read(
    sidecar: Sidecar, scope: str, method: str, path: str, body: object, status: int, offer: tuple[str, ...]
) -> None:
    raw = request_bytes(method, path.format(scope=scope), body, offer)
    for cut in (len(raw), len(raw) - 3, 30):
        with Connection(sidecar) as connection:
            connection.send(raw[:cut])
            connection.send(raw[cut:])
            answer = connection.receive(head=method == "HEAD")
            if answer.status == 100:
                answer = connection.receive(head=method == "HEAD")
            assert answer.status == status, answer
            assert "upgrade" not in answer.headers
            if answer.headers.get("connection") != "close":
                connection.get("/v1/gate")
                assert connection.receive().status == 200


def test_the_reason_of_a_request_with_an_upgrade_offer_is_stored(sidecar: Sidecar, scope: str) -> None:
    with Connection(sidecar) as connection:
        connection.send(request_bytes("POST", f"/v1/pause/{scope}", {"reason": "kept"}, H2C))
        assert json.loads(connection.receive().body)["reason"] == "kept"
    assert sidecar.status(scope)["reason"] == "kept"


@pytest.mark.parametrize("before", [False, True])
def test_a_waiting_request_with_an_upgrade_offer_is_woken(sidecar: Sidecar, scope: str, before: bool) -> None:
    sidecar.pause(scope)
    with Connection(sidecar) as connection:
        if before:
            connection.get("/-/healthy", *H2C)
            connection.receive()
        connection.get(f"/v1/gate/{scope}?wait=50", *H2C)
        sidecar.wait_for_waiters(scope, 1)
        sidecar.resume(scope)
        assert connection.receive().status == 200


def test_the_bytes_after_an_upgrade_offer_are_a_request(sidecar: Sidecar, scope: str) -> None:
    one = request_bytes("POST", f"/v1/pause/{scope}", {"reason": "kept"}, H2C)
    two = request_bytes("GET", "/v1/gate", None, H2C)
    with Connection(sidecar) as connection:
        connection.send((one + two) * 10)
        assert [connection.receive().status for _ in range(20)] == [200] * 20


@pytest.mark.parametrize(
    "raw",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"GET /v1/gate HTTP/2.0\r\nHost: test\r\n\r\n",
        b"GET /-/ready HTTP/3.0\r\nHost: test\r\n\r\n",
        b"CONNECT test:1 HTTP/1.1\r\nHost: test\r\n\r\n",
    ],
)
def test_a_protocol_other_than_http_1_is_refused_with_one_response(sidecar: Sidecar, raw: bytes) -> None:
    with Connection(sidecar) as connection:
        connection.send(raw)
        answer = connection.receive()
        assert (answer.status, json.loads(answer.body)["type"]) == (400, "/problems/invalid-request")
        assert answer.headers["connection"] == "close"
        assert connection.closed()


def test_upgrade_offers_are_not_logged() -> None:
    with Sidecar() as own:
        for _ in range(3):
            with Connection(own) as connection:
                connection.get("/-/ready", *WEBSOCKET)
                assert connection.receive().status == 200
        assert not [line for line in own.lines if "pgrade" in line or "WebSocket" in line]
