"""The command line, against a running sidecar."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.sidecar import Sidecar
from sidecar.cli import exit_statuses

ROOT = Path(__file__).parents[2]


def run(
    *arguments: str, env: dict[str, str] | None = None, encoding: str = "utf-8"
) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "sidecar", *arguments]
    environ = {**os.environ, **(env or {})}
    return subprocess.run(
        command, check=False, cwd=ROOT, env=environ, capture_output=True, encoding=encoding, timeout=30
    )


def ask(sidecar: Sidecar, *arguments: str) -> str:
    done = run(*arguments, env={"WELLBEING_URL": sidecar.url})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_operator_pauses_reads_the_status_and_resumes(sidecar: Sidecar, scope: str) -> None:
    assert "gate closed" in ask(sidecar, "pause", scope, "--reason", "looking", "--max-pause-secs", "0")
    seen = ask(sidecar, "status", scope)
    assert "manual hold by operator" in seen
    assert "until an operator resumes: looking" in seen
    assert "gate open" in ask(sidecar, "resume", scope)
    assert json.loads(ask(sidecar, "status", scope, "--json"))["holds"] == []


def test_an_agent_reports_its_state(sidecar: Sidecar, scope: str) -> None:
    said = ask(sidecar, "state", scope, "cautious", "--reason", "slow", "--source", "me", "--json")
    assert json.loads(said)["state"] == "cautious"
    assert "agent:me claims cautious" in ask(sidecar, "status", "", "--below")


def test_gate_blocks_a_script_or_exits_with_the_status_for_try_later(sidecar: Sidecar, scope: str) -> None:
    assert "gate open" in ask(sidecar, "gate", scope)
    sidecar.pause(scope, "not now")
    done = run("gate", scope, "--wait", "0.1", "--url", sidecar.url)
    assert (done.returncode, done.stdout) == (75, "")
    assert "inference paused due to wellbeing intervention: not now" in done.stderr


def test_gate_waits_longer_than_the_maximum_of_one_request() -> None:
    with Sidecar({"defaults": {"wait_timeout_secs": "100ms"}}) as own:
        own.pause("a", "not now")
        done = run("gate", "a", "--wait", "1.2", "--url", own.url)
        assert (done.returncode, "not now" in done.stderr) == (75, True)
        command = [sys.executable, "-m", "sidecar", "gate", "a", "--wait", "60", "--url", own.url]
        before = own.counters("a")["requests_timed_out"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as waiting:
            own.wait_for_metric('wellbeing_requests_timed_out_total{scope="a"}', before + 2)
            own.resume("a")
            assert (waiting.wait(30), "a: healthy, gate open" in waiting.stdout.read()) == (0, True)


def test_a_timeout_is_reported_once(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope, "not now")
    done = run("gate", scope, "--wait", "0", "--url", sidecar.url)
    said = "inference paused due to wellbeing intervention: not now (timeout after 0s)"
    assert done.stderr == f"wellbeing-sidecar: {said}\n"


def test_a_misspelt_variable_gets_a_hint(sidecar: Sidecar) -> None:
    env = {"WELLBEING_URL": sidecar.url, "WELLBEING_TOKNE": "x"}
    for command in (["status"], ["history", "nobody-knows-this"]):
        done = run(*command, env=env)
        assert done.returncode == 0
        assert done.stderr.count("WELLBEING_TOKNE") == 1
        assert "did you mean WELLBEING_TOKEN?" in done.stderr


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


def test_watch_prints_every_change(sidecar: Sidecar, scope: str) -> None:
    command = [sys.executable, "-m", "sidecar", "watch", scope, "--url", sidecar.url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watching:
        try:
            assert watching.stdout.readline().split() == ["TIME", "SCOPE", "STATE", "GATE", "UNTIL", "REASON"]
            assert watching.stdout.readline().split()[1:] == [scope, "healthy", "open"]
            sidecar.pause(f"{scope}/inside", "now")
            row = watching.stdout.readline().split()
            assert (row[1:4], row[-1]) == ([f"{scope}/inside", "healthy", "closed"], "now")
        finally:
            watching.terminate()


def test_watch_prints_one_json_object_a_line(sidecar: Sidecar, scope: str) -> None:
    command = [sys.executable, "-m", "sidecar", "watch", scope, "--url", sidecar.url, "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watching:
        try:
            assert json.loads(watching.stdout.readline())["gate"] == "open"
        finally:
            watching.terminate()


def test_a_failed_command_gives_the_reason(sidecar: Sidecar) -> None:
    done = run("status", "a//b", "--url", sidecar.url)
    assert done.returncode == 1
    assert "segment 2 is empty" in done.stderr


def test_check_config_and_serve_name_every_mistake(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("defaults:\n  pause: true\nstore: nowhere\n")
    for arguments, status in ((("check-config", str(path)), 1), (("serve", "--config", str(path)), 2)):
        done = run(*arguments)
        assert done.returncode == status
        assert "bad.yaml:2: defaults.pause: no such key" in done.stderr
        assert "bad.yaml:3: store.url: must be memory:" in done.stderr
    path.write_text("")
    assert run("check-config", str(path)).returncode == 0
    assert run("check-config", "--config", str(path)).returncode == 0
    done = run("check-config", "--config", str(path), "other.yaml")
    assert (done.returncode, "give the file once" in done.stderr) == (2, True)


def test_check_config_checks_the_files_that_the_config_names(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text(
        f"store: sqlite:{tmp_path}/a.db\ndefaults: {{pause_on_distressed: true}}\n"
        "auth:\n  credentials:\n    - name: a\n      roles: [viewer]\n      token_file: /nowhere/token\n"
    )
    done = run("check-config", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    said = (
        f"{path}:7: auth.credentials[0].token_file: /nowhere/token cannot be read: No such file or directory"
    )
    assert said in done.stderr.splitlines()
    done = run("check-config", "--no-files", str(path))
    assert (done.returncode, done.stdout) == (0, "The config is valid.\nIt can pause every scope.\n")
    # An error that is visible only with all files.
    (tmp_path / "token").write_text("a-token-that-is-good")
    credentials = [
        {"name": name, "roles": ["viewer"], "token_file": str(tmp_path / "token")} for name in "ab"
    ]
    path.write_text(json.dumps({"store": "memory:", "auth": {"credentials": credentials}}))
    done = run("check-config", str(path))
    assert (done.returncode, "b and a have the same token" in done.stderr) == (1, True)


# -- what is not well or not open ---------------------------------------------------------------------


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


# -- durations ----------------------------------------------------------------------------------------


def test_durations_are_printed_with_units(sidecar: Sidecar, scope: str) -> None:
    paused = json.loads(ask(sidecar, "pause", scope, "--reason", "x", "--max-pause-secs", "1h30m", "--json"))
    since, until = (datetime.fromisoformat(paused[name]) for name in ("since", "until"))
    assert (until - since).total_seconds() == 5400
    done = run("gate", scope, "--wait", "50ms", "--url", sidecar.url)
    assert (done.returncode, "timeout after 0.05s" in done.stderr) == (75, True)
    assert scope in ask(sidecar, "history", scope, "--since", "5m")
    for wrong in (
        ["gate", "--wait", "5x"],
        ["gate", "--wait", "-1"],
        ["state", "x", "healthy", "--ttl-secs", "0"],
    ):
        assert run(*wrong, "--url", sidecar.url).returncode == 2
    assert "a duration such as 90s, 5m, 1h30m, got '5x'" in run("gate", "--wait", "5x").stderr


# -- terminals, pipes ---------------------------------------------------------------------------------


HOSTILE = "caf\u00e9 \u2603 \u202egnp \x1b[31mred"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict"])
def test_every_command_prints_only_ascii_in_an_ascii_locale(
    sidecar: Sidecar, scope: str, encoding: str
) -> None:
    env = {"WELLBEING_URL": sidecar.url, "LC_ALL": "C", "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    sidecar.claim(scope, "cautious", reason=HOSTILE)
    sidecar.pause(scope, HOSTILE)
    commands = [
        ("status",), ("status", scope), ("status", scope, "--below"), ("status", scope, "--json"),
        ("history", scope), ("pause", scope, "--reason", HOSTILE), ("state", scope, "concerned", "--reason", HOSTILE),
        ("resume", scope, "--reason", HOSTILE), ("gate", scope, "--wait", "0"),
    ]  # fmt: skip
    for command in commands:
        done = run(*command, env=env, encoding="latin-1")
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout.isascii() or encoding == "latin-1"
        assert "\x1b" not in done.stdout + done.stderr
        assert "\u202e" not in done.stdout + done.stderr
    sidecar.pause(scope, HOSTILE)
    assert sidecar.get(f"/v1/history/{scope}", params={"kind": "hold"}).json()["entries"][0]["reason"] == (
        "caf\u00e9 \u2603  gnp  [31mred"
    )
    done = run("gate", scope, "--wait", "0", env=env, encoding="latin-1")
    assert (done.returncode, "caf" in done.stderr) == (75, True), done.stderr
    done = run("status", HOSTILE, env=env, encoding="latin-1")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_an_argument_that_is_not_text_is_refused(sidecar: Sidecar, scope: str) -> None:
    for arguments in (["status", b"\xff"], ["pause", scope, "--reason", b"\xff"]):
        command = [sys.executable, "-m", "sidecar", *arguments, "--url", sidecar.url]
        done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1
        assert "is not text in UTF-8" in done.stderr


def test_a_closed_output_pipe_is_not_an_error(sidecar: Sidecar) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "sidecar", "status", "--url", sidecar.url]
    done = subprocess.run(
        command, check=False, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=30
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_disk_is_reported(sidecar: Sidecar) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "sidecar", "status", "--url", sidecar.url]
        done = subprocess.run(
            command, check=False, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30
        )
    assert (done.returncode, done.stderr) == (
        1,
        "wellbeing-sidecar: the output cannot be written: No space left on device\n",
    )


# -- help ---------------------------------------------------------------------------------------------


COMMANDS = ("serve", "check-config", "token", "hash-password", "hook-test", "completion", "status", "pause", "resume", "state", "history", "watch", "gate")  # fmt: skip


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_lists_the_exit_statuses_in_ascii(command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.returncode == 0
    assert "exit status:" in done.stdout
    assert done.stdout.isascii()


def test_a_wrong_command_or_flag_gets_a_hint() -> None:
    for arguments, hint in ((["statsu"], "status"), (["pause", "x", "--raeson", "y"], "--reason")):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"(did you mean {hint}?)" in done.stderr or "--reason" in done.stderr


def test_a_flag_before_its_command_gets_a_hint() -> None:
    done = run("--url", "http://127.0.0.1:1", "status")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--url must come after the command: wellbeing-sidecar status --url ..." in done.stderr


def test_the_docs_list_every_exit_status_and_command() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    for name, status in vars(exit_statuses).items():
        if isinstance(status, int):
            assert f"| {status} |" in page, name
            assert f"  {status} " in exit_statuses.EPILOG, name
    for command in COMMANDS:
        assert f"`{command}" in page
