"""For any bytes, the sidecar keeps running and serves other clients, and a refused request changes
nothing."""

from __future__ import annotations

import json
import os
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.sidecar import Sidecar

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures" / "alertmanager").glob("*.json"))
CASES = int(os.environ.get("FUZZ_CASES", "1500"))
BATCH = 250
OPERATOR, WEBHOOK = "the-token-of-an-operator", "the-token-of-a-webhook"
CREDENTIALS = [
    {"name": "operator", "roles": ["operator", "viewer", "worker", "agent"], "token_env": "OPERATOR"},
    {"name": "webhook", "roles": ["webhook"], "token_env": "WEBHOOK"},
]
AUTH = f"Authorization: Bearer {OPERATOR}\r\n"
LAST = f"{AUTH}Connection: close\r\n"
PAUSE = f'POST /v1/pause HTTP/1.1\r\nHost: x\r\n{LAST}Content-Length: 17\r\n\r\n{{"reason":"fuzz"}}'.encode()


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    config = {
        "auth": {"credentials": CREDENTIALS},
        "defaults": {"wait_timeout_secs": 0.01},
        "limits": {"max_auth_failures_per_minute": 10**9, "header_timeout_secs": 1, "body_timeout_secs": 1},
    }
    with Sidecar(config, env={"OPERATOR": OPERATOR, "WEBHOOK": WEBHOOK}) as own:
        own.session.headers["Authorization"] = f"Bearer {OPERATOR}"
        yield own


def exchange(sidecar: Sidecar, *chunks: bytes, hang_up: bool = False) -> bytes:
    """All response bytes to ``chunks``. With ``hang_up``, the sending side of the connection is closed
    first."""
    answer = b""
    with socket.create_connection(sidecar.where, 30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for chunk in chunks:
                sock.sendall(chunk)
            if hang_up:
                sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65_536):
                answer += part
        except OSError:
            pass
    return answer


def status_of(answer: bytes) -> int:
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


def state_of(sidecar: Sidecar) -> str:
    """Signals, holds and history, without counters."""
    status = sidecar.status("", below="true")
    scopes = [{**one, "counters": None} for one in [status, *status.pop("below")]]
    return json.dumps([scopes, sidecar.get("/v1/history").json()])


def still_well(sidecar: Sidecar) -> None:
    sidecar.alive()
    assert sidecar.gate("honest").status_code == 200
    assert not sidecar.logs("a request failed"), sidecar.lines[-5:]


# -- what is sent ------------------------------------------------------------------------------------


def mutated(chance: random.Random, data: bytes) -> bytes:
    """``data`` with a few bytes changed, cut, doubled or inserted."""
    spoiled = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(spoiled) + 1)
        match chance.randrange(6):
            case 0:
                spoiled[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del spoiled[at : at + chance.randint(1, 20)]
            case 2:
                spoiled[at:at] = spoiled[at : at + chance.randint(1, 40)]
            case 3:
                spoiled[at:at] = chance.choice(
                    (b"\0", b"\r\n", b"\n", b"%00", b"/", b"..", b"\xff\xfe", b'"')
                )
            case 4:
                spoiled[at:at] = chance.choice((b"9" * 30, b"-1", b"1e999", b"NaN", b"[" * 50, b"null"))
            case _:
                del spoiled[at:]
    return bytes(spoiled)


def raw_request(chance: random.Random) -> bytes:
    """An almost valid request without a credential."""
    routes = ("gate", "watch", "status", "history", "events", "pause", "state", "alerts", "reports")
    target = (
        f"/v1/{chance.choice(routes)}/{'a/' * chance.randrange(4)}b?wait={chance.choice(('0', '1', 'x'))}"
    )
    method = chance.choice(("GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "PRI"))
    body = chance.choice((b"", b'{"reason":"x"}', b'{"state":"distressed"}'))
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return b"".join(mutated(chance, head + body) for _ in range(chance.randint(1, 3)))


def scope_request(chance: random.Random) -> bytes:
    """A request with an invalid scope or query and a valid credential."""
    alphabet = "aZ0._:~-/%?#&=+ \\\"'<>\u00e4\u4e2d\U0001f600"
    text = "".join(chance.choice(alphabet) for _ in range(chance.randrange(80))).encode()
    quoted = text if chance.random() < 0.5 else b"".join(b"%%%02x" % byte for byte in text)
    route = chance.choice((b"gate", b"watch", b"status", b"history"))
    query = mutated(
        chance, b"wait=1&deny_status=429&below=true&limit=5&kind=pause&since=2026-01-01T00:00:00Z"
    )
    return (
        b"GET /v1/"
        + route
        + b"/"
        + quoted
        + b"?"
        + query
        + b" HTTP/1.1\r\nHost: x\r\n"
        + AUTH.encode()
        + b"\r\n"
    )


def webhook_request(chance: random.Random) -> bytes:
    """An invalid notification."""
    body = mutated(chance, chance.choice(FIXTURES).read_bytes())
    head = f"POST /v1/alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WEBHOOK}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


# -- what must be true -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [raw_request, scope_request], ids=lambda make: make.__name__)
def test_random_bytes_change_nothing(sidecar: Sidecar, make: Callable[[random.Random], bytes]) -> None:
    before = state_of(sidecar)
    statuses: Counter[int] = Counter()

    def one(seed: int) -> int:
        chance = random.Random(seed)
        data = make(chance)
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(3)))
        chunks = (data[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True))
        return status_of(exchange(sidecar, *chunks, hang_up=True))

    with ThreadPoolExecutor(4) as pool:
        for first in range(0, CASES, BATCH):
            statuses.update(pool.map(one, range(first, first + BATCH)))
            still_well(sidecar)
    print(make.__name__, dict(statuses))
    assert not [status for status in statuses if status >= 500 and status != 503]
    assert state_of(sidecar) == before


def test_a_refused_notification_changes_nothing(sidecar: Sidecar) -> None:
    before, statuses = state_of(sidecar), Counter[int]()
    for seed in range(CASES):
        status = status_of(exchange(sidecar, webhook_request(random.Random(seed))))
        statuses[status] += 1
        if status == 200:
            before = state_of(sidecar)
        elif seed % 20 == 0:
            assert state_of(sidecar) == before, seed
    print("webhook", dict(statuses))
    assert set(statuses) <= {0, 200, 400, 401, 404, 405, 408, 413}
    assert statuses[400] > CASES / 10
    assert state_of(sidecar) == before
    still_well(sidecar)


@pytest.mark.parametrize(
    "data",
    [
        f"GET /v1/gate/a?wait=1 HTTP/1.1\r\nHost: x\r\n{LAST}\r\n".encode(),
        f"HEAD /v1/watch HTTP/1.1\r\nHost: x\r\n{LAST}\r\n".encode(),
        f"GET /v1/status HTTP/1.1\r\nHost: x\r\n{LAST}\r\n".encode(),
        f"GET /v1/gate HTTP/1.1\r\nHost: x\r\n{AUTH}\r\nGET /v1/gate HTTP/1.1\r\nHost: x\r\n{LAST}\r\n".encode(),
        f"GET /v1/gate HTTP/1.1\r\nHost: x\r\n{AUTH}\r\nGET /-/ready HTTP/1.1\r\nHost: x\r\n{LAST}\r\n".encode(),
    ],
    ids=["gate", "watch", "status", "pipelined", "pipelined on both paths"],
)
def test_the_split_of_the_bytes_makes_no_difference(sidecar: Sidecar, data: bytes) -> None:
    def told(answer: bytes) -> list[bytes]:
        return [line for line in answer.split(b"\r\n") if not line.lower().startswith(b"date:")]

    whole = told(exchange(sidecar, data))
    assert whole[0] == b"HTTP/1.1 200 OK"
    with ThreadPoolExecutor(4) as pool:
        for answer in pool.map(lambda at: exchange(sidecar, data[:at], data[at:]), range(1, len(data))):
            assert told(answer) == whole
    assert told(exchange(sidecar, *(bytes([byte]) for byte in data))) == whole


def smuggled(headers: str, body: bytes, start: str = "POST /v1/reports") -> bytes:
    return f"{start} HTTP/1.1\r\nHost: x\r\n{LAST}{headers}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    "data",
    [
        smuggled("Content-Length: 4\r\nTransfer-Encoding: chunked", b"0\r\n\r\n" + PAUSE),
        smuggled("Transfer-Encoding: chunked\r\nContent-Length: 4", b"0\r\n\r\n" + PAUSE),
        smuggled("Content-Length: 0\r\nContent-Length: 5", PAUSE),
        smuggled("Content-Length: 0, 5", PAUSE),
        smuggled("Content-Length: +0", PAUSE),
        smuggled("Content-Length: 0x0", PAUSE),
        smuggled("Transfer-Encoding: xchunked", b"0\r\n\r\n" + PAUSE),
        smuggled("Transfer-Encoding : chunked", b"0\r\n\r\n" + PAUSE),
        smuggled("Transfer-Encoding: chunked, identity", b"0\r\n\r\n" + PAUSE),
        smuggled("Transfer-Encoding: \x0bchunked", b"0\r\n\r\n" + PAUSE),
        smuggled("X: y\nContent-Length: 0", PAUSE),
        smuggled(f"Content-Length: {len(PAUSE)}", PAUSE, "GET /v1/gate"),
        smuggled(f"Content-Length: {len(PAUSE)}", PAUSE, "GET /v1/status"),
        smuggled("Transfer-Encoding: chunked", b"%x;\n%s\r\n0\r\n\r\n" % (len(PAUSE), PAUSE), "GET /v1/gate"),
        smuggled(" folded: x", PAUSE, "GET /v1/gate"),
    ],
)
def test_a_request_inside_a_body_is_not_served(sidecar: Sidecar, data: bytes) -> None:
    before = state_of(sidecar)
    answer = exchange(sidecar, data)
    assert state_of(sidecar) == before
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    still_well(sidecar)


def test_the_smuggled_request_is_served_when_sent_alone(sidecar: Sidecar) -> None:
    assert status_of(exchange(sidecar, PAUSE)) == 200
    assert sidecar.status()["gate"] == "closed"
    sidecar.resume()
