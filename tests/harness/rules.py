"""The rule files of ``alerts/``, and promtool, which tests rules."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.process import program

ROOT = Path(__file__).parents[2]
RULE_FILES = sorted((ROOT / "alerts").glob("*.rules.yml"))
RULE_TESTS = sorted((ROOT / "alerts" / "tests").glob("*.test.yml"))
SHARED = ("masks", "thresholds")
"""The files that the other files need."""


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Uses the loader in C, which is ten times as fast as the default, because the files are large."""
    return yaml.load(path.read_text(), yaml.CSafeLoader)


def subject_of(file: Path) -> str:
    """``vllm`` for ``vllm.rules.yml`` and for ``vllm.test.yml``."""
    return file.name.partition(".")[0]


FILES: dict[str, list[dict[str, Any]]] = {subject_of(path): read_yaml(path)["groups"] for path in RULE_FILES}
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


def promtool_test(*suites: Path) -> subprocess.CompletedProcess[str]:
    """Run ``promtool test rules`` on files of tests."""
    command = [program("promtool"), "test", "rules", *map(str, suites)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in re.findall(r"[\w:]+", text)}


def _is_named(rule: dict[str, Any], words: set[str]) -> bool:
    """Whether ``words`` name the rule: its alert, or its record; a threshold's label ``name``, too."""
    if "alert" in rule:
        return rule["alert"] in words
    return rule["record"] in words and rule.get("labels", {}).get("name", rule["record"]) in words


def needed_groups(groups: Sequence[dict[str, Any]], tests: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """``groups`` with only the rules that ``tests`` name, and the rules that these rules use."""
    rules = [rule for group in groups for rule in group["rules"]]
    words: set[str] = set()
    for test in tests:
        words |= _words(*(one["alertname"] for one in test.get("alert_rule_test", [])))
        for one in test.get("promql_expr_test", []):
            words |= _words(one["expr"])
            if "ALERTS" in one["expr"] and "alertname=" not in one["expr"]:
                words |= {rule["alert"] for rule in rules if "alert" in rule}
    while True:
        needed = [rule for rule in rules if _is_named(rule, words)]
        more = words | _words(*(rule["expr"] for rule in needed))
        if more == words:
            break
        words = more
    cut = [{**group, "rules": [rule for rule in group["rules"] if rule in needed]} for group in groups]
    return [group for group in cut if group["rules"]]


def promtool_test_in_parts(
    folder: Path, groups: Sequence[dict[str, Any]], suite: dict[str, Any], steps: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run each test of ``suite`` with only the rules that it needs.

    promtool evaluates every rule at every step of every test, even if the test does not need it. That takes five times as long.

    Args:
        folder: folder for the files that promtool reads.
        groups: the groups of rules that the suite loads.
        suite: tests in the format of promtool.
        steps: evaluation intervals of tests that have one of their own, by the test's name.
    """
    files = []
    for number, test in enumerate(suite["tests"]):
        needed = {group["name"]: group for group in needed_groups(groups, [test])}
        rules = folder / f"{number}.rules.yml"
        rules.write_text(yaml.safe_dump({"groups": list(needed.values())}))
        order = [name for name in suite["group_eval_order"] if name in needed]
        step = steps.get(test["name"], suite["evaluation_interval"])
        part = {
            "rule_files": [rules.name],
            "evaluation_interval": step,
            "group_eval_order": order,
            "tests": [test],
        }
        files.append(folder / f"{number}.test.yml")
        files[-1].write_text(yaml.safe_dump(part))
    return promtool_test(*files)


def run_tests(
    folder: Path, groups: Sequence[dict[str, Any]], tests: Sequence[dict[str, Any]], step: str
) -> None:
    """Test ``groups`` of rules, evaluated in their order; a failing test raises with the output of promtool.

    Rules that no test needs are left out.

    Args:
        folder: folder for the files that promtool reads.
        groups: the groups of rules.
        tests: tests in the format of promtool.
        step: evaluation interval.
    """
    groups = needed_groups(groups, tests)
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
