"""Finds policies and alert rules that are never used, because an earlier one has all their matches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from sidecar.alerts import Rule
from sidecar.core.policy import PolicyTable

from .values import Config


def describe_unused(config: Config) -> list[str]:
    """A sentence for each policy and alert rule that is never used, with its location."""
    scopes = [match or "the root" for match, _ in config.policies.rules]
    sentences = [
        f"{_location(config, f'policies[{index}]')}policies[{index}] ({scopes[index]}) is never used: "
        f"policies[{first}] ({scopes[first]}) comes first and matches the same scopes"
        for index, first in unused_policies(config.policies)
    ]
    sentences += [
        f"{_location(config, f'alerts.rules[{index}]')}alerts.rules[{index}] is never used: "
        f"alerts.rules[{first}] comes first and matches the same alerts"
        for index, first in _unused_rules(config.alerts.rules.rules)
    ]
    return sentences


def _location(config: Config, key: str) -> str:
    return f"{config.locations[key]}: " if key in config.locations else ""


def unused_policies(policies: PolicyTable) -> list[tuple[int, int]]:
    """The positions of unused policies, each with the position of the policy that decides instead."""
    first = [policies.index_for(match) for match, _ in policies.rules]
    return [(index, one) for index, one in enumerate(first) if one is not None and one != index]


def _unused_rules(rules: Sequence[Rule]) -> list[tuple[int, int]]:
    """`unused_policies` for alert rules: an unused rule has all matchers of an earlier rule."""
    conditions = [frozenset((one.name, one.op, one.value) for one in rule.matchers) for rule in rules]
    # Thousands of rules may share a matcher. So an earlier rule is looked up by its rarest matcher.
    frequency = Counter(condition for matchers in conditions for condition in matchers)
    earlier: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    unconditional: int | None = None
    unused = []
    for index, matchers in enumerate(conditions):
        candidates = [one for condition in matchers for one in earlier[condition]]
        matching = [one for one in candidates if conditions[one] <= matchers]
        if unconditional is not None:
            matching.append(unconditional)
        if matching:
            unused.append((index, min(matching)))
        elif matchers:
            earlier[min(matchers, key=lambda one: (frequency[one], one))].append(index)
        else:
            unconditional = index
    return unused
