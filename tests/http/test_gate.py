"""Gate requests by plain HTTP clients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from harness.process import eventually_equal
from harness.raw import Connection
from harness.sidecar import Sidecar


def in_background(pool: ThreadPoolExecutor, sidecar: Sidecar, scope: str, **params):
    return pool.submit(requests.get, f"{sidecar.url}/v1/gate/{scope}", params=params, timeout=60)


def test_an_open_gate_responds_at_once_with_a_snapshot(sidecar: Sidecar) -> None:
    answer = sidecar.gate()
    assert answer.status_code == 200
    snapshot = answer.json()
    assert list(snapshot) == [
        "scope", "gate", "state", "effective_state", "reason", "since", "until", "held_by", "admit_per_sec",
        "advice", "version",
    ]  # fmt: skip
    assert (snapshot["scope"], snapshot["gate"], snapshot["reason"]) == ("", "open", None)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["ETag"] == f'"{snapshot["version"]}"'
    assert answer.headers["Content-Type"] == "application/json"
    assert "GMT" in answer.headers["Date"]


def test_a_wait_that_times_out_gives_the_reason(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope, "too hot")
    answer = sidecar.gate(scope, wait=0.1)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert 1 <= int(answer.headers["Retry-After"]) <= 15
    problem = answer.json()
    assert problem["type"].endswith("/inference-paused")
    assert problem["status"] == 503
    assert problem["detail"] == (
        "inference paused due to wellbeing intervention: too hot (timeout after 0.1s)"
    )
    assert sidecar.counters(scope)["requests_timed_out"] == 1


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_proxy_may_request_another_status_for_refusals(sidecar: Sidecar, scope: str, status: int) -> None:
    sidecar.pause(scope)
    assert sidecar.gate(scope, wait=0, deny_status=status).status_code == status


@pytest.mark.parametrize(
    "params",
    [
        {"wait": "soon"},
        {"wait": -1},
        {"wait": "nan"},
        {"deny_status": 418},
        {"wait": ""},
        {"wait": " 1"},
        {"wait": "\u0665"},
    ],
)
def test_a_wrong_parameter_is_named(sidecar: Sidecar, params: dict) -> None:
    answer = sidecar.gate("", **params)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/invalid-parameter")
    assert next(iter(params)) in answer.json()["detail"]


@pytest.mark.parametrize("bad", ["a//b", "a b", "%zz", "x" * 65, "/".join("abcdefghi"), "%ff"])
def test_a_wrong_scope_is_refused(sidecar: Sidecar, bad: str) -> None:
    with Connection(sidecar) as connection:
        connection.get(f"/v1/gate/{bad.replace(' ', '%20')}")
        answer = connection.receive()
    assert answer.status == 400
    assert b"/invalid-scope" in answer.body


def test_resume_wakes_every_waiter(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    with ThreadPoolExecutor(20) as pool:
        waiting = [in_background(pool, sidecar, f"{scope}/agent-{n}", wait=30) for n in range(20)]
        sidecar.wait_for_waiters(scope, 20)
        sidecar.resume(scope)
        assert {one.result().status_code for one in waiting} == {200}
    counters = sidecar.counters(scope)
    assert (counters["requests_waited"], counters["requests_blocked"]) == (20, 20)


def test_max_pause_wakes_parked_requests(sidecar: Sidecar) -> None:
    sidecar.pause("brief/one")
    answer = sidecar.gate("brief/one", wait=30)
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() < 20
    counters = sidecar.counters("brief/one")
    assert (counters["requests_waited"], counters["resumes_total"]) == (1, 1)


def test_a_wait_is_capped_by_the_policy(sidecar: Sidecar) -> None:
    sidecar.pause("short-wait")
    assert "timeout after 0.2s" in sidecar.gate("short-wait", wait=50).json()["detail"]
    assert "timeout after 0.2s" in sidecar.gate("short-wait").json()["detail"]
    sidecar.resume("short-wait")


def test_an_ancestors_hold_closes_the_gate_and_is_named(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope, "the parent")
    sidecar.pause(f"{scope}/child", "the child")
    answer = sidecar.resume(f"{scope}/child")
    assert (answer["gate"], answer["held_by"], answer["reason"]) == ("closed", scope, "the parent")
    assert sidecar.gate(f"{scope}/child/x", wait=0).json()["held_by"] == scope
    sidecar.resume(scope)
    assert sidecar.gate(f"{scope}/child").json()["gate"] == "open"


def test_a_client_that_disconnects_is_noticed_and_counted(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    with Connection(sidecar) as connection:
        connection.get(f"/v1/gate/{scope}?wait=50")
        sidecar.wait_for_waiters(scope, 1)
    eventually_equal(lambda: sidecar.counters(scope)["requests_abandoned"], 1, "abandoned")
    assert sidecar.counters(scope)["waiters"] == 0


def test_a_client_that_disconnects_on_the_asgi_path_is_noticed(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    with Connection(sidecar) as connection:
        connection.get("/-/healthy")
        assert connection.receive().status == 200
        connection.get(f"/v1/gate/{scope}?wait=50")
        sidecar.wait_for_waiters(scope, 1)
    eventually_equal(lambda: sidecar.counters(scope)["requests_abandoned"], 1, "abandoned")


def test_a_wait_on_the_asgi_path_is_woken(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    with Connection(sidecar) as connection:
        connection.get("/-/healthy")
        connection.receive()
        connection.get(f"/v1/gate/{scope}?wait=50")
        sidecar.wait_for_waiters(scope, 1)
        sidecar.resume(scope)
        assert connection.receive().status == 200


def test_a_waiter_beyond_the_limit_is_turned_away() -> None:
    with Sidecar({"limits": {"max_waiters": 1}}) as own:
        own.pause("a")
        with Connection(own) as first:
            first.get("/v1/gate/a?wait=50")
            own.wait_for_waiters("a", 1)
            answer = own.gate("a", wait=50)
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] in ("1", "2")
            assert answer.json()["type"].endswith("/too-many-waiters")
            assert own.counters("a")["requests_rejected"] == 1


def test_an_unnamed_scope_creates_nothing(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    before = sidecar.counters(scope)["requests_total"]
    answer = sidecar.gate(f"{scope}/never/named", wait=0).json()
    assert answer["scope"] == f"{scope}/never/named"
    assert sidecar.counters(scope)["requests_total"] == before + 1
    assert sidecar.status(scope, below="true")["below"] == []
    assert f"{scope}/never" not in sidecar.get("/metrics").text


def test_a_waiting_request_obeys_a_scope_created_while_it_waits(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    with Connection(sidecar) as connection:
        connection.get(f"/v1/gate/{scope}/child/x?wait=50")
        sidecar.wait_for_waiters(scope, 1)
        sidecar.pause(f"{scope}/child", "the child")
        sidecar.resume(scope)
        # It still waits, and is counted at the scope that it arrived at.
        assert sidecar.counters(scope)["waiters"] == 1
        assert sidecar.counters(scope)["requests_waited"] == 0
        sidecar.resume(f"{scope}/child")
        assert connection.receive().status == 200
    assert sidecar.counters(scope)["requests_waited"] == 1
    assert sidecar.counters(f"{scope}/child")["requests_blocked"] == 0


def test_a_disabled_scope_is_open_with_every_hold(sidecar: Sidecar) -> None:
    sidecar.pause("off/x")
    assert sidecar.claim("off/x", "distressed")["state"] == "healthy"
    assert sidecar.gate("off/x", wait=0).status_code == 200
    assert len(sidecar.status("off/x")["holds"]) == 1


def test_a_ramp_lets_waiters_through_in_order(sidecar: Sidecar) -> None:
    sidecar.pause("ramp")
    connections = []
    for number in range(6):
        connection = Connection(sidecar)
        connection.get("/v1/gate/ramp?wait=50")
        sidecar.wait_for_waiters("ramp", number + 1)
        connections.append(connection)
    sidecar.resume("ramp")
    connections[0].receive()
    sidecar.pause("ramp", "again")
    left = sidecar.counters("ramp")["waiters"]
    assert 0 < left < 6, "the rest stay parked when the gate closes again"
    sidecar.resume("ramp")
    for connection in connections[1:]:
        assert connection.receive().status == 200
        connection.sock.close()
    connections[0].sock.close()
    assert sidecar.counters("ramp")["requests_waited"] == 6


def test_head_responds_as_get_without_a_body(sidecar: Sidecar, scope: str) -> None:
    with Connection(sidecar) as connection:
        for target in ("/v1/gate", f"/v1/gate/{scope}"):
            connection.get(target, method="HEAD")
            answer = connection.receive(head=True)
            assert answer.status == 200
            assert int(answer.headers["content-length"]) > 100
        sidecar.pause(scope)
        connection.get(f"/v1/gate/{scope}?wait=0", method="HEAD")
        assert connection.receive(head=True).status == 503
        connection.get("/v1/gate")
        assert connection.receive().status == 200
