"""The fast path and the ASGI path give equal responses to gate and watch requests, and count them equally."""

from __future__ import annotations

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
