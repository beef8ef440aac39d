"""Advice: the pauses that an observing policy would have made, as clients and operators see them."""

from __future__ import annotations

import contextlib
import queue
import threading
from pathlib import Path

import pytest

from harness.sidecar import Sidecar
from sidecar.client import Advice, Gate

WATCHING = {"defaults": {}, "policies": [{"match": "brief", "max_pause_secs": 0.2}]}
DRY_RUN = {"defaults": {"pause_on_distressed": True, "dry_run": True}}
PAUSING = {"defaults": {"pause_on_distressed": True}}


@pytest.fixture(scope="module")
def watching() -> Sidecar:
    with Sidecar(WATCHING) as running:
        yield running


def test_the_default_config_gives_advice_and_closes_no_gate(watching: Sidecar, scope: str) -> None:
    snapshot = watching.claim(scope, "distressed", reason="slow", source="me")
    assert (snapshot["gate"], snapshot["reason"], snapshot["held_by"]) == ("open", None, None)
    advice = snapshot["advice"]
    assert list(advice) == ["reason", "since", "until"]
    assert advice["reason"] == "slow"
    for inside in (scope, f"{scope}/nobody"):
        answer = watching.gate(inside, wait=0)
        assert answer.status_code == 200
        assert answer.json()["advice"] == advice
    status = watching.status(scope)
    assert status["advice"] == {
        **advice, "advised_by": scope, "why": "observes", "by": "agent:me", "alertname": None,
    }  # fmt: skip
    assert (status["holds"], status["counters"]["advised_pauses_total"]) == ([], 1)
    assert scope in [one["scope"] for one in watching.status()["unwell"]]
    assert watching.metric(f'wellbeing_advised{{scope="{scope}"}}') == 1
    assert watching.metric(f'wellbeing_paused{{scope="{scope}"}}') == 0
    assert watching.metric(f'wellbeing_advised_pauses_total{{scope="{scope}"}}') == 1
    watching.wait_for_metric(f'wellbeing_advised_paused_seconds_total{{scope="{scope}"}}', 0.001)


def test_a_client_sees_the_advice_and_its_end(watching: Sidecar, scope: str) -> None:
    told: queue.SimpleQueue[Advice | None] = queue.SimpleQueue()
    with contextlib.closing(Gate(watching.url, scope=scope)) as gate:
        gate.wait()
        gate.on_change(lambda _, snapshot: told.put(snapshot.advice))
        advised = watching.claim(scope, "distressed", reason="slow")["advice"]
        assert told.get(timeout=30) == Advice(**advised)
        assert gate.snapshot.advice == Advice(**advised)
        watching.claim(scope, "healthy")
        assert told.get(timeout=30) is None


def test_advice_ends_with_the_state_and_the_history_has_start_and_end(watching: Sidecar, scope: str) -> None:
    watching.claim(scope, "distressed", reason="slow", source="me")
    assert watching.claim(scope, "healthy", source="me")["advice"] is None
    assert watching.metric(f'wellbeing_advised{{scope="{scope}"}}') == 0
    entries = watching.get(f"/v1/history/{scope}", params={"kind": "advice,advice_ended"}).json()["entries"]
    assert [(one["kind"], one["from"], one["to"], one["cause"]) for one in entries] == [
        ("advice_ended", "advised", "none", "recovered"),
        ("advice", "none", "advised", "auto"),
    ]


def test_advice_that_expires_is_shown_as_suppressed(watching: Sidecar) -> None:
    etag = watching.get("/v1/watch/brief").headers["ETag"]
    watching.claim("brief", "distressed")
    changed = watching.get("/v1/watch/brief", params={"wait": 20}, headers={"If-None-Match": etag})
    assert changed.json()["advice"] is not None, "a watch is told"
    tag = {"If-None-Match": changed.headers["ETag"]}
    assert watching.get("/v1/watch/brief", params={"wait": 20}, headers=tag).json()["advice"] is None
    suppressed = watching.status("brief")["suppressed"]
    assert (suppressed["advised"], suppressed["cause"]) == (True, "max_pause")
    assert "distressed, not paused: its advised pause ended at " in suppressed["text"]


def test_an_operator_pauses_and_resumes_while_there_is_advice(watching: Sidecar, scope: str) -> None:
    watching.claim(scope, "distressed", reason="slow")
    paused = watching.pause(scope, "mine")
    assert (paused["gate"], paused["reason"], paused["advice"]["reason"]) == ("closed", "mine", "slow")
    resumed = watching.resume(scope)
    assert (resumed["gate"], resumed["advice"]) == ("open", None)
    assert watching.metric(f'wellbeing_resumes_total{{cause="manual",scope="{scope}"}}') == 1


def test_advice_survives_a_kill_and_a_reload_turns_it_into_a_pause_and_back(tmp_path: Path) -> None:
    with Sidecar(DRY_RUN, store="sqlite:state.db", folder=tmp_path) as own:
        before = own.claim("a", "distressed", reason="slow", source="me")["advice"]
        own.kill()
        own.restart()
        assert own.status("a")["advice"]["why"] == "dry_run"
        assert own.gate("a").json()["advice"] == before
        own.configure(PAUSING)
        own.ok_reload()
        assert own.wait_log("reloaded")["paused"] == 1
        closed = own.gate("a", wait=0)
        assert (closed.status_code, closed.json()["reason"], closed.json()["advice"]) == (503, "slow", None)
        waited = []
        waiting = threading.Thread(target=lambda: waited.append(own.get("/v1/gate/a?wait=30").status_code))
        waiting.start()
        own.wait_for_waiters("a", 1)
        own.configure(DRY_RUN)
        own.ok_reload()
        waiting.join(30)
        assert waited == [200]
        assert own.gate("a").json()["advice"]["reason"] == "slow"
        assert own.logs("reloaded")[-1]["resumed"] == 1
        kinds = [
            (entry["kind"], entry["source"], entry["cause"])
            for entry in reversed(own.get("/v1/history/a").json()["entries"])
        ]
        assert kinds[1:] == [
            ("advice", "agent:me", "auto"),
            ("advice_ended", "policy", "policy"),
            ("pause", "agent:me", "auto"),
            ("resume", "policy", "policy"),
            ("advice", "agent:me", "auto"),
        ]
        own.kill()
        own.configure(PAUSING)
        own.restart()
        assert own.gate("a", wait=0).status_code == 503, "a restart with the new config does the same"


def test_a_dry_run_advises_a_restriction_for_the_scope_and_those_below() -> None:
    policies = [{"match": "slow", "dry_run": True, "restrict": {"concerned": 20}}]
    with Sidecar({"policies": policies}) as sidecar:
        sidecar.claim("slow", "concerned", reason="many wait")
        for scope in ("slow", "slow/inside"):
            snapshot = sidecar.get(f"/v1/gate/{scope}").json()
            assert (snapshot["gate"], snapshot["admit_per_sec"]) == ("open", None)
            assert {**snapshot["advice"], "since": None} == {
                "reason": "many wait",
                "since": None,
                "until": None,
                "admit_per_sec": 20,
            }
        advice = sidecar.get("/v1/status/slow").json()["advice"]
        assert (advice["advised_by"], advice["why"], advice["by"]) == ("slow", "dry_run", "agent:default")
        assert 'wellbeing_advised_admit_per_second{scope="slow"} 20.0' in sidecar.get("/metrics").text
        page = sidecar.get("/", headers={"Accept": "text/html"}).text
        assert "Would admit" in page
        assert "1 advised" in page
        inside = sidecar.get("/ui/scope/slow", headers={"Accept": "text/html"}).text
        assert "A restriction is advised" in inside
        # An advised pause takes precedence: at a closed gate no request passes at any rate.
        sidecar.claim("slow", "distressed", reason="worse")
        assert "admit_per_sec" not in sidecar.get("/v1/status/slow").json()["advice"]
        sidecar.claim("slow", "healthy")
        assert sidecar.get("/v1/status/slow").json()["advice"] is None
        assert "wellbeing_advised_admit_per_second{" not in sidecar.get("/metrics").text
