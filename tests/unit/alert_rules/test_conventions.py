"""Conventions of the rules: the labels and annotations of alerts, the runbooks, and the metrics and
thresholds in use."""

from __future__ import annotations

import re
import subprocess

import pytest

from harness.process import program
from harness.rules import ALERTS, ENGINES, FILES, MASKED, ROOT, RULE_FILES, SETTLING


def test_promtool_check_reports_nothing() -> None:
    command = [program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULE_FILES)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_every_alert_has_labels_a_description_and_a_runbook(alert: str) -> None:
    subject, rule = ALERTS[alert]
    labels, annotations = rule["labels"], rule["annotations"]
    assert labels["severity"] in ("critical", "warning", "info")
    if subject == "sidecar":
        assert labels["wellbeing"] == "ignore"
    else:
        assert labels["wellbeing"] in ("cautious", "concerned", "distressed")
        assert labels["wellbeing_scope"]
        assert rule["keep_firing_for"], "an alert that pauses has hysteresis"
    assert (
        "$value" in annotations["summary"] or "$labels" in annotations["summary"] or "absent" in rule["expr"]
    )
    assert annotations["description"] != annotations["summary"]
    page, _, anchor = annotations["runbook_url"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in [heading.lower() for heading in headings]


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_every_section_of_a_runbook_has_the_same_parts(alert: str) -> None:
    subject, _ = ALERTS[alert]
    page = (ROOT / "docs" / "runbooks" / f"{subject}.md").read_text()
    section = page.split(f"## {alert}\n")[1].split("\n## ")[0]
    parts = re.findall(r"^\*\*(.+?)\.\*\* \S", section, re.MULTILINE)
    paused = [] if subject == "sidecar" else ["While paused"]
    assert parts == ["Meaning", "Impact", *paused, "Diagnose", "Fix"]


@pytest.mark.parametrize(
    "alert", sorted(name for name, (subject, _) in ALERTS.items() if subject != "sidecar")
)
def test_every_runbook_gives_the_duration_and_the_behaviour_while_paused(alert: str) -> None:
    subject, rule = ALERTS[alert]
    page = (ROOT / "docs" / "runbooks" / f"{subject}.md").read_text()
    section = page.split(f"## {alert}\n")[1].split("\n## ")[0]
    if "for" in rule:
        assert f"The condition must hold for {rule['for']}, and the alert keeps firing" in section
    assert f"keeps firing for {rule['keep_firing_for']} after the condition ends." in section
    told = section.split("**While paused.** ")[1].split("\n\n")[0]
    assert ("the rule is masked" in told) == (alert in MASKED)
    span = re.search(
        r"last_over_time\(wellbeing:(?:engine_held|litellm_(?:group_)?paused)\[(\w+)\]", rule["expr"]
    )
    assert span is None or f"for {span[1]} after" in told
    assert ("while the queue falls" in told) == (alert in SETTLING)


def known_metrics(subject: str) -> set[str]:
    """The series of an engine, including those of histograms."""
    names = set()
    for line in (ROOT / "tests" / "fixtures" / "engines" / f"{subject}.tsv").read_text().splitlines():
        name, kind, *_ = line.split("\t")
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def used_metrics(expression: str) -> set[str]:
    """The metric names in a PromQL expression."""
    bare = re.sub(
        r'"[^"]*"|\[[^\]]*\]|\b(by|without|on|ignoring|group_left)\s*\([^)]*\)|\{[^}]*\}', " ", expression
    )
    words = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare))
    return {word for word in words if "_" in word or ":" in word} - FUNCTIONS


FUNCTIONS = {
    "label_join",
    "label_replace",
    "histogram_quantile",
    "last_over_time",
    "quantile_over_time",
    "count_over_time",
    "clamp_max",
}
RECORDED = {
    rule["record"]
    for groups in FILES.values()
    for group in groups
    for rule in group["rules"]
    if "record" in rule
}


def test_every_metric_of_the_sidecars_own_rules_is_documented() -> None:
    # A test of the running sidecar compares that list with its metrics.
    told = set(re.findall(r"`(wellbeing_\w+)`", (ROOT / "docs" / "reference" / "metrics.md").read_text()))
    known = told | {f"{name}_{end}" for name in told for end in ("bucket", "sum", "count")} | RECORDED
    used = {
        name for group in FILES["sidecar"] for rule in group["rules"] for name in used_metrics(rule["expr"])
    }
    assert used - known == set()


@pytest.mark.parametrize("subject", ENGINES)
def test_every_metric_is_one_of_the_engine(subject: str) -> None:
    known = known_metrics(subject) | RECORDED | {"wellbeing_paused", "wellbeing_engine_paused"}
    used = {
        name for group in FILES[subject] for rule in group["rules"] for name in used_metrics(rule["expr"])
    }
    assert used - known == set()
    assert used & known_metrics(subject)


def test_every_defined_threshold_is_used_and_every_used_threshold_is_defined() -> None:
    there = {rule["labels"]["name"] for group in FILES["thresholds"] for rule in group["rules"]}
    text = "".join(path.read_text() for path in RULE_FILES if path.name != "thresholds.rules.yml")
    assert set(re.findall(r'wellbeing:threshold\{name="(\w+)"\}', text)) == there


def test_each_missing_threshold_is_named() -> None:
    names = [rule["labels"]["name"] for group in FILES["thresholds"] for rule in group["rules"]]
    expression = ALERTS["WellbeingThresholdsMissing"][1]["expr"]
    assert re.findall(r'absent\(wellbeing:threshold\{name="(\w+)"\}\)', expression) == names
