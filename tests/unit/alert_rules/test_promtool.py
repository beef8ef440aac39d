"""The tests beside the rules (``alerts/tests``) pass, cover every alert, and catch rules that are broken on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from harness.examples import THOROUGH
from harness.rules import (
    ALERTS,
    ENGINES,
    FILES,
    MASKED,
    RULE_TESTS,
    promtool_test,
    promtool_test_in_parts,
    read_yaml,
    subject_of,
)

SUITES = {subject_of(path): read_yaml(path) for path in RULE_TESTS}
# missing.test.yml and complete.test.yml test them.
ABOUT_MISSING_FILES = {"WellbeingMasksMissing", "WellbeingThresholdsMissing"}
MASK_TEST = "alerts are masked by a pause of their own engine only, and until its effects are over"
STEPS = {MASK_TEST: "3m"}
"""The test of the masks has 150 series for two hours. With a step of a minute, it takes half of the time of all tests."""


def groups_of(suite: dict[str, Any]) -> list[dict[str, Any]]:
    """The groups of rules that ``suite`` loads."""
    return [group for file in suite["rule_files"] for group in FILES[subject_of(Path(file))]]


@pytest.mark.parametrize("path", RULE_TESTS, ids=subject_of)
def test_promtool_passes(tmp_path: Path, path: Path) -> None:
    suite = SUITES[subject_of(path)]
    # The whole files take promtool more than a minute: `make fuzz` runs them.
    whole = THOROUGH or subject_of(path) not in FILES
    done = promtool_test(path) if whole else promtool_test_in_parts(tmp_path, groups_of(suite), suite, STEPS)
    assert done.returncode == 0, done.stdout + done.stderr


def condition_test(alert: str) -> dict[str, Any]:
    """The test of an alert's condition."""
    name = f"{alert} fires for bad, not for good and not at the boundary"
    (found,) = [test for test in SUITES[ALERTS[alert][0]]["tests"] if test["name"] == name]
    return found


@pytest.mark.parametrize("alert", sorted(set(ALERTS) - ABOUT_MISSING_FILES))
def test_every_alert_has_a_test_in_which_it_fires_only_for_the_faulty_engine(alert: str) -> None:
    test = condition_test(alert)
    series = " ".join(one["series"] for one in test["input_series"])
    assert {"bad", "good", "boundary"} <= set(re.findall(r'"(bad|good|boundary)"', series))
    ((told,),) = [one["exp_alerts"] for one in test["alert_rule_test"]]
    assert "bad" in told["exp_labels"].values()
    assert set(told["exp_annotations"]) == {"summary", "description", "runbook_url"}


@pytest.mark.parametrize("alert", sorted(ABOUT_MISSING_FILES))
def test_a_missing_file_fires_the_alert_and_a_complete_set_does_not(alert: str) -> None:
    assert f"alertname: {alert}, eval_time: 20m, exp_alerts: []" in suite_text("complete")
    assert alert in suite_text("missing")


def suite_text(subject: str) -> str:
    return next(path for path in RULE_TESTS if subject_of(path) == subject).read_text()


@pytest.mark.parametrize("subject", ENGINES)
def test_the_test_of_the_masks_covers_every_masked_alert(subject: str) -> None:
    (test,) = [test for test in SUITES[subject]["tests"] if test["name"] == MASK_TEST]
    told = {re.findall(r'alertname="(\w+)"', one["expr"])[0] for one in test["promql_expr_test"]}
    assert told == {alert for alert in MASKED if ALERTS[alert][0] == subject}


@pytest.mark.parametrize("path", RULE_TESTS, ids=subject_of)
def test_every_suite_gives_the_evaluation_order_of_all_groups(path: Path) -> None:
    # Otherwise promtool chooses another order in each run.
    suite = SUITES[subject_of(path)]
    loaded = [subject_of(Path(file)) for file in suite["rule_files"]]
    groups = {group["name"] for subject in loaded for group in FILES[subject]}
    assert set(suite["group_eval_order"]) == groups


# -- rules that are broken on purpose --------------------------------------------------------------------

BROKEN = ENGINES if THOROUGH else ["litellm", "triton"]
"""The engines whose rules are broken. All of them take promtool a minute: `make fuzz` tries all."""


def loosened(expression: str) -> str:
    """``expression`` with wider comparisons, so that it also fires at the boundary."""
    changed = expression
    for pattern, wider in (
        (r"> (?=[\d.]+ \* scalar|scalar)", ">= 0.9 * "),
        (r"< (?=scalar)", "<= 1.1 * "),
        (r"> 0", ">= 0"),
        (r"== 0", "<= 1"),
        (r"== [12]", ">= 0"),
    ):
        changed = re.sub(pattern, wider, changed)
    assert changed != expression
    return changed


def unmasked(expression: str) -> str:
    return re.sub(r"unless on \([^)]*\) .*$", "", expression.strip(), flags=re.DOTALL)


def failures(folder: Path, subject: str, tests: list[dict[str, Any]], change: Callable[[str], str]) -> str:
    """The failures that promtool reports for ``tests`` when the alerts of ``subject`` are changed."""
    groups = deepcopy(groups_of(SUITES[subject]))
    for rule in (rule for group in groups for rule in group["rules"]):
        if rule.get("alert") in set(ALERTS) - ABOUT_MISSING_FILES and ALERTS[rule["alert"]][0] == subject:
            rule["expr"] = change(rule["expr"])
    done = promtool_test_in_parts(folder, groups, {**SUITES[subject], "tests": tests}, STEPS)
    return done.stdout + done.stderr


@pytest.mark.parametrize("subject", [*BROKEN, *(["sidecar"] if THOROUGH else [])])
def test_a_condition_that_is_too_broad_is_caught_for_every_alert(tmp_path: Path, subject: str) -> None:
    alerts = {
        alert for alert, (where, _) in ALERTS.items() if where == subject and alert not in ABOUT_MISSING_FILES
    }
    text = failures(tmp_path, subject, [condition_test(alert) for alert in sorted(alerts)], loosened)
    assert set(re.findall(r"alertname: (\w+)", text)) == alerts


@pytest.mark.parametrize("subject", BROKEN)
def test_a_missing_mask_is_caught_for_every_alert(tmp_path: Path, subject: str) -> None:
    tests = [test for test in SUITES[subject]["tests"] if test["name"] == MASK_TEST]
    text = failures(tmp_path, subject, tests, unmasked)
    assert set(re.findall(r'alertname=\\"(\w+)\\"', text)) == {
        alert for alert in MASKED if ALERTS[alert][0] == subject
    }
