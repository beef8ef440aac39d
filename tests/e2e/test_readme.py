"""What the README tells readers to paste is what the programs accept."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from harness.process import program
from harness.sidecar import Sidecar
from sidecar.config import Config, load_config

ROOT = Path(__file__).parents[2]


def block(marker: str, page: str = "README.md") -> str:
    """The YAML block of ``page`` that has ``marker`` in it."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    [found] = [text for text in blocks if marker in text]
    return found


def check(tmp_path: Path, *command: str) -> None:
    done = subprocess.run(
        [program(command[0]), *command[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_and_its_rules(tmp_path: Path) -> None:
    (tmp_path / "wellbeing.rules.yml").write_text(block("alert: RequestsPileUp"))
    (tmp_path / "prometheus.yml").write_text(block("scrape_configs:"))
    check(tmp_path, "promtool", "check", "config", "prometheus.yml")
    check(tmp_path, "promtool", "check", "rules", "--lint=all", "--lint-fatal", "wellbeing.rules.yml")


def test_alertmanager(tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(block("webhook_configs"))
    check(tmp_path, "amtool", "check-config", "alertmanager.yml")


def test_the_sidecars_own(tmp_path: Path) -> None:
    for marker in ("max_pause_secs: 300", "resume_ramp_per_sec"):
        (tmp_path / "sidecar.yaml").write_text(block(marker))
        assert load_config(tmp_path / "sidecar.yaml", {}).policies.defaults.pause_on_distressed


def test_how_alertmanager_is_asked(tmp_path: Path) -> None:
    pages = [
        ("watchdog:", "README.md"),
        ("password_file", "docs/how-to/alertmanager.md"),
        ("timeout_secs", "docs/how-to/alertmanager.md"),
    ]
    for marker, page in pages:
        (tmp_path / "sidecar.yaml").write_text(block(marker, page))
        assert load_config(tmp_path / "sidecar.yaml", {}).alerts != Config().alerts


def test_how_engines_and_imports_are_named(tmp_path: Path) -> None:
    for marker in ("engines:", "imports:"):
        (tmp_path / "sidecar.yaml").write_text(block(marker, "docs/how-to/integrate.md"))
        config = load_config(tmp_path / "sidecar.yaml", {})
        assert config.engines or config.imports


def test_the_examples_agent() -> None:
    with Sidecar({"defaults": {"pause_on_distressed": True}}) as sidecar:
        command = [sys.executable, str(ROOT / "examples" / "agent_wellbeing.py"), sidecar.url, "team/agent"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        states = [line.split()[0] for line in done.stdout.splitlines()]
        assert states == ["healthy", "healthy", "healthy", "concerned", "concerned", "distressed"]
        kinds = [entry["kind"] for entry in sidecar.get("/v1/history/team/agent").json()["entries"]]
        assert kinds == ["resume", "intervention", "pause", "intervention", "intervention"]


def test_the_watchdogs_route(tmp_path: Path) -> None:
    config = yaml.safe_load(block("webhook_configs"))
    config["route"]["routes"] = yaml.safe_load(block("repeat_interval: 1m", "docs/how-to/alertmanager.md"))[
        "routes"
    ]
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
    check(tmp_path, "amtool", "check-config", "alertmanager.yml")
