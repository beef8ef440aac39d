"""State, pause, resume, status, reload."""

from __future__ import annotations

import signal

import pytest

from harness.process import eventually_equal
from harness.sidecar import Sidecar


def test_a_claim_is_a_signal_and_healthy_withdraws_it(sidecar: Sidecar, scope: str) -> None:
    snapshot = sidecar.claim(scope, "concerned", reason="loops", source="planner")
    assert (snapshot["state"], snapshot["gate"]) == ("concerned", "open")
    [one] = sidecar.status(scope)["signals"]
    assert (one["source"], one["reason"], one["expires_at"]) == ("agent:planner", "loops", None)
    assert sidecar.claim(scope, "healthy", source="planner")["state"] == "healthy"
    assert sidecar.counters(scope)["interventions_total"] == 2


def test_a_claim_ends_with_its_ttl(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "distressed", ttl_secs=0.3)
    answer = sidecar.gate(scope, wait=30)
    assert answer.status_code == 200
    eventually_equal(lambda: sidecar.status(scope)["signals"], [], "expired")
    # A thread writes the log, perhaps after the response.
    eventually_equal(lambda: sidecar.logs("resume")[-1]["cause"], "expired", "the log has the cause")


def test_an_improving_state_never_lifts_an_operators_pause(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "distressed")
    sidecar.pause(scope, "mine")
    assert sidecar.claim(scope, "healthy")["gate"] == "closed"
    assert [hold["kind"] for hold in sidecar.status(scope)["holds"]] == ["manual"]
    assert sidecar.resume(scope)["gate"] == "open"


def test_a_claim_without_a_reason_gets_a_default_reason(sidecar: Sidecar, scope: str) -> None:
    assert sidecar.claim(scope, "distressed")["reason"] == "Agent entered distressed state"


def test_a_repeated_signal_does_not_repeat_a_suppressed_pause(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "distressed", source="a")
    sidecar.resume(scope)
    assert sidecar.claim(scope, "distressed", source="a")["gate"] == "open"
    assert sidecar.claim(scope, "distressed", source="b")["gate"] == "closed"


@pytest.mark.parametrize(
    ("route", "body", "detail"),
    [
        ("state", b"{", "not JSON"),
        ("state", b"[]", "must be a JSON object"),
        ("state", b"{}", "state: is missing"),
        ("state", b'{"state": "sad"}', "healthy, cautious, concerned, distressed"),
        ("state", b'{"state": "cautious", "ttl": 5}', "did you mean ttl_secs?"),
        ("state", b'{"state": "cautious", "ttl_secs": 0}', "ttl_secs: must be seconds"),
        ("state", b'{"state": "cautious", "ttl_secs": "5"}', "ttl_secs: must be a number"),
        ("state", b'{"state": "cautious", "source": "a b"}', "source: must be"),
        ("state", b'{"state": "healthy", "source": "wellbeing-watchdog"}', "is the sidecar's own"),
        ("state", b'{"state": "healthy", "source": "agent:wellbeing-watchdog"}', "is the sidecar's own"),
        ("pause", b"{}", "reason: is missing"),
        ("pause", b'{"reason": " "}', "reason: must not be empty"),
        ("pause", b'{"reason": "\\u0000\\u200e"}', "reason: must not be empty"),
        (
            "pause",
            b'{"reason": "x", "max_pause_secs": 5, "max_pause_secs": 0}',
            "'max_pause_secs': is given twice",
        ),
        ("pause", b'{"reason": 5}', "reason: must be a string"),
        ("pause", b'{"reason": "x", "max_pause_secs": -1}', "max_pause_secs"),
        ("pause", b'{"reason": "x", "max_pause_secs": 1' + b"0" * 400 + b"}", "max_pause_secs"),
        ("resume", b'{"reasons": "x"}', "did you mean reason?"),
    ],
)
def test_the_error_for_a_wrong_body_says_what_is_wrong(sidecar, scope, route, body, detail) -> None:
    method = "PUT" if route == "state" else "POST"
    answer = sidecar.session.request(method, f"{sidecar.url}/v1/{route}/{scope}", data=body, timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert detail in answer.json()["detail"]
    assert sidecar.status(scope)["follows"] == ""


def test_an_unknown_route_or_method_gets_a_problem_response(sidecar: Sidecar) -> None:
    for method, path, status in [("GET", "/v2", 404), ("GET", "/v1/pause", 405), ("DELETE", "/metrics", 405)]:
        answer = sidecar.session.request(method, sidecar.url + path, timeout=60)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_the_type_of_a_problem_is_a_working_link(sidecar: Sidecar) -> None:
    where = sidecar.get("/v1/gate", params={"wait": "x"}).json()["type"]
    assert sidecar.get(where).json()["status"] == 400


def test_healthy_and_ready_respond_with_200(sidecar: Sidecar) -> None:
    sidecar.pause("some/where")
    assert sidecar.get("/-/healthy").status_code == 200
    assert sidecar.get("/-/ready").status_code == 200


def test_a_reload_is_counted_and_a_bad_one_changes_nothing() -> None:
    with Sidecar() as own:
        assert own.claim("a", "distressed")["gate"] == "open"
        own.pause("held")
        own.configure({"defaults": {"pause_on_distressed": True}})
        own.signal(signal.SIGHUP)
        own.wait_log("reloaded")
        assert own.status("a")["gate"] == "closed"
        assert own.status("held")["gate"] == "closed"
        own.configure({"defaults": {"pause_on_distresed": False}})
        answer = own.session.post(f"{own.url}/-/reload", timeout=60)
        assert answer.status_code == 400
        assert "did you mean pause_on_distressed" in answer.json()["detail"]
        assert own.status("a")["gate"] == "closed"
        assert "wellbeing_config_last_reload_successful 0.0" in own.get("/metrics").text


def test_policies_that_are_never_used_are_logged() -> None:
    policies = [{"match": "team", "pause_on_concerned": True}, {"match": "team/one"}]
    with Sidecar({"store": "memory:", "policies": policies}) as own:
        entries = own.wait_log("never_used")["entries"]
        assert "policies[1] (team/one) is never used: policies[0] (team) comes first" in entries
        own.configure({"store": "memory:", "policies": policies[::-1]})
        assert own.ok_reload() == "Reloaded.\n"
        own.configure({"store": "memory:", "policies": policies[:1] * 8})
        assert own.ok_reload() == "Reloaded.\n"
        eventually_equal(lambda: len(own.logs("never_used")), 2, "warnings")
        assert own.logs("never_used")[-1]["entries"].endswith("; and 2 more")


def test_a_reload_names_the_keys_that_need_a_restart() -> None:
    with Sidecar({"store": "memory:"}) as own:
        own.configure(
            {
                "store": "memory:",
                "log_level": "debug",
                "scope_idle_secs": 5,
                "defaults": {"max_pause_secs": 7},
            }
        )
        assert own.ok_reload() == "Reloaded. At the next start only: log_level, scope_idle_secs.\n"
        assert own.wait_log("restart_needed")["keys"] == "log_level, scope_idle_secs"
        assert own.ok_reload() == "Reloaded.\n"
        assert len(own.logs("restart_needed")) == 1


def test_a_reload_that_removes_the_ramp_notifies_clients_without_a_new_snapshot() -> None:
    with Sidecar({"policies": [{"match": "a", "resume_ramp_per_sec": 5}]}) as own:
        before = own.gate("a")
        assert before.headers["Wellbeing-Ramp-Per-Sec"] == "5"
        own.configure({"policies": [{"match": "a"}]})
        assert own.session.post(f"{own.url}/-/reload", timeout=60).status_code == 200
        after = own.gate("a")
        assert after.headers["ETag"] == before.headers["ETag"]
        assert "Wellbeing-Ramp-Per-Sec" not in after.headers


def test_a_log_line_has_the_time_of_its_event() -> None:
    with Sidecar({}) as own:
        own.ok(own.session.post(f"{own.url}/v1/pause/a", json={"reason": "look"}, timeout=60))
        own.wait_log("pause")
        entry = own.get("/v1/history/a").json()["entries"][0]
        assert [line["time"] for line in own.logs("pause")] == [entry["at"]]
