"""Each limit has a clear response and a counter. Slow clients are disconnected, and no other client is
affected."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.process import eventually, eventually_equal
from harness.sidecar import Sidecar

FIXTURES = Path(__file__).parents[1] / "fixtures" / "alertmanager"
LIMITS = {
    "max_scopes": 6,
    "max_signals_per_scope": 3,
    "max_waiters": 4,
    "max_waiters_per_scope": 2,
    "max_watchers": 2,
    "max_header_bytes": 2000,
    "max_body_bytes": 20_000,
    "max_labels_per_alert": 8,
    "max_label_bytes": 100,
    "header_timeout_secs": 1,
    "body_timeout_secs": 1,
    "write_timeout_secs": 1,
}


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    with Sidecar({"limits": LIMITS, "defaults": {"max_pause_secs": 0}}) as own:
        yield own


def refused(sidecar: Sidecar, reason: str) -> float:
    return sidecar.metric(f'wellbeing_refusals_total{{reason="{reason}"}}')


def connect(sidecar: Sidecar, data: bytes = b"") -> socket.socket:
    sock = socket.create_connection(sidecar.where, 30)
    if data:
        sock.sendall(data)
    return sock


def answer_of(sock: socket.socket) -> bytes:
    """All bytes until the sidecar closes the connection."""
    parts = []
    try:
        while part := sock.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("path", ["/v1/gate", "/v1/status"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_long_request_head_is_refused_on_both_paths(sidecar: Sidecar, path: str, whole: bool) -> None:
    before = refused(sidecar, "header-too-large")
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX: ".encode() + b"x" * 2500 + (b"\r\n\r\n" if whole else b"")
    with connect(sidecar, head) as sock:
        answer = answer_of(sock)
    assert answer.startswith(b"HTTP/1.1 431 "), answer[:200]
    assert b"limits.max_header_bytes" in answer
    assert b"Connection: close" in answer
    assert refused(sidecar, "header-too-large") == before + 1


def test_a_request_head_that_grows_line_by_line_is_refused(sidecar: Sidecar) -> None:
    head = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n"
    with connect(sidecar, head) as sock:
        # Only as much as it accepts: after a write to a closed socket, the response could not be read.
        sent, number = len(head), 0
        while sent <= LIMITS["max_header_bytes"]:
            line = b"X-%d: some more of it\r\n" % number
            sock.sendall(line)
            sent, number = sent + len(line), number + 1
        answer = answer_of(sock)
    assert answer.startswith(b"HTTP/1.1 431 "), answer[:100]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /v1/gate HTTP/1.1\r\nHost", id="head of a gate"),
        pytest.param(b"GET /v1/status HTTP/1.1\r\nHost", id="head of another"),
        pytest.param(b"P", id="first byte"),
    ],
)
def test_a_connection_whose_request_head_does_not_end_is_closed(sidecar: Sidecar, data: bytes) -> None:
    before = refused(sidecar, "too-slow")
    with connect(sidecar, data) as sock:
        assert answer_of(sock) == b""
    assert refused(sidecar, "too-slow") == before + 1


def test_a_body_that_does_not_end_is_refused(sidecar: Sidecar) -> None:
    head = b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    with connect(sidecar, head) as sock:
        answer = answer_of(sock)
    assert answer.startswith(b"HTTP/1.1 408 "), answer[:100]
    assert b"limits.body_timeout_secs" in answer


def test_a_long_body_is_refused(sidecar: Sidecar) -> None:
    before = refused(sidecar, "body-too-large")
    answer = sidecar.session.post(f"{sidecar.url}/v1/alerts", data=b" " * 30_000, timeout=30)
    assert answer.status_code == 413
    assert "limits.max_body_bytes" in answer.json()["detail"]
    assert refused(sidecar, "body-too-large") == before + 1


def test_a_client_that_does_not_read_is_disconnected(sidecar: Sidecar) -> None:
    before = refused(sidecar, "too-slow")
    with ExitStack() as stack:
        for path in (b"/v1/gate", b"/metrics"):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(sidecar.where)
            sock.settimeout(0.2)
            request = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"
            try:
                while True:
                    sock.sendall(request * 1000)
            except OSError:
                pass
        eventually_equal(lambda: refused(sidecar, "too-slow"), before + 2, "both are cut off", 60)


def parked(stack: ExitStack, sidecar: Sidecar, path: str, headers: str = "") -> socket.socket:
    data = f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()
    return stack.enter_context(connect(sidecar, data))


def test_waiters_are_limited_in_all_and_per_scope(sidecar: Sidecar) -> None:
    before = refused(sidecar, "too-many-waiters")
    with ExitStack() as stack:
        for scope in ("a", "b", "c"):
            sidecar.pause(scope)
        for scope in ("a", "a", "b", "b"):
            parked(stack, sidecar, f"/v1/gate/{scope}")
        sidecar.wait_for_waiters("a", 2)
        sidecar.wait_for_waiters("b", 2)
        for scope in ("a", "c"):
            answer = sidecar.gate(scope)
            assert answer.status_code == 503
            assert answer.json()["type"] == "/problems/too-many-waiters"
            assert answer.headers["Retry-After"] in ("1", "2")
    for scope in ("a", "b", "c"):
        sidecar.wait_for_waiters(scope, 0)
        sidecar.resume(scope)
        sidecar.counters(scope)
    assert refused(sidecar, "too-many-waiters") == before + 2


def test_watches_are_limited_and_do_not_use_the_places_of_waiters(sidecar: Sidecar) -> None:
    before = refused(sidecar, "too-many-watchers")
    eventually(lambda: a_third_watch_is_refused(sidecar), "two are parked, and the third is refused")
    assert refused(sidecar, "too-many-watchers") > before


def a_third_watch_is_refused(sidecar: Sidecar) -> bool:
    # The snapshot may change in between. Then no watch is parked, and the test tries again.
    etag = sidecar.get("/v1/watch").headers["ETag"]
    with ExitStack() as stack:
        for _ in range(2):
            parked(stack, sidecar, "/v1/watch?wait=60", f"If-None-Match: {etag}\r\n")
        answer = sidecar.get("/v1/watch", params={"wait": 0.5}, headers={"If-None-Match": etag})
        assert sidecar.gate().status_code == 200
        return answer.status_code == 503 and answer.json()["type"] == "/problems/too-many-watchers"


def test_signals_are_limited_per_scope(sidecar: Sidecar) -> None:
    for number in range(3):
        sidecar.claim("a", "cautious", source=f"agent-{number}")
    body = {"state": "distressed", "source": "agent-4"}
    answer = sidecar.session.put(f"{sidecar.url}/v1/state/a", json=body, timeout=30)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/too-many-signals")
    assert 60 <= int(answer.headers["Retry-After"]) <= 90
    sidecar.claim("a", "concerned", source="agent-0")
    sidecar.claim("a", "healthy", source="agent-5")
    assert len(sidecar.status("a")["signals"]) == 3
    message = notification(*(labels(number, wellbeing_scope="b") for number in range(4)))
    assert sidecar.notify(message).status_code == 503
    assert sidecar.status("b")["signals"] == [], "all or nothing"
    assert sidecar.notify(notification(labels(1, wellbeing_scope="b"))).status_code == 200
    for number in range(3):
        sidecar.claim("a", "healthy", source=f"agent-{number}")


def test_scopes_are_limited(sidecar: Sidecar) -> None:
    before = refused(sidecar, "too-many-scopes")
    url = f"{sidecar.url}/v1/state/many/"
    answers = [
        sidecar.session.put(url + str(number), json={"state": "cautious"}, timeout=30) for number in range(8)
    ]
    assert answers[-1].status_code == 503
    assert answers[-1].json()["type"] == "/problems/too-many-scopes"
    assert refused(sidecar, "too-many-scopes") > before


def labels(number: int, **more: str) -> dict[str, str]:
    return {"alertname": f"A{number}", "severity": "warning", **more}


def notification(*alerts: dict[str, str]) -> bytes:
    message = json.loads((FIXTURES / "01_single_firing.json").read_text())
    first = message["alerts"][0]
    message["alerts"] = [
        {**first, "labels": one, "fingerprint": f"{number:016x}"} for number, one in enumerate(alerts)
    ]
    return json.dumps(message).encode()


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ({f"l{number}": "x" for number in range(8)}, "alerts[1].labels: has 10 labels, at most 8"),
        ({"long": "ä" * 51}, "alerts[1].labels.long: is longer than 100 bytes"),
    ],
)
def test_labels_are_limited(sidecar: Sidecar, more: dict[str, str], detail: str) -> None:
    answer = sidecar.notify(notification(labels(1), labels(2, **more)))
    assert answer.status_code == 413
    assert detail in answer.json()["detail"]
    assert sidecar.notify(notification(labels(1, fits="ä" * 50))).status_code == 200


def test_connections_are_limited() -> None:
    with Sidecar({"limits": {"max_connections": 20}}) as own, ExitStack() as stack:
        own.get("/-/healthy")
        crowd = [stack.enter_context(connect(own)) for _ in range(30)]
        answers = [answer_of(sock) for sock in crowd[20:]]
        assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in answers)
        assert all(re.search(rb"Retry-After: [12]\r", answer) for answer in answers)
        assert own.get("/-/healthy").ok, "who is in stays in"
        for sock in crowd:
            sock.close()
        eventually(lambda: answered(own), "there is room again")


def answered(own: Sidecar) -> bool:
    with connect(own, b"GET /v1/gate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as sock:
        return answer_of(sock).startswith(b"HTTP/1.1 200 ")
