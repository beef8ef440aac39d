"""The command ``status``, and what commands say about scopes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from harness.commands import ROOT, ask, run
from harness.sidecar import Sidecar


def firing(fingerprint: str, **labels: str) -> bytes:
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {},
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": fingerprint,
    }
    return json.dumps({"version": "4", "groupKey": "g", "receiver": "r", "alerts": [alert]}).encode()


def test_alerts_are_shown_by_name(sidecar: Sidecar, scope: str) -> None:
    name = f"Slow (alert:{scope})"
    sidecar.ok(sidecar.notify(firing(scope, alertname="Slow", wellbeing="distressed", wellbeing_scope=scope)))
    seen = ask(sidecar, "status", scope)
    assert f"{name} claims distressed since" in seen
    assert f"auto hold by {name} since" in seen
    assert re.search(rf"{re.escape(name)} +Slow", ask(sidecar, "history", scope))


def test_status_without_a_scope_lists_unwell_and_closed_scopes() -> None:
    with Sidecar({"policies": [{"match": "quiet"}]}) as own:
        assert "All other scopes are well and open." in ask(own, "status")
        own.claim("team-a/bad", "distressed", reason="loops")
        own.claim("team-a/so-so", "cautious")
        own.pause("team-b", "by hand")
        own.pause("quiet")
        own.resume("quiet")
        seen = ask(own, "status").splitlines()
        heads = [line.partition("  ")[0].partition(":")[0] for line in seen if not line.startswith(" ")]
        assert heads == [
            "(root)",
            "3 scopes are not well or not open",
            "SCOPE",
            "team-a/bad",
            "team-a/so-so",
            "team-b",
        ]
        assert any("agent:default claims distressed" in line and "loops" in line for line in seen)
        # For a scope, only the scopes inside it are listed.
        assert "team-b" not in ask(own, "status", "team-a")
        assert re.search("^team-a/so-so  cautious    open ", ask(own, "status", "team-a"), re.MULTILINE)
        # Columns are aligned.
        assert len({line.index("open") for line in seen if line.startswith("team-a/")}) == 1
        shown = json.loads(ask(own, "status", "--json"))
        assert [one["scope"] for one in shown["unwell"]] == ["team-a/bad", "team-a/so-so", "team-b"]
        assert (shown["unwell_total"], shown["closed_total"]) == (3, 1)


def test_status_of_a_closed_scope_does_not_call_its_children_open(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    for name in (scope, f"{scope}/unknown"):
        seen = ask(sidecar, "status", name)
        assert "gate closed" in seen
        assert "well and open" not in seen


def test_a_watchdog_that_was_never_received_is_shown() -> None:
    with Sidecar({"alerts": {"watchdog": {"alertname": "Always"}}}) as own:
        sentence = "alert Always\nwas never received"
        assert "alert Always was never received" in own.get("/").text
        assert sentence.replace("\n", " ") in ask(own, "status")
        assert own.notify(firing("f", alertname="Always")).status_code == 200
        assert "never received" not in own.get("/").text + ask(own, "status")


def test_a_pause_that_waits_for_an_operator_is_shown() -> None:
    with Sidecar({"defaults": {"pause_on_distressed": True, "resume": "manual"}}) as own:
        own.claim("a", "distressed")
        assert "until an operator resumes" not in ask(own, "status", "a").partition("auto hold")[2]
        assert "waits for an operator" not in own.get("/ui/scope/a").text
        own.claim("a", "healthy")
        assert "the gate stays closed until an operator resumes" in ask(own, "status")
        assert "the pause waits for an operator" in own.get("/ui/scope/a").text


def test_advice_is_shown_with_its_reason() -> None:
    share = [{"match": "pool", "pause_on_distressed": True, "max_paused_share": 0.5}]
    with Sidecar({"policies": share}) as own:
        own.claim("alone", "distressed")
        assert "advice only, until " in ask(own, "status")
        assert "The policy only observes: no gate is closed." in own.get("/ui/scope/alone").text
        for scope in ("pool/a", "pool/b"):
            own.claim(scope, "distressed")
        assert "max_paused_share allows were paused: no gate is closed." in own.get("/ui/scope/pool/b").text


def test_an_entry_without_a_reason_ends_without_a_colon(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    sidecar.resume(scope)
    assert ask(sidecar, "history", scope).splitlines()[1].endswith("operator")


def test_a_suppressed_pause_is_shown_with_its_end() -> None:
    with Sidecar({"defaults": {"pause_on_distressed": True, "max_pause_secs": "300ms"}}) as own:
        own.claim("a", "distressed")
        assert (
            json.loads(ask(own, "status", "a", "--json"))["suppressed"] is None
            or own.status("a")["gate"] == "open"
        )
        own.wait_for_gate("a", "open")
        [resumed] = own.get("/v1/history/a", params={"kind": "resume"}).json()["entries"]
        sentence = f"distressed, not paused: its pause ended at {resumed['at']} and does not come back in this episode"
        # Not the other case: a manual pause that ends later.
        own.pause("a")
        own.resume("a")
        assert sentence in ask(own, "status", "a")
        assert sentence in ask(own, "status")
        page = own.get("/ui/scope/a").text
        assert "distressed, but not paused by its policy" in page
        assert "It does not come back in this episode" in page
        suppressed = own.status("a")["suppressed"]
        assert (suppressed["ended_at"], suppressed["text"]) == (resumed["at"], sentence)
        own.claim("a", "healthy")
        assert own.status("a")["suppressed"] is None


# -- pause, resume, and unknown names -----------------------------------------------------------------


def test_pause_and_state_of_the_root_need_the_flag_all(sidecar: Sidecar, scope: str) -> None:
    for arguments in (["pause", "--reason", "x"], ["pause", "", "--reason", "x"], ["state", "distressed"]):
        done = run(*arguments, "--url", sidecar.url)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--all" in done.stderr
    assert sidecar.status()["holds"] == sidecar.status()["signals"] == []
    done = run("pause", scope, "--all", "--reason", "x", "--url", sidecar.url)
    assert (done.returncode, "not both" in done.stderr) == (2, True)
    with Sidecar() as own:
        assert "(root): healthy, gate closed" in ask(own, "pause", "--all", "--reason", "x")
        assert "(root): healthy, gate open" in ask(own, "resume")


def test_resume_of_an_unknown_scope_fails(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(f"{scope}/llama")
    done = run("resume", f"{scope}/lama", "--url", sidecar.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{scope}/lama is unknown (did you mean {scope}/llama?), so nothing was resumed" in done.stderr
    assert sidecar.status(f"{scope}/llama")["gate"] == "closed"


def test_resume_names_the_ancestor_that_still_holds(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(f"{scope}/a")
    sidecar.pause(scope, "everything stops")
    done = run("resume", f"{scope}/a", "--url", sidecar.url)
    assert done.returncode == 1
    assert f"{scope}/a is still closed by {scope} since" in done.stderr
    assert f"everything stops; to open it: wellbeing-sidecar resume {scope}" in done.stderr
    assert sidecar.status(f"{scope}/a")["holds"] == []


def test_resume_names_the_scopes_below_that_stay_closed(sidecar: Sidecar, scope: str) -> None:
    for name in (scope, f"{scope}/a", f"{scope}/b"):
        sidecar.pause(name, f"of {name}")
    said = ask(sidecar, "resume", scope)
    assert "Inside, 2 scopes stay closed:" in said
    assert f"{scope}/a: healthy, gate closed by {scope}/a" in said


def test_a_pause_of_a_disabled_scope_fails(sidecar: Sidecar) -> None:
    done = run("pause", "off", "--reason", "x", "--url", sidecar.url)
    assert (done.returncode, "its policy is not enabled" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "command",
    [("status",), ("history",), ("state", "healthy"), ("pause", "--reason", "x")],
    ids=lambda command: command[0],
)
def test_a_misspelt_scope_gets_a_hint(sidecar: Sidecar, scope: str, command: tuple[str, ...]) -> None:
    sidecar.pause(f"{scope}/known")
    name, *rest = command
    done = run(name, f"{scope}/knwon", *rest, "--url", sidecar.url)
    assert done.returncode == 0, done.stderr
    assert f"(did you mean {scope}/known?)" in done.stderr


def test_watch_of_a_misspelt_scope_gets_a_hint(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(f"{scope}/known")
    command = [sys.executable, "-m", "sidecar", "watch", f"{scope}/knwon", "--url", sidecar.url]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        try:
            assert f"{scope}/knwon is unknown (did you mean {scope}/known?)" in watching.stderr.readline()
            assert watching.stdout.readline().startswith("TIME")
            assert " open" in watching.stdout.readline()
        finally:
            watching.terminate()


def test_a_scope_that_the_credential_may_not_see_is_not_suggested() -> None:
    config = {
        "auth": {
            "credentials": [
                {"name": "all", "roles": ["viewer", "operator"], "token_env": "ALL"},
                {"name": "a", "roles": ["viewer"], "scope": "team-a/x", "token_env": "A"},
            ]
        }
    }
    tokens = {"ALL": "a-token-for-everything", "A": "a-token-for-team-a-x"}
    with Sidecar(config, env=tokens) as own:
        env = {"WELLBEING_URL": own.url, "WELLBEING_TOKEN": tokens["ALL"]}
        assert run("pause", "team-a/x1/llama", "--reason", "x", env=env).returncode == 0
        done = run("status", "team-a/x/llama", env=env)
        assert "did you mean team-a/x1/llama?" in done.stderr
        done = run("status", "team-a/x/llama", env={**env, "WELLBEING_TOKEN": tokens["A"]})
        assert done.returncode == 0
        assert "team-a/x/llama is unknown: it follows" in done.stderr
