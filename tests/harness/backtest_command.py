"""Runs ``wellbeing-sidecar backtest``, and reads its report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def backtest(*arguments: object) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("WELLBEING_")}
    command = [sys.executable, "-m", "sidecar", "backtest", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=environ, check=False
    )


def report(*arguments: object) -> dict:
    done = backtest(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def spans(config: dict, scope: str | None = None) -> list[tuple[float, float | None, str]]:
    """The start, the end and the reason of each pause."""
    return [
        (epoch(one["since"]), epoch(one["until"]) if one["until"] else None, one["cause"])
        for one in config["pauses"]
        if scope is None or one["scope"] == scope
    ]


def rule_file(folder: Path, *rules: dict, **group: str) -> Path:
    path = folder / "new.rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "g", **group, "rules": list(rules)}]}))
    return path


def config_file(folder: Path, name: str, config: dict) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(config))
    return path


def iso(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat()
