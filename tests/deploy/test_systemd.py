"""The systemd unit is valid and hardened."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from harness.kubernetes import ROOT
from harness.process import program
from sidecar.cli.exit_statuses import USAGE
from sidecar.cli.parser import parse

UNIT = ROOT / "deploy" / "systemd" / "wellbeing-sidecar.service"


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("systemd-analyze"), "--no-pager", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_EMOJI": "0"},
    )


def verify(folder, text: str) -> str:
    """The output of systemd-analyze verify for a unit whose program exists."""
    unit = folder / UNIT.name
    unit.write_text(text.replace("/opt/wellbeing-sidecar/bin/wellbeing-sidecar", sys.executable))
    done = analyze("verify", "--man=no", str(unit))
    return "".join(line for line in done.stderr.splitlines(True) if UNIT.name in line)


def test_systemd_accepts_the_unit(tmp_path) -> None:
    assert verify(tmp_path, UNIT.read_text()) == ""


def test_a_planted_error_is_found(tmp_path) -> None:
    assert "DynamicUsers" in verify(tmp_path, UNIT.read_text().replace("DynamicUser=", "DynamicUsers="))


def test_the_unit_has_a_low_exposure_level() -> None:
    done = analyze("security", "--offline=true", str(UNIT))
    (level,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(level) < 1.5, done.stdout


def test_the_unit_runs_an_existing_command() -> None:
    (line,) = re.findall(r"^ExecStart=\S+ (.*)$", UNIT.read_text(), re.MULTILINE)
    options = parse(line.split())
    assert options.store == "sqlite:/var/lib/wellbeing-sidecar/wellbeing.db"


def test_systemd_does_not_restart_after_a_wrong_config() -> None:
    assert f"RestartPreventExitStatus={USAGE}\n" in UNIT.read_text()


@pytest.mark.parametrize("folder", ["StateDirectory", "ConfigurationDirectory", "RuntimeDirectory"])
def test_the_unit_has_its_own_folders(folder) -> None:
    assert f"\n{folder}=wellbeing-sidecar\n" in UNIT.read_text()
