"""What the README tells readers to paste is what the programs accept."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from harness.process import program
from sidecar.config import load_config

README = (Path(__file__).parents[2] / "README.md").read_text()


def block(marker: str) -> str:
    """The YAML block that has ``marker`` in it."""
    [found] = [text for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if marker in text]
    return found


def check(tmp_path: Path, *command: str) -> None:
    done = subprocess.run(
        [program(command[0]), *command[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_and_its_rules(tmp_path: Path) -> None:
    (tmp_path / "wellbeing.rules.yml").write_text(block("alert: RequestsPileUp"))
    (tmp_path / "prometheus.yml").write_text(block("scrape_configs"))
    check(tmp_path, "promtool", "check", "config", "prometheus.yml")
    check(tmp_path, "promtool", "check", "rules", "--lint=all", "--lint-fatal", "wellbeing.rules.yml")


def test_alertmanager(tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yml").write_text(block("webhook_configs"))
    check(tmp_path, "amtool", "check-config", "alertmanager.yml")


def test_the_sidecars_own(tmp_path: Path) -> None:
    for marker in ("max_pause_secs: 300", "resume_ramp_per_sec"):
        (tmp_path / "sidecar.yaml").write_text(block(marker))
        assert load_config(tmp_path / "sidecar.yaml", {}).policies.defaults.pause_on_distressed
