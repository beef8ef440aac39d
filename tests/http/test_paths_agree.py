"""Requests that are served without ASGI get the same responses as through ASGI, and are counted equally."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest

from harness.raw import Connection, Response
from harness.sidecar import Sidecar

HEALTHY = "/-/healthy"
VARIES = ("date", "retry-after")


def ask(
    sidecar: Sidecar, target: str, headers: tuple[str, ...], method: str, version: str, asgi: bool
) -> Response:
    with Connection(sidecar) as connection:
        if asgi:
            # A connection is served by ASGI from its first request of another kind on.
            connection.get(HEALTHY)
            connection.receive()
        connection.get(target, *headers, method=method, version=version)
        return connection.receive(head=method == "HEAD")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("headers", [(), ("Connection: close",), ("Connection: keep-alive",)])
@pytest.mark.parametrize(
    "target",
    [
        "/v1/gate",
        "/v1/gate/{scope}",
        "/v1/gate/{scope}?wait=0",
        "/v1/gate/{scope}/unnamed?wait=0",
        "/v1/gate/{scope}?wait=0.01&deny_status=401",
        "/v1/gate/{scope}?wait=0&deny_status=429",
        "/v1/gate/ramp",
        "/v1/gate/%2e",
        "/v1/gate/a//b",
        "/v1/gate/a/",
        "/v1//gate",
        "//v1/gate",
        "/v1/./gate",
        "/v1/gate/{scope}?wait=no",
        "/v1/gate/{scope}?deny_status=200",
        "/v1/watch/{scope}",
        "/v1/authz/{scope}/-/v1/chat/completions?wait=x",
        "/v1/authz/deny_status=403/short-wait/{scope}/-/?wait=0",
    ],
)
def test_both_paths_give_the_same_responses(
    sidecar: Sidecar, scope: str, target: str, headers: tuple[str, ...], version: str, method: str
) -> None:
    if "{scope}?wait=0" in target or "unnamed" in target:
        sidecar.pause(scope)
    if "short-wait" in target:
        sidecar.pause(f"short-wait/{scope}")
    fast, slow = (
        ask(sidecar, target.format(scope=scope), headers, method, version, asgi) for asgi in (False, True)
    )
    assert fast.status == slow.status
    assert {name: fast.headers[name] for name in sorted(fast.headers) if name not in VARIES} == {
        name: slow.headers[name] for name in sorted(slow.headers) if name not in VARIES
    }
    assert ("retry-after" in fast.headers) == ("retry-after" in slow.headers)
    if "retry-after" not in fast.headers:
        assert fast.body == slow.body


@pytest.mark.parametrize("watch", [False, True])
def test_both_paths_count_the_same(sidecar: Sidecar, scope: str, watch: bool) -> None:
    counts = []
    for asgi in (False, True):
        where = f"{scope}-{asgi}"
        sidecar.pause(where)
        etag = sidecar.get(f"/v1/watch/{where}").headers["etag"]
        what = "watch" if watch else "gate"
        given = (f"If-None-Match: {etag}",) if watch else ()
        for wait in ("0", "0.01"):
            answer = ask(sidecar, f"/v1/{what}/{where}?wait={wait}", given, "GET", "1.1", asgi)
            assert answer.status == (304 if watch else 503)
        sidecar.resume(where)
        ask(sidecar, f"/v1/{what}/{where}", given, "HEAD", "1.1", asgi)
        counters = sidecar.counters(where)
        counters.pop("current_pause_duration_secs")
        counts.append(counters)
    assert counts[0] == counts[1]
    assert counts[0]["requests_total"] == (0 if watch else 3)


ALERT = {"status": "firing", "labels": {"wellbeing_scope": "x", "wellbeing": "cautious"}, "annotations": {}}
NOTIFICATION = {"version": "4", "alerts": [{**ALERT, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "f"}]}
OTHER_SITE = "Sec-Fetch-Site: cross-site"


def command(
    sidecar: Sidecar,
    target: str,
    body: bytes,
    headers: tuple[str, ...],
    method: str,
    asgi: bool,
    pieces: int = 1,
) -> tuple[int, dict[str, str], str, bool]:
    """Status, headers and body of a command without what changes each time, and whether the connection ends."""
    length = () if method == "GET" else (f"Content-Length: {len(body)}",)
    # The header changes nothing, but only ASGI serves requests that have it.
    given = (*length, *headers, *(("Upgrade: unknown",) if asgi else ()))
    with Connection(sidecar) as connection:
        head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: test", *given, "", ""]).encode()
        ends_at = [len(head) + len(body) * piece // pieces for piece in range(pieces)] if pieces > 1 else []
        for start, end in pairwise([0, *ends_at, len(head + body)]):
            connection.send((head + body)[start:end])
        answer = connection.receive()
        ends = answer.headers.get("connection") == "close"
        if ends:
            assert connection.closed()
        else:
            connection.get("/v1/gate")
            assert connection.receive().status == 200
    kept = {name: value for name, value in answer.headers.items() if name not in (*VARIES, "etag")}
    kept["content-length"] = ""
    text = re.sub(r'"(version|since|until)": ("[^"]*"|[0-9]+)', "", answer.body.decode())
    return answer.status, kept, text, ends


@pytest.mark.parametrize(
    ("method", "target", "body", "headers"),
    [
        ("POST", "/v1/pause/{scope}", {"reason": "a test"}, ()),
        ("POST", "/v1/pause/{scope}", {"reason": "a test", "unknown": 1}, ()),
        ("POST", "/v1/pause/{scope}", "no JSON", ()),
        ("POST", "/v1/pause/{scope}", {"reason": "a test"}, (OTHER_SITE,)),
        ("POST", "/v1/pause/{scope}", {"reason": "a test"}, ("Authorization: a", "Authorization: b")),
        ("POST", "/v1/pause/{scope}?wait=1", {"reason": "a test"}, ()),
        ("POST", "/v1/pause/a//b", {"reason": "a test"}, ()),
        ("PUT", "/v1/pause/{scope}", {"reason": "a test"}, ()),
        ("POST", "/v1/resume/{scope}", {}, ()),
        ("POST", "/v1/resume/{scope}", "", ()),
        ("PUT", "/v1/state/{scope}", {"state": "cautious"}, ("Wellbeing-Actor: alice",)),
        ("POST", "/v1/alerts", NOTIFICATION, ()),
        ("POST", "/v1/alerts?dry_run=true", NOTIFICATION, ()),
        ("POST", "/v1/alerts?dry_run=maybe", NOTIFICATION, ()),
        ("POST", "/v1/alerts/{scope}", NOTIFICATION, ()),
        ("POST", "/v1/alerts", {"version": "4"}, ()),
        ("POST", "/v1/reports/{scope}", {}, ()),
        ("POST", "/v1/unknown", {}, ()),
        ("GET", "/v1/admit/{scope}?client=c&waiting=5:1&wait=0", None, ()),
        ("GET", "/v1/admit/{scope}?client=c&waiting=x", None, ()),
        ("POST", "/v1/admit/{scope}?client=c&waiting=5:1", {}, ()),
    ],
)
def test_commands_get_the_same_response_with_and_without_asgi(
    sidecar: Sidecar, scope: str, method: str, target: str, body: Any, headers: tuple[str, ...]
) -> None:
    data = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    # The first one names the scope, or puts the signal.
    _, whole, in_pieces, asgi = (
        command(sidecar, target.format(scope=scope), data, headers, method, asgi, pieces)
        for asgi, pieces in ((True, 1), (False, 1), (False, 3), (True, 1))
    )
    assert whole == in_pieces == asgi


def test_both_paths_count_refused_commands_the_same(sidecar: Sidecar, scope: str) -> None:
    counts = []
    for asgi in (False, True):
        before = counted(sidecar)
        for headers, target in (((OTHER_SITE,), f"/v1/pause/{scope}"), ((), "/v1/alerts")):
            command(sidecar, target, b"{", headers, "POST", asgi)
        counts.append({name: value - before[name] for name, value in counted(sidecar).items()})
    assert counts[0] == counts[1]
    assert counts[0]['notifications_total{result="invalid"}'] == 1
    assert counts[0]['refusals_total{reason="cross-site"}'] == 1


def counted(sidecar: Sidecar) -> dict[str, float]:
    """The counters of refusals and notifications."""
    found = re.findall(
        r"^wellbeing_(?:webhook_)?((?:refusals|notifications)_total\S+) (\S+)$",
        sidecar.get("/metrics").text,
        re.MULTILINE,
    )
    return {name: float(value) for name, value in found}


def test_commands_without_asgi_are_served_in_order_before_the_requests_behind_them(
    sidecar: Sidecar, scope: str
) -> None:
    pause, resume = (
        f"POST /v1/{what}/{scope} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        for what, body in (("pause", '{"reason": "x"}'), ("resume", "{}"))
    )
    gate = f"GET /v1/gate/{scope}?wait=0 HTTP/1.1\r\nHost: test\r\n\r\n".encode()
    with Connection(sidecar) as connection:
        connection.send((pause + gate + resume + gate) * 5)
        assert [connection.receive().status for _ in range(20)] == [200, 503, 200, 200] * 5
