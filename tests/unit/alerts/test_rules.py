"""The scope, state and reason that an alert maps to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.alerts import (
    Alert,
    InvalidMatcher,
    InvalidRule,
    Matcher,
    NoMatch,
    NoMatchCause,
    Rule,
    RuleMatch,
    RuleSet,
    parse_notification,
)
from sidecar.core.scope import parse_scope
from sidecar.core.state import WellbeingState
from sidecar.scope_segments import to_segment

FIXTURES = Path(__file__).parents[2] / "fixtures" / "alertmanager"
HEALTHY, CAUTIOUS, CONCERNED, DISTRESSED = WellbeingState


def alert(labels=None, annotations=None, *, firing=True):
    return Alert(firing, labels or {}, annotations or {}, 1.0, None if firing else 2.0, "f")


def scoped(labels=None, annotations=None):
    """An alert of the root scope, unless its labels name another scope."""
    return alert({"wellbeing_scope": "*", **(labels or {})}, annotations)


def claim(rule, labels=None, annotations=None):
    return RuleSet((rule,)).match(scoped(labels, annotations))


def state_of(labels):
    made = RuleSet().match(scoped(labels))
    if isinstance(made, NoMatch):
        assert made == NoMatch(NoMatchCause.IGNORED_BY_RULE)
        return None
    return made.state


@pytest.mark.parametrize(
    ("labels", "state"),
    [
        ({"severity": "critical"}, DISTRESSED),
        ({"severity": "warning"}, CONCERNED),
        ({"severity": "info"}, CAUTIOUS),
        ({"severity": "none"}, None),
        ({"severity": "page"}, CAUTIOUS),
        ({"severity": "Critical"}, CAUTIOUS),
        ({}, CAUTIOUS),
        ({"wellbeing": "healthy", "severity": "critical"}, HEALTHY),
        ({"wellbeing": "cautious", "severity": "critical"}, CAUTIOUS),
        ({"wellbeing": "concerned"}, CONCERNED),
        ({"wellbeing": "distressed", "severity": "none"}, DISTRESSED),
        ({"wellbeing": "ignore", "severity": "critical"}, None),
        ({"wellbeing": "sad", "severity": "warning"}, CONCERNED),
        ({"wellbeing": "", "severity": "critical"}, DISTRESSED),
        ({"wellbeing": "sad"}, CAUTIOUS),
    ],
)
def test_without_rules_the_labels_determine_the_state(labels, state):
    assert state_of(labels) is state


def test_a_real_alert_is_matched_by_the_built_in_rules():
    (one,) = parse_notification((FIXTURES / "01_single_firing.json").read_bytes()).alerts
    assert RuleSet().match(one) == NoMatch(NoMatchCause.NO_SCOPE, "wellbeing_scope")
    about = replace(one, labels={**one.labels, "wellbeing_scope": "a"})
    assert RuleSet().match(about) == RuleMatch("a", DISTRESSED, "Signal 0.90 on 127.0.0.1:19100")


def test_the_first_matching_rule_applies():
    rules = RuleSet(
        (
            Rule.build(['severity="critical"', 'team="a"'], "distressed"),
            Rule.build(['severity="critical"'], "concerned"),
            Rule.build([], "cautious"),
        )
    )
    states = [
        rules.match(scoped(labels)).state
        for labels in ({"severity": "critical", "team": "a"}, {"severity": "critical"}, {"team": "a"})
    ]
    assert states == [DISTRESSED, CONCERNED, CAUTIOUS]


def test_an_alert_that_no_configured_rule_matches_is_ignored():
    labels = {"severity": "critical", "wellbeing": "distressed"}
    assert claim(Rule.build(["team=a"], "distressed"), labels) == NoMatch(NoMatchCause.NO_RULE)


def test_a_rule_can_ignore_alerts_that_later_rules_match():
    rules = RuleSet((Rule.build(["team=a"], "ignore"), Rule.build([], "distressed")))
    assert rules.match(scoped({"team": "a"})) == NoMatch(NoMatchCause.IGNORED_BY_RULE)
    assert rules.match(scoped({"team": "b"})).state is DISTRESSED


def test_a_resolved_alert_is_matched_like_a_firing_one():
    labels = {"severity": "critical", "wellbeing_scope": "a/b"}
    assert RuleSet().match(alert(labels, firing=False)) == RuleSet().match(alert(labels))


@pytest.mark.parametrize(
    ("labels", "scope"),
    [
        ({"namespace": "n", "model": "m", "pod": "p"}, "n/m/p"),
        ({"namespace": "n", "model": "m"}, "n/m"),
        ({"namespace": "n", "pod": "p"}, "n"),
        ({"namespace": "n", "model": "", "pod": "p"}, "n"),
        ({"namespace": "n", "model": "<no value>", "pod": "p"}, "n"),
        ({"namespace": "n", "model": "meta/llama"}, "n/" + to_segment("meta/llama")),
        ({"namespace": "a/b"}, to_segment("a/b")),
        ({"namespace": "..", "model": "."}, to_segment("..") + "/" + to_segment(".")),
    ],
)
def test_a_scope_is_made_of_the_values_of_the_rules_labels_before_the_first_missing_label(labels, scope):
    assert claim(Rule.build([], "distressed", ["namespace", "model", "pod"]), labels).scope == scope


@pytest.mark.parametrize(
    "labels",
    [
        {"model": "m", "pod": "p"},
        {},
        {"namespace": "", "model": "m"},
        {"namespace": "[no value]", "model": "m"},
        {"wellbeing_scope": "x/y"},
    ],
)
def test_an_alert_without_the_first_scope_label_of_its_rule_is_misdirected(labels):
    found = claim(Rule.build([], "distressed", ["namespace", "model", "pod"]), labels)
    assert found == NoMatch(NoMatchCause.NO_LABEL, "namespace")
    assert found.misdirected


def test_an_alert_without_wellbeing_scope_is_ignored_by_the_built_in_rules():
    disk = alert({"alertname": "DiskFull", "severity": "critical"})
    found = RuleSet().match(disk)
    assert found == NoMatch(NoMatchCause.NO_SCOPE, "wellbeing_scope")
    assert not found.misdirected
    assert RuleSet((Rule.build([], "distressed"),)).match(disk).misdirected, "its rule names a scope"


@pytest.mark.parametrize(
    "value", ["", "/", "//", "/a", "a/", "a//b", "a/b/", "/1/2/3/4/5/6/7/8", "<no value>", "a/[no value]/b"]
)
@pytest.mark.parametrize("rules", [RuleSet(), RuleSet((Rule.build([], "cautious"),))])
def test_an_empty_segment_of_wellbeing_scope_is_misdirected(rules, value):
    found = rules.match(alert({"wellbeing_scope": value}))
    assert found == NoMatch(NoMatchCause.EMPTY_SEGMENT, "wellbeing_scope")
    assert found.misdirected


@pytest.mark.parametrize("labels", [{"severity": "none"}, {"wellbeing": "ignore", "severity": "critical"}])
def test_an_alert_that_a_rule_ignores_is_not_misdirected(labels):
    assert RuleSet().match(alert({**labels, "wellbeing_scope": "a//b"})) == NoMatch(
        NoMatchCause.IGNORED_BY_RULE
    )


def test_a_rule_whose_scope_names_no_labels_means_the_root():
    assert claim(Rule.build([], "distressed", []), {"wellbeing_scope": "x"}).scope == ""


@pytest.mark.parametrize(
    ("value", "scope"),
    [
        ("team-a/llama/agent-7", "team-a/llama/agent-7"),
        ("*", ""),
        ("*/a", to_segment("*") + "/a"),
        ("a/../b", "a/" + to_segment("..") + "/b"),
        (".", to_segment(".")),
        ("..", to_segment("..")),
        ("a/.../b", "a/.../b"),
        ("team a/llama", to_segment("team a") + "/llama"),
        ("1/2/3/4/5/6/7/8", "1/2/3/4/5/6/7/8"),
        ("1/2/3/4/5/6/7/8/9", "1/2/3/4/5/6/7/" + to_segment("8/9")),
    ],
)
@pytest.mark.parametrize("rules", [RuleSet(), RuleSet((Rule.build([], "cautious"),))])
def test_the_label_wellbeing_scope_names_the_scope_if_the_rule_does_not(rules, value, scope):
    assert rules.match(alert({"wellbeing_scope": value})).scope == scope


def test_scopes_that_are_too_deep_stay_different():
    deep = {RuleSet().match(alert({"wellbeing_scope": f"1/2/3/4/5/6/7/8/{end}"})).scope for end in "abc"}
    assert len(deep) == 3


@given(st.text(st.characters() | st.sampled_from("/ ~.")))
def test_any_label_value_makes_a_scope(value):
    for rules in (RuleSet(), RuleSet((Rule.build([], "cautious", ["wellbeing_scope"] * 8),))):
        found = rules.match(alert({"wellbeing_scope": value}))
        if isinstance(found, NoMatch):
            assert not all(value.split("/"))
        else:
            assert parse_scope(found.scope) == found.scope
            assert found.scope or value == "*"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("plain", "plain"),
        ("{annotations.summary}", "S"),
        ("{labels.pod}: {annotations.summary}!", "p: S!"),
        ("{labels.missing}x{annotations.missing}", "x"),
        ("{{labels.pod}}", "{labels.pod}"),
        ("{{{labels.pod}}}", "{p}"),
        ("{labels.braces}", "{labels.pod}"),
        ("{labels.missing}", "S"),
        (" {labels.control} ", "S"),
        ("", "S"),
        (None, "S"),
    ],
)
def test_the_reason_is_the_expanded_template_or_the_summary(template, reason):
    labels = {"alertname": "A", "pod": "p", "braces": "{labels.pod}", "control": "\n"}
    assert claim(Rule.build([], "distressed", reason=template), labels, {"summary": "S"}).reason == reason


@pytest.mark.parametrize(
    ("labels", "annotations", "reason"),
    [
        ({"alertname": "A"}, {}, "A"),
        ({"alertname": "A"}, {"summary": ""}, "A"),
        ({"alertname": "A"}, {"summary": "\n"}, "A"),
        ({}, {}, ""),
    ],
)
def test_without_a_summary_the_alertname_is_the_reason(labels, annotations, reason):
    assert RuleSet().match(scoped(labels, annotations)).reason == reason


def test_a_reason_is_safe_to_log_and_of_bounded_length():
    reason = RuleSet().match(scoped({}, {"summary": "a\x1b[31m\r\n\u202e" + "x" * 20_000})).reason
    assert reason.startswith("a [31m x")
    assert len(reason) == 1000


@pytest.mark.parametrize(
    "template",
    [
        "{alertname}",
        "{}",
        "{0}",
        "{labels}",
        "{labels.}",
        "{labels.pod.name}",
        "{labels[pod]}",
        "{labels.pod!r}",
        "{labels.pod:>10}",
        "{labels.__class__.__mro__}",
        "{ labels.pod }",
        "{labels.pod",
        "labels.pod}",
        "{labels.{annotations.x}}",
        "{other.pod}",
    ],
)
def test_an_unknown_placeholder_is_refused_when_the_rule_is_built(template):
    with pytest.raises(InvalidRule, match="is not a placeholder"):
        Rule.build([], "distressed", reason=template)


def test_a_label_named_like_a_python_attribute_is_only_a_label():
    assert claim(Rule.build([], "distressed", reason="x{labels.__class__}"), {}).reason == "x"


@pytest.mark.parametrize("state", ["sad", "Distressed", "", "none", None, 3])
def test_an_unknown_state_is_refused_and_the_known_ones_are_named(state):
    with pytest.raises(InvalidRule, match="healthy, cautious, concerned, distressed, or ignore"):
        Rule.build([], state)


@pytest.mark.parametrize(
    ("scope", "why"),
    [(["a"] * 9, "at most 8"), (["a", ""], "empty"), ("pod", "must be a list")],
)
def test_an_impossible_scope_of_a_rule_is_refused(scope, why):
    with pytest.raises(InvalidRule, match=why):
        Rule.build([], "distressed", scope)


def test_a_wrong_matcher_is_refused():
    with pytest.raises(InvalidMatcher):
        Rule.build(["severity"], "distressed")
    with pytest.raises(InvalidRule, match="must be a list"):
        Rule.build("severity=critical", "distressed")


def test_a_rule_made_without_building_is_checked_as_well():
    with pytest.raises(InvalidRule):
        Rule((Matcher("a", "=", "b"),), DISTRESSED, reason="{nothing}")
    with pytest.raises(InvalidRule):
        Rule((), DISTRESSED, scope=("a",) * 9)
