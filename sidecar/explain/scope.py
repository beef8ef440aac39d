"""How the labels of an alert become its scope."""

from __future__ import annotations

from sidecar.alerts import Alert, NoMatch, RuleMatch, RuleSet, scope_values
from sidecar.scope_segments import to_segment

Json = dict[str, object]


def explain_scope(rules: RuleSet, alert: Alert, match: RuleMatch | NoMatch) -> Json:
    """The labels that give the scope, what was changed in their values, and what is missing.

    Returns:
        ``labels``: names and values; ``missing``: the first label that is missing, None if none is;
        ``cleaned``: values that are no valid segments, with the segments that they became; ``problem``: why
        there is no scope, None if there is one.
    """
    values = scope_values(rules.rule_for(alert), alert)
    given = [value for _, value in values if value is not None]
    whole = [name for name, _ in values] == ["wellbeing_scope"] and given != ["*"]
    parts = given[0].split("/") if whole and given else [one for one in given if one != "*"]
    return {
        "labels": [{"label": name, "value": value} for name, value in values],
        "missing": next((name for name, value in values if value is None), None),
        "cleaned": [
            {"value": part, "segment": to_segment(part)}
            for part in parts
            if part and to_segment(part) != part
        ],
        "problem": match.cause.value if isinstance(match, NoMatch) else None,
    }
