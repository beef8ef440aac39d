from __future__ import annotations

import pytest

from sidecar.backtest.errors import BacktestError
from sidecar.backtest.rule_evaluation import Grid, RuleEvaluation
from sidecar.backtest.rule_files import AlertingRule
from sidecar.backtest.templates import Template

STEP = 60_000
GRID = Grid(0, 20 * STEP, STEP)


def rule(
    labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **members
) -> AlertingRule:
    defaults = {"hold_ms": 0, "keep_firing_ms": 0, "interval_ms": None, "offset_ms": 0}
    return AlertingRule(
        name="A",
        expression="x",
        labels={name: Template.parse(text) for name, text in (labels or {}).items()},
        annotations={name: Template.parse(text) for name, text in (annotations or {}).items()},
        not_filled={},
        location="r.yml:3",
        **{**defaults, **members},
    )


def series(labels: dict[str, str], first: int, last: int, value: str = "1") -> tuple:
    return (labels, [[at * 60, value] for at in range(first, last + 1)])


def evaluated(of: AlertingRule, *answers, external: dict[str, str] | None = None) -> list:
    evaluation = RuleEvaluation(of, GRID, external or {})
    for answer in answers:
        evaluation.add(answer)
    return [
        (
            dict(one.labels),
            one.starts_at // STEP,
            None if one.ends_at is None else one.ends_at / STEP,
            dict(one.annotations),
        )
        for one in evaluation.periods()
    ]


def test_an_alert_has_the_labels_of_its_series_and_rule() -> None:
    of = rule({"scope": "{{ $labels.pod }}-{{ $externalLabels.cluster }}", "gone": "", "pod": "other"})
    found = evaluated(of, [series({"__name__": "x", "pod": "p"}, 2, 4)], external={"cluster": "east"})
    assert found == [({"alertname": "A", "scope": "p-east", "pod": "other"}, 2, 5, {})]


def test_an_alert_continues_across_responses() -> None:
    found = evaluated(rule(hold_ms=2 * STEP), [series({"a": "b"}, 1, 3)], [series({"a": "b"}, 4, 6)])
    assert found == [({"alertname": "A", "a": "b"}, 3, 7, {})]


def test_annotations_show_the_value_at_the_start_of_the_alert() -> None:
    samples = ({"a": "b"}, [[at * 60, str(at)] for at in range(1, 9)])
    found = evaluated(
        rule(annotations={"summary": "{{ $value }} {{ $labels.a }}"}, hold_ms=3 * STEP), [samples]
    )
    assert found == [({"alertname": "A", "a": "b"}, 4, 9, {"summary": "4 b"})]


def test_a_label_with_the_value_makes_one_alert_for_each_value() -> None:
    samples = ({}, [[at * 60, "1" if at < 4 else "2"] for at in range(1, 8)])
    found = evaluated(rule({"value": "{{ $value }}"}), [samples])
    assert found == [
        ({"alertname": "A", "value": "1"}, 1, 4, {}),
        ({"alertname": "A", "value": "2"}, 4, 8, {}),
    ]


def test_simultaneous_series_with_the_same_labels_are_refused_as_in_prometheus() -> None:
    answer = [series({"pod": "a"}, 1, 5), series({"pod": "b"}, 3, 6)]
    with pytest.raises(BacktestError, match=r"r\.yml:3: the alert 'A': two series .* pod='one'"):
        evaluated(rule({"pod": "one"}), answer)


def test_consecutive_series_with_the_same_labels_are_one_alert() -> None:
    answer = [series({"pod": "a"}, 1, 3), series({"pod": "b"}, 4, 6), series({"pod": "c"}, 9, 9)]
    found = evaluated(rule({"pod": "one"}), answer)
    assert [(began, ended) for _, began, ended, _ in found] == [(1, 7), (9, 10)]


def test_a_query_offset_delays_the_alert() -> None:
    assert evaluated(rule(offset_ms=STEP), [series({}, 1, 2)]) == [({"alertname": "A"}, 2, 4, {})]


def test_the_error_of_a_template_names_the_rule_and_the_label() -> None:
    with pytest.raises(BacktestError, match=r"r\.yml:3: the alert 'A': labels\.x: 'p' is not a number"):
        evaluated(rule({"x": "{{ humanize $labels.pod }}"}), [series({"pod": "p"}, 1, 1)])


def test_an_aligned_grid_does_not_depend_on_the_time_of_the_query() -> None:
    one, other = Grid.aligned(1_000, 200_000, STEP), Grid.aligned(59_999, 200_000, STEP)
    assert one == other == Grid(60_000, 200_000, STEP)
    assert (one.points, one.last) == (3, 180_000)
    assert Grid.aligned(70_000, 80_000, STEP).points == 0
