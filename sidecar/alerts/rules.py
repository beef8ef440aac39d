"""From an alert to what it claims: the config's rules, or the built-in ones where it has none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.errors import CoreError, InvalidScope, shown
from sidecar.core.scope import MAX_SEGMENTS, ROOT, join_segments, parse_scope, to_segment
from sidecar.core.state import WellbeingState
from sidecar.core.text import clean_text

from .errors import InvalidRule
from .matchers import Matcher
from .payload import Alert

MAX_REASON_LENGTH = 1000
IGNORE = "ignore"
STATE_LABEL = "wellbeing"
SCOPE_LABEL = "wellbeing_scope"

_BY_SEVERITY: Mapping[str, WellbeingState | None] = {
    "critical": WellbeingState.DISTRESSED,
    "warning": WellbeingState.CONCERNED,
    "info": WellbeingState.CAUTIOUS,
    "none": None,
}
_BY_STATE: Mapping[str, WellbeingState | None] = {
    **{state.label: state for state in WellbeingState},
    IGNORE: None,
}
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FIELD = re.compile(r"(labels|annotations)\.([a-zA-Z_][a-zA-Z0-9_]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an alert says of a scope."""

    scope: str
    state: WellbeingState
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What the alerts that match claim.

    Attributes:
        matchers: all have to hold.
        state: what is claimed; None: the alert is ignored.
        scope: labels whose values make the scope; None: the label ``wellbeing_scope``.
        reason: a template; None: the annotation ``summary``.
    """

    matchers: tuple[Matcher, ...]
    state: WellbeingState | None
    scope: tuple[str, ...] | None = None
    reason: str | None = None

    @classmethod
    def build(
        cls, matchers: Sequence[str], state: str, scope: Sequence[str] | None = None, reason: str | None = None
    ) -> Rule:
        """The rule of these texts, as in a config.

        Raises:
            InvalidMatcher: a matcher is none.
            InvalidRule: the state, a label or the template is wrong.
        """
        if state == IGNORE:
            claimed = None
        else:
            try:
                claimed = WellbeingState.parse(state)
            except CoreError as error:
                message = f"{error}, or {IGNORE}"
                raise InvalidRule(message) from None
        if reason is not None:
            render(reason, {}, {})
        return cls(
            tuple(Matcher.parse(text) for text in matchers),
            claimed,
            None if scope is None else tuple(scope),
            reason,
        )

    def matches(self, alert: Alert) -> bool:
        """Whether the rule is for ``alert``."""
        return all(matcher.matches(alert.labels) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The config's rules in order; the first that matches decides. Without any: the built-in ones."""

    rules: tuple[Rule, ...] = ()

    def claim_for(self, alert: Alert) -> Claim | None:
        """What ``alert`` claims; None: it is to be ignored."""
        if not self.rules:
            state = _built_in_state(alert.labels)
            return None if state is None else Claim(scope_by_label(alert.labels), state, _reason(None, alert))
        for rule in self.rules:
            if rule.matches(alert):
                if rule.state is None:
                    return None
                return Claim(_scope(rule, alert.labels), rule.state, _reason(rule.reason, alert))
        return None


def scope_by_label(labels: Mapping[str, str]) -> str:
    """The scope that the label ``wellbeing_scope`` names, made valid where it is not; else the root."""
    value = labels.get(SCOPE_LABEL, "")
    try:
        return parse_scope(value)
    except InvalidScope:
        parts = [part for part in value.split("/") if part]
        if len(parts) > MAX_SEGMENTS:
            parts = [*parts[: MAX_SEGMENTS - 1], "/".join(parts[MAX_SEGMENTS - 1 :])]
        return "/".join(to_segment(part) for part in parts)


def render(template: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """``template`` with ``{labels.NAME}`` and ``{annotations.NAME}`` filled in; ``{{`` is a brace.

    Raises:
        InvalidRule: it has another placeholder.
    """

    def fill(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        known = _FIELD.fullmatch(match[1] or "")
        if known is None:
            message = (
                f"reason {shown(template)}: {shown(match[0])} is no placeholder: "
                "write {labels.NAME} or {annotations.NAME}, and {{ for a brace"
            )
            raise InvalidRule(message)
        return (labels if known[1] == "labels" else annotations).get(known[2], "")

    return _PLACEHOLDER.sub(fill, template)


def _built_in_state(labels: Mapping[str, str]) -> WellbeingState | None:
    named = labels.get(STATE_LABEL, "")
    if named in _BY_STATE:
        return _BY_STATE[named]
    return _BY_SEVERITY.get(labels.get("severity", ""), WellbeingState.CAUTIOUS)


def _scope(rule: Rule, labels: Mapping[str, str]) -> str:
    if rule.scope is None:
        return scope_by_label(labels)
    values = []
    for name in rule.scope:
        value = labels.get(name, "")
        if not value:
            break
        values.append(value)
    return join_segments(values) if values else ROOT


def _reason(template: str | None, alert: Alert) -> str:
    reason = "" if template is None else render(template, alert.labels, alert.annotations)
    reason = reason or alert.annotations.get("summary", "") or alert.labels.get("alertname", "")
    return clean_text(reason, MAX_REASON_LENGTH)
