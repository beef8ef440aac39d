"""The command line, against a running sidecar."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from harness.commands import ROOT, ask, run
from harness.sidecar import Sidecar
from sidecar.cli import exit_statuses


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
