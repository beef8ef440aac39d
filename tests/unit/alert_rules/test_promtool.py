"""The tests beside the rules (``alerts/tests``) pass, cover every alert, and catch rules that are broken on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.examples import THOROUGH
from harness.rules import (
    ALERTS,
    ENGINES,
    FILES,
    MASKED,
    RULE_FILES,
    RULE_TESTS,
    promtool_test,
    subject_of,
)

SUITES = {subject_of(path): yaml.safe_load(path.read_text()) for path in RULE_TESTS}
# missing.test.yml and complete.test.yml test them.
ABOUT_MISSING_FILES = {"WellbeingMasksMissing", "WellbeingThresholdsMissing"}
MASK_TEST = "alerts are masked by a pause of their own engine only, and until its effects are over"


@pytest.mark.parametrize("suite", RULE_TESTS, ids=subject_of)
def test_promtool_passes(suite: Path) -> None:
    done = promtool_test(suite)
    assert done.returncode == 0, done.stdout + done.stderr


def condition_test(alert: str) -> dict[str, Any]:
    """The test of an alert's condition."""
    name = f"{alert} fires for bad, not for good and not at the boundary"
    (found,) = [test for test in SUITES[ALERTS[alert][0]]["tests"] if test["name"] == name]
    return found


@pytest.mark.parametrize("alert", sorted(set(ALERTS) - ABOUT_MISSING_FILES))
def test_every_alert_has_a_test_in_which_only_the_bad_one_fires(alert: str) -> None:
    test = condition_test(alert)
    series = " ".join(one["series"] for one in test["input_series"])
    assert {"bad", "good", "boundary"} <= set(re.findall(r'"(bad|good|boundary)"', series))
    ((told,),) = [one["exp_alerts"] for one in test["alert_rule_test"]]
    assert "bad" in told["exp_labels"].values()
    assert set(told["exp_annotations"]) == {"summary", "description", "runbook_url"}


@pytest.mark.parametrize("alert", sorted(ABOUT_MISSING_FILES))
def test_a_missing_file_is_reported_and_a_complete_set_is_not(alert: str) -> None:
    assert f"alertname: {alert}, eval_time: 20m, exp_alerts: []" in suite_text("complete")
    assert alert in suite_text("missing")


def suite_text(subject: str) -> str:
    return next(path for path in RULE_TESTS if subject_of(path) == subject).read_text()


@pytest.mark.parametrize("subject", ENGINES)
def test_every_masked_alert_is_in_the_test_of_the_masks(subject: str) -> None:
    (test,) = [test for test in SUITES[subject]["tests"] if test["name"] == MASK_TEST]
    told = {re.findall(r'alertname="(\w+)"', one["expr"])[0] for one in test["promql_expr_test"]}
    assert told == {alert for alert in MASKED if ALERTS[alert][0] == subject}


@pytest.mark.parametrize("path", RULE_TESTS, ids=subject_of)
def test_groups_are_evaluated_in_an_order_that_is_given(path: Path) -> None:
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
    for path in RULE_FILES:
        groups = yaml.safe_load(path.read_text())
        if subject_of(path) == subject:
            for group in groups["groups"]:
                for rule in group["rules"]:
                    if "alert" in rule and rule["alert"] not in ABOUT_MISSING_FILES:
                        rule["expr"] = change(rule["expr"])
        (folder / path.name).write_text(yaml.safe_dump(groups))
    (folder / "tests").mkdir()
    suite = folder / "tests" / f"{subject}.test.yml"
    suite.write_text(yaml.safe_dump({**SUITES[subject], "tests": tests}))
    done = promtool_test(suite)
    return done.stdout + done.stderr


@pytest.mark.parametrize("subject", [*BROKEN, *(["sidecar"] if THOROUGH else [])])
def test_a_condition_that_is_too_wide_is_caught_for_every_alert(tmp_path: Path, subject: str) -> None:
    alerts = {
        alert for alert, (where, _) in ALERTS.items() if where == subject and alert not in ABOUT_MISSING_FILES
    }
    text = failures(tmp_path, subject, [condition_test(alert) for alert in sorted(alerts)], loosened)
    assert set(re.findall(r"alertname: (\w+)", text)) == alerts


@pytest.mark.parametrize("subject", BROKEN)
def test_a_mask_that_is_left_out_is_caught_for_every_alert(tmp_path: Path, subject: str) -> None:
    tests = [test for test in SUITES[subject]["tests"] if test["name"] == MASK_TEST]
    text = failures(tmp_path, subject, tests, unmasked)
    assert set(re.findall(r'alertname=\\"(\w+)\\"', text)) == {
        alert for alert in MASKED if ALERTS[alert][0] == subject
    }
