from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.backtest.errors import InvalidInput
from sidecar.backtest.rule_files import read_rule_files

ROOT = Path(__file__).parents[3]


def read(tmp_path: Path, text: str):
    path = tmp_path / "r.yml"
    path.write_text(text)
    return read_rule_files([path])


def test_all_fields_of_a_rule_are_read(tmp_path: Path) -> None:
    [rule], [record] = read(
        tmp_path,
        """
groups:
  - name: g
    interval: 30s
    query_offset: 10s
    labels: {team: a}
    rules:
      - alert: A
        expr: |
          up == 0
        for: 1h30m
        keep_firing_for: 90s
        labels: {severity: critical, x: '{{ $labels.pod }}'}
        annotations: {summary: text}
      - record: a:b
        expr: 1
""",
    )
    assert (rule.name, rule.expression.strip(), rule.hold_ms, rule.keep_firing_ms) == (
        "A",
        "up == 0",
        5_400_000,
        90_000,
    )
    assert (rule.interval_ms, rule.offset_ms) == (30_000, 10_000)
    assert {name: one.text for name, one in rule.labels.items()} == {
        "team": "a", "severity": "critical", "x": "{{ $labels.pod }}",
    }  # fmt: skip
    assert rule.location.endswith("r.yml:8")
    assert (record.name, record.expression, record.interval_ms) == ("a:b", "1", 30_000)


def test_prometheus_rule_objects_of_the_operator_are_read(tmp_path: Path) -> None:
    rules, _ = read(
        tmp_path,
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:\n  groups: [{name: g, rules: [{alert: A, expr: up}]}]\n",
    )
    assert [rule.name for rule in rules] == ["A"]


@pytest.mark.parametrize("path", sorted((ROOT / "alerts").glob("*.rules.yml")), ids=lambda path: path.name)
def test_the_shipped_rules_can_be_read(path: Path) -> None:
    assert read_rule_files([ROOT / "alerts/sidecar.rules.yml", path])[0]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("groups: [{name: g, rules: [{alert: A}]}]", 1, "expr: is missing"),
        (
            "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: up\n        fro: 5m",
            6,
            "did you mean for",
        ),
        (
            "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: up\n        for: soon",
            6,
            "for: ",
        ),
        ("groups:\n  - name: g\n    rules:\n      - expr: up", 4, "either alert or record"),
        (
            "groups:\n  - name: g\n    rules:\n      - {alert: A, record: b, expr: up}",
            4,
            "either alert or record",
        ),
        ("groups:\n  - rules: []", 2, "name: is missing"),
        ("group: []", 1, "did you mean groups"),
        ("- a", 1, "must be a mapping"),
        ("groups: 1", 1, "must be a list"),
        (
            "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: up\n        labels:\n          a-b: c",
            7,
            "not the name of a label",
        ),
        (
            "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: up\n        labels:\n          a: '{{ query \"x\" }}'",
            7,
            "the alert 'A': labels.a: ",
        ),
        ("groups:\n  - name: g\n    rules:\n      - {record: a-b, expr: up}", 4, "not the name of a series"),
        ("groups:\n  - name: g\n   rules: []", 3, "not YAML"),
        ("groups: [{name: g, rules: [{alert: A, expr: [1]}]}]", 1, "must be text"),
    ],
)
def test_a_mistake_is_reported_with_its_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read(tmp_path, text)
    assert f"r.yml:{line}: " in str(error.value)
    assert why in str(error.value)
    assert "\n" not in str(error.value)


def test_an_annotation_that_cannot_be_expanded_is_reported_with_its_position(tmp_path: Path) -> None:
    [rule], _ = read(
        tmp_path,
        "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: up\n        annotations:\n          a: '{{ $labels.b'\n          c: d",
    )
    assert list(rule.annotations) == ["c"]
    assert "r.yml:7: the alert 'A': annotations.a: " in rule.not_filled["a"]


@pytest.mark.parametrize(
    "text", ["", "groups: []", "groups: [{name: g, rules: [{record: a, expr: b}]}]", "groups:\n"]
)
def test_a_file_without_alerts_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput):
        read(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.yml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InvalidInput, match=why):
            read_rule_files([path])
