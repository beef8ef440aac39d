"""Which rules match an alert, and which matchers fail on which values."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sidecar.alerts import Alert, Matcher, RuleSet

Json = dict[str, object]
_BARE_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


def explain_rules(rules: RuleSet, alert: Alert, locations: Mapping[str, str]) -> list[Json]:
    """Each rule up to the deciding rule, and why the earlier rules do not match.

    Args:
        rules: the rules of the config.
        alert: the alert.
        locations: the locations of the rules in the config, by name.

    Returns:
        For each rule ``rule`` (its name), ``at`` (its location; None: built in), ``matched``, ``failed`` (the
        matchers that do not match, with the value of their label; None: the label is missing), and for a
        built-in rule ``label`` and ``value``, which decide about the state.
    """
    if not rules.rules:
        return [_built_in(alert)]
    found: list[Json] = []
    for index, rule in enumerate(rules.rules):
        failed = [matcher for matcher in rule.matchers if not matcher.matches(alert.labels)]
        name = f"alerts.rules[{index}]"
        found.append(
            {
                "rule": name,
                "at": locations.get(name),
                "matched": not failed,
                "failed": [
                    {"matcher": _text(one), "label": one.name, "value": alert.labels.get(one.name)}
                    for one in failed
                ],
            }
        )
        if not failed:
            break
    return found


def _built_in(alert: Alert) -> Json:
    label = RuleSet.deciding_label(alert)
    return {
        "rule": "built-in",
        "at": None,
        "matched": True,
        "failed": [],
        "label": label,
        "value": alert.labels.get(label),
    }


def _text(matcher: Matcher) -> str:
    name = matcher.name if _BARE_NAME.fullmatch(matcher.name) else _quoted(matcher.name)
    return f"{name}{matcher.op}{_quoted(matcher.value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
