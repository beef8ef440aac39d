"""The output of the command line: tables, JSON, completion, the manual page, and hints on a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from harness.process import eventually
from harness.sidecar import Sidecar
from sidecar.cli.manual import manual_page
from sidecar.cli.tables import Table, short_time

ROOT = Path(__file__).parents[2]


def ask(sidecar: Sidecar, *arguments: str, **env: str) -> str:
    command = [sys.executable, "-m", "sidecar", *arguments, "--url", sidecar.url]
    environ = {**os.environ, **env}
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_history_is_printed_whole_with_the_user_as_actor(sidecar: Sidecar, scope: str) -> None:
    ask(sidecar, "pause", scope, "--reason", "x", USER="ada")
    for _ in range(3):
        sidecar.resume(scope)
        sidecar.pause(scope)
    lines = ask(sidecar, "history", scope, "--all", "--output", "jsonl").splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["kind"] for entry in entries] == ["pause", *["resume", "pause"] * 3]
    assert (entries[-1]["source"], entries[-1]["actor"]) == ("operator", "local:ada")
    page = json.loads(ask(sidecar, "history", scope, "--all", "--json"))
    assert page["entries"] == entries
    assert "operator, local:ada" in ask(sidecar, "history", scope)
    assert "\x1b" not in ask(sidecar, "history", scope)


def test_the_status_has_one_line_for_each_scope(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(f"{scope}/a")
    sidecar.claim(f"{scope}/b", "healthy")
    for flags, expected in (([], ["", "/a"]), (["--below"], ["", "/a", "/b"])):
        lines = ask(sidecar, "status", scope, "--output", "jsonl", *flags).splitlines()
        assert [json.loads(line)["scope"] for line in lines] == [scope + one for one in expected]


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a\tb"])
def test_an_actor_name_that_is_not_valid_is_left_out(sidecar: Sidecar, scope: str, name: str) -> None:
    answer = sidecar.session.post(
        f"{sidecar.url}/v1/pause/{scope}", json={"reason": "x"}, headers={"Wellbeing-Actor": name}, timeout=30
    )
    assert answer.status_code in (200, 400)
    for entry in sidecar.get(f"/v1/history/{scope}").json()["entries"]:
        assert entry["actor"] is None


def test_bash_completes_commands_flags_and_values() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "completion", "bash"],
        check=True, cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    words = {
        "hi": "history",
        "history --kin": "--kind",
        "history --output json": "json jsonl",
        "completion f": "fish",
    }
    for typed, expected in words.items():
        parts = ["wellbeing-sidecar", *typed.split()]
        script = (
            f"{done.stdout}\nCOMP_WORDS=({' '.join(parts)}); COMP_CWORD={len(parts) - 1}; "
            '_wellbeing_sidecar; echo "${COMPREPLY[@]}"'
        )
        said = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True, timeout=60)
        assert said.stdout.strip() == expected


def test_the_manual_page_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in os.environ if one.startswith("WELLBEING_")]:
        monkeypatch.delenv(name)
    path = ROOT / "docs" / "man" / "wellbeing-sidecar.1"
    assert path.read_text() == manual_page(), "run `make man`"


def test_columns_are_aligned_and_coloured_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(("A", "B"))
    table.fit([("closed", "x")])
    assert [*table.lines(("open", "1")), *table.lines(("closed", "22"))] == [
        "A       B",
        "open    1",
        "closed  22",
    ]
    monkeypatch.setattr("sidecar.cli.tables.use_colours", lambda: True)
    assert "\x1b[31mclosed\x1b[0m" in Table(("A",)).lines(("closed",))[1]
    assert short_time("2026-11-27T12:00:00.123Z") == "2026-11-27T12:00:00Z"


def serve_on_a_terminal(tmp_path: Path, *arguments: str) -> str:
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "sidecar", "serve", "--listen", "127.0.0.1:0", "--store", "memory:"]
    running = subprocess.Popen(
        [*command, *arguments], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=terminal
    )
    os.close(terminal)
    seen = b""

    def read() -> bool:
        nonlocal seen
        seen += os.read(master, 65_536)
        return b"listening" in seen and (b"Ctrl-C" in seen or b'"event"' in seen)

    try:
        eventually(read, "it listens")
    finally:
        running.terminate()
        running.wait(30)
        os.close(master)
    return seen.decode()


def test_serve_prints_the_next_steps_on_a_terminal(tmp_path: Path) -> None:
    seen = serve_on_a_terminal(tmp_path)
    port = seen.partition("Status page:")[2].split("/\r")[0].rpartition(":")[2]
    assert f"wellbeing-sidecar pause SCOPE --reason TEXT --url http://127.0.0.1:{port}" in seen
    assert "Status page" not in serve_on_a_terminal(tmp_path, "--log-format", "json")
