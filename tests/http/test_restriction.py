"""Restrictions, priorities and trials of a running sidecar."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import requests

from harness.process import eventually, eventually_equal
from harness.raw import Connection
from harness.receivers import Receiver
from harness.sidecar import Sidecar
from sidecar.client import Gate, InferencePaused
from sidecar.client.asgi import GateMiddleware

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    policies = [
        {"match": "slow", "restrict": {"concerned": 20, "distressed": 2}},
        {"match": "few", "restrict": {"concerned": 0.5}},
        {"match": "rare", "wait_timeout_secs": 600, "restrict": {"concerned": 0.1}},
        {"match": "both", "pause_on_distressed": True, "restrict": {"concerned": 50}},
        {
            "match": "trial",
            "pause_on_distressed": True,
            "resume_trial": {"requests": 2, "secs": 60},
        },
    ]
    with Sidecar({"policies": policies}) as own:
        yield own


def test_the_state_determines_the_rate_and_every_snapshot_shows_it(sidecar: Sidecar) -> None:
    sidecar.claim("slow", "concerned", reason="many wait")
    inside = sidecar.get("/v1/gate/slow/x").json()
    assert (inside["gate"], inside["admit_per_sec"], inside["held_by"]) == ("restricted", 20, "slow")
    assert inside["reason"] == "many wait"
    assert sidecar.get("/v1/watch/slow").json()["admit_per_sec"] == 20
    assert 'wellbeing_admit_per_second{scope="slow"} 20.0' in sidecar.get("/metrics").text
    sidecar.claim("slow", "distressed")
    assert sidecar.get("/v1/status/slow").json()["admit_per_sec"] == 2
    sidecar.claim("slow", "healthy")
    after = sidecar.get("/v1/status/slow").json()
    assert (after["gate"], after["admit_per_sec"], after["reason"]) == ("open", None, None)
    assert 'wellbeing_admit_per_second{scope="slow"}' not in sidecar.get("/metrics").text
    entries = sidecar.get("/v1/history/slow?kind=restriction").json()["entries"]
    assert [(one["from"], one["to"]) for one in entries] == [
        ("2 per second", "unrestricted"),
        ("20 per second", "2 per second"),
        ("unrestricted", "20 per second"),
    ]


@pytest.mark.parametrize("slow_path", [False, True])
def test_requests_above_the_rate_wait_or_time_out_on_both_paths(sidecar: Sidecar, slow_path: bool) -> None:
    scope = f"few/{slow_path}"
    sidecar.claim("few", "concerned")
    # A request with a body makes the fast path pass the connection to ASGI.
    body = {"data": b"x"} if slow_path else {}
    before = sidecar.counters("few")
    answers = [requests.get(f"{sidecar.url}/v1/gate/{scope}?wait=0", **body).status_code for _ in range(4)]
    assert answers.count(503) >= 3
    refused = requests.get(f"{sidecar.url}/v1/gate/{scope}?wait=0.05", **body)
    assert refused.status_code == 503
    assert refused.json()["type"] == "/problems/inference-paused"
    assert refused.json()["gate"] == "restricted"
    admitted = requests.get(f"{sidecar.url}/v1/gate/{scope}?wait=10", **body)
    assert (admitted.status_code, admitted.json()["gate"]) == (200, "restricted")
    after = sidecar.counters("few")
    ended = sum(after[f"requests_{name}"] - before[f"requests_{name}"] for name in ("waited", "timed_out"))
    assert after["requests_blocked"] - before["requests_blocked"] == ended
    assert after["requests_waited"] - before["requests_waited"] == 1
    sidecar.claim("few", "healthy")


@pytest.mark.parametrize("slow_path", [False, True])
def test_a_refusal_estimates_when_a_retry_would_be_admitted(sidecar: Sidecar, slow_path: bool) -> None:
    body = {"data": b"x"} if slow_path else {}

    def secs_until_retry(query: str = "") -> int:
        refused = requests.get(f"{sidecar.url}/v1/gate/rare?wait=0{query}", **body)
        assert refused.json()["retry_after"] == int(refused.headers["Retry-After"])
        return refused.json()["retry_after"]

    sidecar.claim("rare", "concerned")
    sidecar.gate("rare", wait=0)
    assert 10 <= secs_until_retry() <= 15, "the rate is one token in 10 s"
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(Connection(sidecar)).get("/v1/gate/rare?wait=600")
        sidecar.wait_for_waiters("rare", 20)
        # A few requests may have passed meanwhile.
        assert 100 <= secs_until_retry() <= 315
        assert 10 <= secs_until_retry("&priority=6") <= 15
        for _ in range(20):
            stack.enter_context(Connection(sidecar)).get("/v1/gate/rare?wait=600")
        sidecar.wait_for_waiters("rare", 40)
        assert 300 <= secs_until_retry() <= 450, "an estimate is at most five minutes, before it is spread"
    with Gate(sidecar.url, scope="rare", wait_secs=0) as gate:
        for _ in range(2):
            with contextlib.suppress(InferencePaused):
                gate.wait(0.1)
        with pytest.raises(InferencePaused) as caught:
            gate.wait(0)
    assert 10 <= caught.value.retry_after <= 15, "a client gets the same estimate"
    sidecar.wait_for_waiters("rare", 0)
    sidecar.claim("rare", "healthy")


def test_a_pause_takes_precedence_over_a_restriction(sidecar: Sidecar) -> None:
    sidecar.claim("both", "distressed")
    assert sidecar.get("/v1/status/both").json()["gate"] == "closed"
    sidecar.resume("both")
    # The state is still distressed, and the operator lifted the hold.
    after = sidecar.get("/v1/status/both").json()
    assert (after["gate"], after["admit_per_sec"]) == ("restricted", 50)
    sidecar.claim("both", "healthy")


@pytest.mark.parametrize("value", ["10", "-1", "", "5.0", "high", "٣"])
def test_a_priority_outside_0_to_9_is_refused(sidecar: Sidecar, value: str) -> None:
    refused = sidecar.get("/v1/gate/slow", params={"priority": value})
    assert refused.status_code == 400
    assert "priority: must be a whole number from 0 to 9" in refused.json()["detail"]
    if value and value.isascii():
        refused = sidecar.get("/v1/gate/slow", headers={"Wellbeing-Priority": value})
        assert refused.status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "",
        "client=a",
        "client=a&waiting=",
        "client=a&waiting=10:1",
        "client=a&waiting=5:0",
        "client=+&waiting=5:1",
    ],
)
def test_admit_reports_what_is_wrong(sidecar: Sidecar, query: str) -> None:
    refused = sidecar.get(f"/v1/admit/slow?{query}")
    assert refused.status_code == 400
    assert refused.json()["type"] == "/problems/invalid-parameter"


def test_admit_grants_everything_at_an_open_gate_and_nothing_at_a_closed_one(sidecar: Sidecar) -> None:
    asked = "/v1/admit/one?client=a&waiting=5:7,9:2"
    assert sidecar.get(asked).json() == {"admitted": 9, "share_per_sec": 0.0, "trial": None}
    sidecar.pause("one")
    assert sidecar.get(asked).json()["admitted"] == 0
    sidecar.resume("one")


def test_a_client_follows_a_restriction_and_its_end(sidecar: Sidecar) -> None:
    sidecar.claim("slow", "concerned")
    passed: SimpleQueue[float] = SimpleQueue()
    with Gate(sidecar.url, scope="slow", report_secs=0.2) as gate:
        for _ in range(20):
            with contextlib.suppress(InferencePaused):
                gate.wait(0.0)
        assert gate.counts["timed_out"] >= 10

        def work() -> None:
            gate.wait(30)
            passed.put(time.monotonic())

        threads = [threading.Thread(target=work) for _ in range(30)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        # 20 requests per second, and a burst of two.
        times = [passed.get(timeout=30) for _ in range(20)]
        assert max(times) - began >= 0.7
        sidecar.claim("slow", "healthy")
        for thread in threads:
            thread.join()
        gate.wait(5)
    assert passed.qsize() == 10


def test_a_trial_opens_the_gate_after_successes_and_a_failure_puts_the_hold_back(sidecar: Sidecar) -> None:
    def outcome(gate: Gate, *, good: bool) -> None:
        with gate.admitted(20) as request:
            if not good:
                request.failed()

    with Gate(sidecar.url, scope="trial", report_secs=0.2) as gate:
        gate.wait(5)
        sidecar.claim("trial", "distressed", reason="stuck")
        eventually(lambda: not gate.is_open, "the state is known")
        sidecar.claim("trial", "healthy")
        status = sidecar.get("/v1/status/trial").json()
        assert (status["gate"], status["admit_per_sec"]) == ("restricted", None)
        assert status["trial"]["requests"] == 2
        outcome(gate, good=False)
        eventually_equal(
            lambda: sidecar.get("/v1/status/trial").json()["gate"], "closed", "the state is known"
        )
        hold = sidecar.get("/v1/status/trial").json()["holds"][0]
        assert (hold["kind"], hold["reason"]) == ("auto", "stuck")
        newest = sidecar.get("/v1/history/trial?kind=pause").json()["entries"][0]
        assert newest["cause"] == "trial_failed"
        # A new signal: another pause, and another recovery.
        sidecar.claim("trial", "distressed", reason="stuck again")
        sidecar.claim("trial", "healthy")
        outcome(gate, good=True)
        outcome(gate, good=True)
        eventually_equal(lambda: sidecar.get("/v1/status/trial").json()["gate"], "open", "the state is known")
        eventually(lambda: gate.is_open, "the state is known")
        counts = gate.counts
        assert (counts["succeeded"], counts["failed"]) == (2, 1)
    metrics = sidecar.get("/metrics").text
    assert 'wellbeing_admitted_total{outcome="failed",scope="trial"} 1.0' in metrics
    assert 'wellbeing_pauses_total{cause="trial_failed",scope="trial"} 1.0' in metrics


def test_a_header_of_the_middleware_sets_the_priority(sidecar: Sidecar) -> None:
    order: list[str] = []
    sidecar.pause("slow")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        order.append(dict(scope["headers"]).get(b"x-priority", b"none").decode())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def main() -> None:
        middleware = GateMiddleware(
            application, url=sidecar.url, scope="slow", priority_header="X-Priority", report_secs=0.2
        )

        async def ask(*headers: tuple[bytes, bytes]) -> None:
            scope = {"type": "http", "method": "POST", "path": "/v1/messages", "headers": headers}
            await middleware(scope, asyncio.Queue().get, lambda _: asyncio.sleep(0))

        # Any other value than 0 to 9 counts as the default, 5.
        names = (b"2", b"2", b"7", b"ten", b"9", b"0")
        asked = [asyncio.create_task(ask((b"x-priority", name))) for name in names]
        asked.append(asyncio.create_task(ask()))
        while middleware.gate.counts["blocked"] < len(asked):  # noqa: ASYNC110 - they are parked soon
            await asyncio.sleep(0.01)
        sidecar.claim("slow", "concerned")
        sidecar.resume("slow")
        await asyncio.gather(*asked)
        await asyncio.to_thread(middleware.gate.close)

    asyncio.run(main())
    sidecar.claim("slow", "healthy")
    assert order == ["9", "7", "ten", "none", "2", "2", "0"]


def test_a_failed_trial_is_sent_to_hooks() -> None:
    policy = {"match": "t", "pause_on_distressed": True, "resume_trial": {"requests": 1, "secs": 60}}
    with Receiver() as receiver:
        hook = {"name": "one", "url": f"{receiver.url}/hook", "events": ["trial_failed"]}
        with (
            Sidecar({"policies": [policy], "hooks": [hook]}) as own,
            Gate(own.url, scope="t", report_secs=0.2) as gate,
        ):
            gate.wait(5)
            own.claim("t", "distressed", reason="stuck")
            own.claim("t", "healthy")
            with pytest.raises(ZeroDivisionError), gate.admitted(20):
                raise ZeroDivisionError
            eventually_equal(lambda: len(receiver.received), 1, "the hook is told")
    event = json.loads(receiver.received[0].body)
    assert (event["type"], event["subject"]) == ("wellbeing.trial_failed", "t")
    assert (event["data"]["cause"], event["data"]["reason"]) == ("trial_failed", "stuck")


def test_a_restriction_a_trial_and_a_failed_trial_survive_a_kill(tmp_path: Path) -> None:
    trial = {"pause_on_distressed": True, "resume_trial": {"requests": 1, "secs": 60}}
    config = {
        "policies": [
            {"match": "slow", "restrict": {"concerned": 20}},
            {"match": "trial", **trial},
            {"match": "failed", **trial},
        ]
    }

    def fail(own: Sidecar) -> None:
        with Gate(own.url, scope="failed", report_secs=0.2) as gate:
            with gate.admitted(20) as request:
                request.failed()
            eventually_equal(lambda: own.status("failed")["gate"], "closed", "the hold is put back")

    with Sidecar(config, store="sqlite:state.db", folder=tmp_path) as first:
        first.claim("slow", "concerned")
        for scope in ("trial", "failed"):
            first.claim(scope, "distressed", reason="stuck")
            first.claim(scope, "healthy")
        fail(first)
        before = {scope: first.status(scope) for scope in ("slow", "trial", "failed")}
        first.kill()
    with Sidecar(config, store="sqlite:state.db", folder=tmp_path) as second:
        for scope, old in before.items():
            new = second.status(scope)
            for name in ("gate", "admit_per_sec", "trial", "holds", "reason", "until"):
                assert new[name] == old[name], (scope, name)
        assert before["trial"]["trial"] is not None
        with Gate(second.url, scope="trial", report_secs=0.2) as gate:
            with gate.admitted(20):
                pass
            eventually_equal(lambda: second.status("trial")["gate"], "open", "the trial has succeeded")
        newest = second.get("/v1/history/failed?kind=pause").json()["entries"][0]
        assert newest["cause"] == "trial_failed"


def test_the_commands_describe_a_restriction_and_the_effect_of_a_resume(sidecar: Sidecar) -> None:
    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sidecar", *arguments]
        environ = {**os.environ, "WELLBEING_URL": sidecar.url}
        return subprocess.run(
            command, check=False, env=environ, capture_output=True, text=True, timeout=30, cwd=ROOT
        )

    sidecar.claim("slow", "concerned", reason="many wait")
    assert "until the state improves, at 20 requests per second: many wait" in ask("status", "slow").stdout
    sidecar.claim("trial", "distressed")
    sidecar.claim("trial", "healthy")
    assert "trial of 2 requests" in ask("status", "trial").stdout
    ended = ask("resume", "trial")
    assert "gate open" in ended.stdout
    assert "nothing to lift" not in ended.stderr, "the resume has ended the trial"
    sidecar.claim("slow", "healthy")
