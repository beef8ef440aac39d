"""The command line, against a running sidecar."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness.process import free_port
from harness.sidecar import Sidecar

ROOT = Path(__file__).parents[2]


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "sidecar", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=30
    )


def ask(sidecar: Sidecar, *arguments: str) -> str:
    done = run(*arguments, env={"WELLBEING_URL": sidecar.url})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_operator_pauses_looks_and_resumes(sidecar: Sidecar, scope: str) -> None:
    assert "gate closed" in ask(sidecar, "pause", scope, "--reason", "looking", "--max-pause-secs", "0")
    seen = ask(sidecar, "status", scope)
    assert "manual hold by operator" in seen
    assert "until an operator resumes: looking" in seen
    assert "gate open" in ask(sidecar, "resume", scope)
    assert json.loads(ask(sidecar, "status", scope, "--json"))["holds"] == []


def test_an_agent_reports(sidecar: Sidecar, scope: str) -> None:
    said = ask(sidecar, "state", scope, "cautious", "--reason", "slow", "--source", "me", "--json")
    assert json.loads(said)["state"] == "cautious"
    assert "agent:me claims cautious" in ask(sidecar, "status", "", "--below")


def test_gate_blocks_a_script_or_tells_it_to_try_later(sidecar: Sidecar, scope: str) -> None:
    assert "gate open" in ask(sidecar, "gate", scope)
    sidecar.pause(scope, "not now")
    done = run("gate", scope, "--wait", "0.1", "--url", sidecar.url)
    assert (done.returncode, done.stdout) == (75, "")
    assert "inference paused due to wellbeing intervention: not now" in done.stderr


def test_watch_prints_every_change(sidecar: Sidecar, scope: str) -> None:
    command = [sys.executable, "-m", "sidecar", "watch", scope, "--url", sidecar.url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watching:
        try:
            assert "gate open" in watching.stdout.readline()
            sidecar.pause(scope, "now")
            assert "now" in watching.stdout.readline()
        finally:
            watching.terminate()


def test_what_cannot_be_done_is_said(sidecar: Sidecar) -> None:
    done = run("status", "a//b", "--url", sidecar.url)
    assert done.returncode == 1
    assert "segment 2 is empty" in done.stderr
    done = run("status", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "no answer from" in done.stderr


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
