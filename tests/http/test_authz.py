"""Authorization requests: the request of a proxy's client does not change the decision."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.process import eventually_equal
from harness.raw import Connection
from harness.sidecar import Sidecar
from sidecar.gates.priorities import DEFAULT_PRIORITY
from sidecar.web.gate.requests import GateRequest

CLIENTS = ["POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]


@pytest.fixture(scope="module")
def authorizer() -> Iterator[Sidecar]:
    config = {
        "defaults": {"wait_timeout_secs": 0.05},
        "policies": [
            {"match": "patient", "wait_timeout_secs": 60},
            {"match": "teapot", "deny_status": 429, "wait_timeout_secs": 0.05},
            {"match": "crowded", "deny_status": 403, "wait_timeout_secs": 60},
        ],
        "limits": {"max_waiters_per_scope": 1},
    }
    with Sidecar(config) as own:
        yield own


def status(sidecar: Sidecar, target: str, *headers: str, method: str = "POST", body: str = "") -> int:
    with Connection(sidecar) as connection:
        connection.get(target, *headers, method=method)
        if body:
            connection.send(body.encode())
        return connection.receive(head=method == "HEAD").status


@pytest.mark.parametrize("method", CLIENTS)
@pytest.mark.parametrize("asgi", [False, True])
def test_every_method_checks_the_gate(authorizer: Sidecar, scope: str, method: str, asgi: bool) -> None:
    with Connection(authorizer) as connection:
        if asgi:
            connection.get("/-/healthy")
            connection.receive()
        for wanted in (200, 503):
            connection.get(f"/v1/authz/{scope}/-/v1/chat/completions", "Content-Length: 0", method=method)
            assert connection.receive(head=method == "HEAD").status == wanted
            authorizer.pause(scope)
    authorizer.wait_for_waiters(scope, 0)
    counters = authorizer.counters(scope)
    assert (counters["requests_timed_out"], counters["requests_rejected"]) == (1, 0)


@pytest.mark.parametrize(
    "rest",
    [
        "", "/-", "/-/", "/-/v1/chat/completions", "/-//v1", "/-/../../pause", "/-/%zz", "/-/%ff%00%0d%0a",
        "/-?wait=0", "/-/x?wait=0&deny_status=200", "?wait=0&deny_status=200&unknown=1", "/-/a/-/b", "/-/%2F-%2F",
        "/-/v1/gate?wait", "/-/deny_status=403/other", "/-/;wait=0", "/-/" + "x" * 4000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("asgi", [False, True])
def test_the_clients_path_and_query_are_ignored(authorizer: Sidecar, rest: str, asgi: bool) -> None:
    """A closed gate stays closed, with the wait and the status that the operator configured."""
    authorizer.pause("teapot")
    for prefix, wanted in (("/v1/authz/teapot", 429), ("/v1/authz/deny_status=401/teapot", 401)):
        with Connection(authorizer) as connection:
            if asgi:
                connection.get("/-/healthy")
                connection.receive()
            connection.get(prefix + rest)
            answer = connection.receive()
        assert answer.status == wanted, answer.body
        assert b"a test (timeout after 0.05s)" in answer.body


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer sk-somebody", "Authorization: Basic YTpi", "Origin: https://elsewhere.example",
        "Sec-Fetch-Site: cross-site", 'If-None-Match: "*"', "Connection: close", "Upgrade: websocket",
        "X-HTTP-Method-Override: DELETE", "X-Forwarded-Uri: /v1/resume", "X-Original-URL: /v1/resume",
        "Prefer: wait=0", "Expect: 100-continue", "Range: bytes=0-0", "Accept: text/html",
    ],
)  # fmt: skip
def test_the_clients_headers_change_nothing(authorizer: Sidecar, scope: str, header: str) -> None:
    target = f"/v1/authz/{scope}/-/v1/completions"
    assert status(authorizer, target, header) == 200
    assert status(authorizer, target, header, header) == 200
    authorizer.pause(scope)
    assert status(authorizer, target, header) == 503


@pytest.mark.parametrize(
    ("header", "body"),
    [("Content-Length: 5000", ""), ("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", ""),
     ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")],
)  # fmt: skip
def test_a_response_does_not_wait_for_the_body(
    authorizer: Sidecar, scope: str, header: str, body: str
) -> None:
    """The connection ends, so that the next request is not read as a body that a proxy announced and did not
    send."""
    for wanted in (200, 503):
        with Connection(authorizer) as connection:
            connection.get(f"/v1/authz/{scope}/-/v1/completions", header, method="POST")
            if body:
                connection.send(body.encode())
            answer = connection.receive()
            assert (answer.status, answer.headers["connection"]) == (wanted, "close")
        authorizer.pause(scope)


def test_a_client_cannot_raise_its_priority() -> None:
    for target in (b"/v1/authz/a/-/x", b"/v1/authz/a"):
        assert GateRequest.parse(target, None, None, b"9").priority == DEFAULT_PRIORITY


def test_a_large_body_is_skipped_while_its_request_waits(authorizer: Sidecar) -> None:
    authorizer.pause("patient")
    with Connection(authorizer) as connection, ThreadPoolExecutor(1) as pool:
        connection.get("/v1/authz/patient/-/v1/completions", "Content-Length: 30000000", method="POST")
        sent = pool.submit(connection.send, b"x" * 30_000_000)
        authorizer.wait_for_waiters("patient", 1)
        sent.result(30)
        authorizer.resume("patient")
        assert connection.receive().status == 200


def test_a_resume_wakes_a_waiter_and_a_client_that_leaves_is_abandoned(authorizer: Sidecar) -> None:
    target = "/v1/authz/patient/-/v1/chat/completions"
    before = authorizer.counters("patient")
    authorizer.pause("patient")
    with Connection(authorizer) as stays:
        stays.get(target, "Content-Length: 0", method="POST")
        authorizer.wait_for_waiters("patient", 1)
        authorizer.resume("patient")
        assert stays.receive().status == 200
        # The same connection waits again, and then disconnects.
        authorizer.pause("patient")
        stays.get(target, method="DELETE")
        authorizer.wait_for_waiters("patient", 1)
    authorizer.wait_for_waiters("patient", 0)
    after = authorizer.counters("patient")
    assert after["requests_waited"] == before["requests_waited"] + 1
    assert after["requests_abandoned"] == before["requests_abandoned"] + 1
    authorizer.resume("patient")


def test_a_refusal_by_a_full_queue_has_the_configured_status(authorizer: Sidecar) -> None:
    """A proxy that treats a 503 as a failure of its authorizer would let the request pass."""
    authorizer.pause("crowded")
    with Connection(authorizer) as parked:
        parked.get("/v1/authz/crowded/-/")
        authorizer.wait_for_waiters("crowded", 1)
        answer = authorizer.get("/v1/authz/crowded/-/")
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/too-many-waiters")
        assert "Retry-After" in answer.headers
        assert authorizer.gate("crowded").status_code == 403, "the policy's status, at the gate too"
        assert authorizer.gate("crowded", deny_status=503).status_code == 503


def test_the_header_of_a_refusal_has_the_reason_in_ascii(authorizer: Sidecar, scope: str) -> None:
    reason = 'zu "heiß"\\ \x07\u2028🙂' + "y" * 1000
    authorizer.pause(scope, reason)
    header = authorizer.get(f"/v1/ready/{scope}").headers["Wellbeing-Reason"]
    told = json.loads(f'"{header}"')
    assert len(told) == 300
    assert told in authorizer.get(f"/v1/ready/{scope}").json()["detail"]


def test_a_reload_changes_the_status_of_refusals(scope: str) -> None:
    policy = {"match": scope, "wait_timeout_secs": 0}
    with Sidecar({"policies": [policy]}) as own, Connection(own) as connection:
        own.pause(scope)
        for wanted in (503, 429):
            connection.get(f"/v1/authz/{scope}/-/x", method="POST")
            answer = connection.receive()
            assert answer.status == wanted
            own.configure({"policies": [{**policy, "deny_status": 429}]})
            own.ok_reload()


def test_the_gate_command_waits_with_every_configured_status(authorizer: Sidecar) -> None:
    authorizer.pause("teapot", "too hot")
    command = [sys.executable, "-m", "sidecar", "gate", "teapot", "--url", authorizer.url, "--wait", "0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 75
    assert done.stderr.endswith("too hot (timeout after 0s)\n")


def test_the_clients_authorization_header_has_no_effect(scope: str) -> None:
    """With credentials, the client's Authorization header neither helps nor hurts."""
    token = "0123456789abcdef0123456789abcdef"
    config = {
        "listen": [{"address": "127.0.0.1:0", "roles": ["worker"]}],
        "auth": {"credentials": [{"name": "proxy", "roles": ["operator"], "token_env": "TOKEN"}]},
    }
    with Sidecar(config, {"TOKEN": token}, listen_flag=False) as own:
        for given in ((), ("Authorization: Bearer wrong",), (f"Authorization: Bearer {token}",)):
            for _ in range(20):
                assert status(own, f"/v1/authz/{scope}/-/x", *given) == 200


def test_a_proxys_token_must_be_valid_for_the_requested_scope() -> None:
    config = {
        "auth": {
            "credentials": [{"name": "p", "roles": ["worker"], "scope": "team-a", "token_env": "TOKEN"}]
        },
    }
    token = "0123456789abcdef0123456789abcdef"
    bearer = f"Authorization: Bearer {token}"
    with Sidecar(config, {"TOKEN": token}) as own:
        assert status(own, "/v1/authz/team-a/llama/-/team-b", bearer) == 200
        assert status(own, "/v1/authz/team-b/-/team-a", bearer) == 403
        assert status(own, "/v1/authz/-/team-a", bearer) == 403
        assert status(own, "/v1/authz/team-a") == 401


@pytest.mark.parametrize("prefix", ["GET /v1/authz/", "POST /v1/auth", "P", "POST ", "OPTIONS /v1/authz"])
def test_a_request_head_may_arrive_in_pieces(authorizer: Sidecar, scope: str, prefix: str) -> None:
    whole = f"{prefix.split(maxsplit=1)[0] if ' ' in prefix else 'POST'} /v1/authz/{scope}/-/x HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(authorizer.where, 10) as raw:
        raw.sendall(whole[: len(prefix)].encode())
        assert authorizer.gate(scope).status_code == 200, "the first piece has arrived"
        raw.sendall(whole[len(prefix) :].encode())
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")


# -- readiness ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ready_follows_the_gate_without_waiting_or_counting(
    authorizer: Sidecar, scope: str, method: str
) -> None:
    inside = f"{scope}/unnamed"

    def ready(where: str):
        return authorizer.session.request(method, f"{authorizer.url}/v1/ready/{where}", timeout=60)

    assert ready(scope).status_code == 200
    authorizer.pause(scope, "too hot")
    for where in (scope, inside):
        answer = ready(where)
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
        assert 1 <= int(answer.headers["Retry-After"]) <= 15
        if method == "GET":
            assert answer.json()["detail"] == "inference paused due to wellbeing intervention: too hot"
            assert (answer.json()["held_by"], answer.json()["scope"]) == (scope, where)
    authorizer.resume(scope)
    assert ready(inside).status_code == 200
    counters = authorizer.counters(scope)
    assert (counters["requests_total"], counters["requests_blocked"]) == (0, 0)


def test_ready_keeps_503_whatever_the_policy_says_about_refusals(authorizer: Sidecar) -> None:
    authorizer.pause("teapot")
    assert authorizer.get("/v1/ready/teapot").status_code == 503
    authorizer.resume("teapot")


def test_ready_refuses_unknown_parameters(authorizer: Sidecar) -> None:
    assert authorizer.get("/v1/ready?wait=1").status_code == 400
    assert authorizer.get("/v1/ready/a//b").status_code == 400
    assert authorizer.session.post(f"{authorizer.url}/v1/ready", timeout=60).status_code == 405
    eventually_equal(lambda: authorizer.get("/v1/ready").status_code, 200, "the root's gate is open")
