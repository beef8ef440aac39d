"""Maps alerts to scopes and states, by the rules of the config or, without any, by the built-in rules."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from sidecar.core.errors import CoreError, short_repr
from sidecar.core.frozen import value_class
from sidecar.core.scope import ROOT, join_segments
from sidecar.core.state import WellbeingState
from sidecar.core.text import clean_text
from sidecar.scope_segments import MAX_SEGMENTS

from .errors import InvalidRule
from .matchers import Matcher
from .payload import Alert

MAX_REASON_LENGTH = 1000
IGNORE = "ignore"
STATE_LABEL = "wellbeing"
SCOPE_LABEL = "wellbeing_scope"
ROOT_VALUE = "*"
"""The value of ``wellbeing_scope`` that means the root. A template over missing labels never produces it."""

_NO_VALUES = frozenset(("", "<no value>", "[no value]"))
"""The text that a template produces for a missing label, in Prometheus, Go's templates and Grafana."""

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


@value_class(frozen=True, slots=True)
class RuleMatch:
    """The scope, state and reason that an alert maps to."""

    scope: str
    state: WellbeingState
    reason: str


class NoMatchCause(Enum):
    """Why an alert maps to no scope."""

    IGNORED_BY_RULE = "a rule ignores it"
    NO_RULE = "no rule matches it"
    NO_SCOPE = "it has no label wellbeing_scope"
    NO_LABEL = "the first label of its rule's scope is missing"
    EMPTY_SEGMENT = "a segment of its scope is empty"


@dataclass(frozen=True, slots=True)
class NoMatch:
    """The result for an alert that maps to no scope.

    Attributes:
        cause: the cause.
        label: the label that is missing or wrong; empty: the cause is not a label.
    """

    cause: NoMatchCause
    label: str = ""

    @property
    def misdirected(self) -> bool:
        """Whether a rule applies to the alert, but its labels do not give a valid scope."""
        return self.cause in (NoMatchCause.NO_LABEL, NoMatchCause.EMPTY_SEGMENT)


@dataclass(frozen=True, slots=True)
class Rule:
    """Maps the alerts that match to a state and a scope.

    Attributes:
        matchers: all of them must match.
        state: the state of the signal; None: the alert is ignored.
        scope: at most 8 labels. Their values, up to the first missing label, are the segments of the scope.
            An empty tuple means the root. None: the label ``wellbeing_scope`` has the scope.
        reason: a template; None: the annotation ``summary``.

    Raises:
        InvalidRule: the scope or the template is invalid.
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
                message = "scope: the name of a label is empty"
                raise InvalidRule(message)
        if self.reason is not None:
            _parse_template(self.reason)

    @classmethod
    def build(
        cls,
        matchers: Sequence[str],
        state: str,
        scope: Sequence[str] | None = None,
        reason: str | None = None,
    ) -> Rule:
        """Build a rule from the values of a config.

        Raises:
            InvalidMatcher: a matcher is invalid.
            InvalidRule: the state, the scope or the template is invalid.
        """
        for key, value in (("matchers", matchers), ("scope", scope)):
            if isinstance(value, str):
                message = f"{key}: must be a list of text, got the text {short_repr(value)}"
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
            tuple(matcher for text in matchers for matcher in Matcher.parse_list(text)),
            claimed,
            None if scope is None else tuple(scope),
            reason,
        )

    def matches(self, alert: Alert) -> bool:
        """Whether all matchers match ``alert``."""
        labels = alert.labels
        for matcher in self.matchers:  # noqa: SIM110 - all() with a generator takes 4 times as long
            if not matcher.matches(labels):
                return False
        return True


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of the config, in order. The first that matches decides. No rules: the built-in ones."""

    rules: tuple[Rule, ...] = ()

    def match(self, alert: Alert) -> RuleMatch | NoMatch:
        """The scope and state that ``alert`` maps to, or why there are none."""
        if not self.rules:
            return _match_built_in(alert)
        for rule in self.rules:
            if rule.matches(alert):
                return _match_rule(rule, alert)
        return NoMatch(NoMatchCause.NO_RULE)

    def rule_for(self, alert: Alert) -> Rule | None:
        """The first rule of the config that matches ``alert``; None: no rule matches."""
        return next((rule for rule in self.rules if rule.matches(alert)), None)

    @staticmethod
    def deciding_label(alert: Alert) -> str:
        """The label that decides the state of ``alert`` by the built-in rules."""
        return STATE_LABEL if alert.labels.get(STATE_LABEL, "") in _BY_STATE else "severity"


def _match_built_in(alert: Alert) -> RuleMatch | NoMatch:
    state = _built_in_state(alert.labels)
    if state is None:
        return NoMatch(NoMatchCause.IGNORED_BY_RULE)
    if SCOPE_LABEL not in alert.labels:
        return NoMatch(NoMatchCause.NO_SCOPE, SCOPE_LABEL)
    scope = _labelled_scope(alert.labels)
    return scope if isinstance(scope, NoMatch) else RuleMatch(scope, state, _reason(None, alert))


def _match_rule(rule: Rule, alert: Alert) -> RuleMatch | NoMatch:
    if rule.state is None:
        return NoMatch(NoMatchCause.IGNORED_BY_RULE)
    scope = _labelled_scope(alert.labels) if rule.scope is None else _joined_scope(rule.scope, alert.labels)
    return scope if isinstance(scope, NoMatch) else RuleMatch(scope, rule.state, _reason(rule.reason, alert))


def _labelled_scope(labels: Mapping[str, str]) -> str | NoMatch:
    """The scope in the label ``wellbeing_scope``. Segments that are not valid are converted.

    If there are too many segments, the last ones are joined to one, so that the scope stays below its
    parents.
    """
    value = labels.get(SCOPE_LABEL)
    if value is None:
        return NoMatch(NoMatchCause.NO_LABEL, SCOPE_LABEL)
    if value == ROOT_VALUE:
        return ROOT
    parts = value.split("/")
    if not _NO_VALUES.isdisjoint(parts):
        # A template used a missing label. Without the empty segment the scope would be too wide.
        return NoMatch(NoMatchCause.EMPTY_SEGMENT, SCOPE_LABEL)
    if len(parts) > MAX_SEGMENTS:
        parts = [*parts[: MAX_SEGMENTS - 1], "/".join(parts[MAX_SEGMENTS - 1 :])]
    return join_segments(parts)


def _joined_scope(names: Sequence[str], labels: Mapping[str, str]) -> str | NoMatch:
    if not names:
        return ROOT
    values = []
    for name in names:
        value = labels.get(name, "")
        if value in _NO_VALUES:
            break
        values.append(value)
    return join_segments(values) if values else NoMatch(NoMatchCause.NO_LABEL, names[0])


def scope_values(rule: Rule | None, alert: Alert) -> tuple[tuple[str, str | None], ...]:
    """The labels that give the scope of ``alert``, with their values up to the first that is missing (None).

    Args:
        rule: the rule that matches; None: the built-in rules.
        alert: the alert.
    """
    names = (SCOPE_LABEL,) if rule is None or rule.scope is None else rule.scope
    found: list[tuple[str, str | None]] = []
    for name in names:
        value = alert.labels.get(name)
        # The label wellbeing_scope is returned unchanged, so that its empty segments can be shown.
        missing = value is None or (value in _NO_VALUES and names != (SCOPE_LABEL,))
        found.append((name, None if missing else value))
        if missing:
            break
    return tuple(found)


def render(template: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """``template`` with ``{labels.NAME}`` and ``{annotations.NAME}`` filled in; ``{{`` is a brace.

    Values are not expanded again, because the value of a label may have braces.

    Raises:
        InvalidRule: the template has an unknown placeholder.
    """
    texts = {"labels": labels, "annotations": annotations}
    return "".join([texts[kind].get(name, "") if kind else name for kind, name in _parse_template(template)])


@lru_cache(maxsize=1024)
def _parse_template(template: str) -> tuple[tuple[str, str], ...]:
    """Parse ``template`` to pairs: ``labels`` or ``annotations`` and a name, or an empty string and text."""
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
                f"reason {short_repr(template)}: {short_repr(match[0])} is not a placeholder: "
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


def _reason(template: str | None, alert: Alert) -> str:
    if template is not None:
        reason = clean_text(render(template, alert.labels, alert.annotations), MAX_REASON_LENGTH)
        if reason:
            return reason
    summary = clean_text(alert.annotations.get("summary", ""), MAX_REASON_LENGTH)
    return summary or clean_text(alert.labels.get("alertname", ""), MAX_REASON_LENGTH)
