"""The wheel without extras is the client; the extra `server` adds the sidecar."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.sidecar import Sidecar

ROOT = Path(__file__).parents[2]
LIGHT = {"wellbeing-sidecar"}
WORKER = """
import sys, threading
from sidecar.client import Gate, InferencePaused
from sidecar.client.asgi import GateMiddleware
from sidecar.client.wsgi import GateMiddleware as WsgiMiddleware

closed = threading.Event()
with Gate(sys.argv[1], scope="team-a/llama") as gate:
    gate.on_change(lambda is_open, snapshot: is_open or closed.set())
    gate.wait(timeout=30)
    print("open", flush=True)
    assert closed.wait(60)
    try:
        gate.wait(timeout=0)
    except InferencePaused as paused:
        print(paused, flush=True)
    gate.wait(timeout=60)
    print("open again", flush=True)
"""


def run(*command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("WELLBEING_", "PYTHON"))}
    return subprocess.run(
        command, check=False, cwd=cwd, env={**clean, **env}, capture_output=True, text=True, timeout=300
    )


def must(*command: str, cwd: Path) -> str:
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Build from a copy, so that the build writes nothing into the checkout.
    source = folder / "source"
    source.mkdir()
    files = ("sidecar", "alerts", "docs/man", "pyproject.toml", "README.md", "LICENSE")
    must("cp", "-R", "--parents", *files, str(source), cwd=ROOT)
    must(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(source),
        cwd=folder,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def light(wheel: Path) -> Path:
    """An environment with the wheel and its dependencies."""
    programs = wheel.parent / "venv" / "bin"
    must(sys.executable, "-m", "venv", "--without-pip", str(programs.parent), cwd=wheel.parent)
    into = ("--python", str(programs / "python"), "install", "-q", "--no-index")
    must(sys.executable, "-m", "pip", *into, str(wheel), cwd=wheel.parent)
    return programs


def test_the_wheel_without_extras_installs_no_other_package(light: Path) -> None:
    code = (
        "import importlib.metadata as m, json; print(json.dumps([d.name.lower() for d in m.distributions()]))"
    )
    assert set(json.loads(must(str(light / "python"), "-c", code, cwd=light))) == LIGHT


def test_the_wheel_contains_every_rule_file(light: Path) -> None:
    folder = light.parent / "share" / "wellbeing-sidecar" / "alerts"
    installed = {file.name: file.read_text() for file in folder.iterdir()}
    assert installed == {file.name: file.read_text() for file in (ROOT / "alerts").glob("*.rules.yml")}


def test_the_wheel_contains_the_manual_page(light: Path) -> None:
    page = light.parent / "share" / "man" / "man1" / "wellbeing-sidecar.1"
    assert page.read_text() == (ROOT / "docs" / "man" / "wellbeing-sidecar.1").read_text()


def test_a_worker_waits_with_the_minimal_install(light: Path, tmp_path: Path) -> None:
    with Sidecar({}) as sidecar:
        worker = subprocess.Popen(
            [str(light / "python"), "-c", WORKER, sidecar.url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env={"PATH": os.defpath},
        )  # fmt: skip

        def command(*arguments: str) -> None:
            done = run(str(light / "wellbeing-sidecar"), *arguments, cwd=tmp_path, WELLBEING_URL=sidecar.url)
            assert done.returncode == 0, done.stderr

        with worker:
            assert worker.stdout.readline() == "open\n", worker.communicate()
            command("pause", "team-a", "--reason", "checking the model")
            assert "checking the model" in worker.stdout.readline(), worker.communicate()
            command("resume", "team-a")
            command("gate", "team-a", "--wait", "5m")
            assert worker.communicate(timeout=90) == ("open again\n", "")
        assert worker.returncode == 0


def test_a_mistyped_command_gets_a_hint_with_the_minimal_install(light: Path, tmp_path: Path) -> None:
    done = run(str(light / "wellbeing-sidecar"), "statsu", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean status?" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", [("serve",), ("check-config", "sidecar.yaml"), ("hash-password",)])
def test_a_server_command_names_the_missing_extra_in_one_line(
    light: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "sidecar.yaml").write_text("defaults: {}\n")
    done = run(str(light / "wellbeing-sidecar"), *command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "pip install '.[server]'" in line
