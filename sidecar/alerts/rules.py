"""From an alert to what it claims: the config's rules, or the built-in ones where it has none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

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
class RuleMatch:
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
        scope: labels whose values make the scope, at most 8; none at all: the root; None: the label
            ``wellbeing_scope``.
        reason: a template; None: the annotation ``summary``.

    Raises:
        InvalidRule: the scope or the template is wrong.
    """

    matchers: tuple[Matcher, ...]
    state: WellbeingState | None
    scope: tuple[str, ...] | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.scope is not None:
            if len(self.scope) > MAX_SEGMENTS:
                message = f"scope: has {len(self.scope)} labels, at most {MAX_SEGMENTS} are allowed"
                raise InvalidRule(message)
            if not all(self.scope):
                message = "scope: a label's name is empty"
                raise InvalidRule(message)
        if self.reason is not None:
            _parts(self.reason)

    @classmethod
    def build(
        cls,
        matchers: Sequence[str],
        state: str,
        scope: Sequence[str] | None = None,
        reason: str | None = None,
    ) -> Rule:
        """The rule of these texts, as in a config.

        Raises:
            InvalidMatcher: a matcher is none.
            InvalidRule: the state, the scope or the template is wrong.
        """
        for key, value in (("matchers", matchers), ("scope", scope)):
            if isinstance(value, str):
                message = f"{key}: must be a list of texts, got the text {shown(value)}"
                raise InvalidRule(message)
        if state == IGNORE:
            claimed = None
        else:
            try:
                claimed = WellbeingState.parse(state)
            except CoreError as error:
                message = f"{error}, or {IGNORE}"
                raise InvalidRule(message) from None
        return cls(
            tuple(Matcher.parse(text) for text in matchers),
            claimed,
            None if scope is None else tuple(scope),
            reason,
        )

    def matches(self, alert: Alert) -> bool:
        """Whether the rule is for ``alert``."""
        labels = alert.labels
        for matcher in self.matchers:  # noqa: SIM110 - all() with a generator takes 4 times as long
            if not matcher.matches(labels):
                return False
        return True


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The config's rules in order; the first that matches decides. Without any: the built-in ones."""

    rules: tuple[Rule, ...] = ()

    def match(self, alert: Alert) -> RuleMatch | None:
        """What ``alert`` claims; None: it is to be ignored."""
        if not self.rules:
            state = _built_in_state(alert.labels)
            return (
                None
                if state is None
                else RuleMatch(scope_by_label(alert.labels), state, _reason(None, alert))
            )
        for rule in self.rules:
            if rule.matches(alert):
                if rule.state is None:
                    return None
                return RuleMatch(_scope(rule, alert.labels), rule.state, _reason(rule.reason, alert))
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

    What is filled in is not read again: a label's value may have braces.

    Raises:
        InvalidRule: it has another placeholder.
    """
    texts = {"labels": labels, "annotations": annotations}
    return "".join([texts[kind].get(name, "") if kind else name for kind, name in _parts(template)])


@lru_cache(maxsize=1024)
def _parts(template: str) -> tuple[tuple[str, str], ...]:
    """``template`` as pairs: ``labels`` or ``annotations`` and a name, or nothing and a text."""
    parts = []
    end = 0
    for match in _PLACEHOLDER.finditer(template):
        parts.append(("", template[end : match.start()]))
        end = match.end()
        if match[0] in ("{{", "}}"):
            parts.append(("", match[0][0]))
            continue
        known = _FIELD.fullmatch(match[1] or "")
        if known is None:
            message = (
                f"reason {shown(template)}: {shown(match[0])} is no placeholder: "
                "write {labels.NAME} or {annotations.NAME}, and {{ for a brace"
            )
            raise InvalidRule(message)
        parts.append((known[1], known[2]))
    return (*parts, ("", template[end:]))


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
    if template is not None:
        reason = clean_text(render(template, alert.labels, alert.annotations), MAX_REASON_LENGTH)
        if reason:
            return reason
    summary = clean_text(alert.annotations.get("summary", ""), MAX_REASON_LENGTH)
    return summary or clean_text(alert.labels.get("alertname", ""), MAX_REASON_LENGTH)
