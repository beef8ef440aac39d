"""Runs commands of the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .sidecar import Sidecar

ROOT = Path(__file__).parents[2]


def run(
    *arguments: str, env: dict[str, str] | None = None, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[str]:
    """Run a command, and return its exit status and output."""
    command = [sys.executable, "-m", "sidecar", *arguments]
    environ = {**os.environ, **(env or {})}
    return subprocess.run(
        command, check=False, cwd=ROOT, env=environ, capture_output=True, encoding=encoding, timeout=30
    )


def ask(sidecar: Sidecar, *arguments: str) -> str:
    """The output of a command that queries ``sidecar``."""
    done = run(*arguments, env={"WELLBEING_URL": sidecar.url})
    assert done.returncode == 0, done.stderr
    return done.stdout
