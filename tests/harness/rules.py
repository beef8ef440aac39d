"""The rule files of ``alerts/``, and promtool, which tests rules."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.process import program

ROOT = Path(__file__).parents[2]
RULE_FILES = sorted((ROOT / "alerts").glob("*.rules.yml"))
RULE_TESTS = sorted((ROOT / "alerts" / "tests").glob("*.test.yml"))
SHARED = ("masks", "thresholds")
"""The files that the other files need."""


def subject_of(file: Path) -> str:
    """``vllm`` for ``vllm.rules.yml`` and for ``vllm.test.yml``."""
    return file.name.partition(".")[0]


FILES: dict[str, list[dict[str, Any]]] = {
    subject_of(path): yaml.safe_load(path.read_text())["groups"] for path in RULE_FILES
}
ENGINES = sorted(set(FILES) - {*SHARED, "sidecar"})
ALERTS: dict[str, tuple[str, dict[str, Any]]] = {
    rule["alert"]: (subject, rule)
    for subject, groups in FILES.items()
    for group in groups
    for rule in group["rules"]
    if "alert" in rule
}


def masked_by(*records: str) -> list[str]:
    """The alerts whose expressions name one of the recorded masks."""
    return sorted(name for name, (_, rule) in ALERTS.items() if any(one in rule["expr"] for one in records))


SETTLING = masked_by("wellbeing:engine_settles")
MASKED = masked_by(
    "wellbeing:engine_held",
    "wellbeing:engine_settles",
    "wellbeing:litellm_paused",
    "wellbeing:litellm_group_paused",
)


def promtool_test(suite: Path) -> subprocess.CompletedProcess[str]:
    """Run ``promtool test rules`` on a file of tests."""
    command = [program("promtool"), "test", "rules", str(suite)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


def run_tests(
    folder: Path, groups: Sequence[dict[str, Any]], tests: Sequence[dict[str, Any]], step: str
) -> None:
    """Test ``groups`` of rules, evaluated in their order; a failing test raises with the output of promtool.

    Args:
        folder: folder for the files that promtool reads.
        groups: the groups of rules.
        tests: tests in the format of promtool.
        step: evaluation interval.
    """
    (folder / "cut.rules.yml").write_text(yaml.safe_dump({"groups": list(groups)}))
    suite = {
        "rule_files": ["cut.rules.yml"],
        "evaluation_interval": step,
        "group_eval_order": [group["name"] for group in groups],
        "tests": list(tests),
    }
    (folder / "suite.yml").write_text(yaml.safe_dump(suite))
    done = promtool_test(folder / "suite.yml")
    assert done.returncode == 0, done.stdout + done.stderr
