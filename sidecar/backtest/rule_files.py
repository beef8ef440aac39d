"""Reads Prometheus rule files: groups of alerting and recording rules, with their locations.

A ``PrometheusRule`` of the Prometheus operator is accepted too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.config import ConfigError, suggestion_for
from sidecar.config.source import Value, read_file
from sidecar.core.errors import short_repr
from sidecar.durations import parse_duration

from .errors import InvalidInput
from .templates import InvalidTemplate, Template

_GROUP_KEYS = (
    "name", "rules", "interval", "query_offset", "limit", "labels",
    "partial_response_strategy", "source_tenants",
)  # fmt: skip
_RULE_KEYS = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")
_SERIES_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """A rule that raises alerts.

    Attributes:
        name: the ``alertname`` of its alerts.
        expression: the PromQL expression.
        hold_ms: ``for``, milliseconds.
        keep_firing_ms: ``keep_firing_for``, milliseconds.
        labels: the labels that the rule adds.
        annotations: the annotations that the rule adds.
        not_filled: for each annotation that cannot be filled in, why, with the location and the alert.
        interval_ms: milliseconds between two evaluations; None: Prometheus' own interval.
        offset_ms: ``query_offset``: how much earlier the data of the expression are, in milliseconds.
        place: ``FILE:LINE``.
    """

    name: str
    expression: str
    hold_ms: int
    keep_firing_ms: int
    labels: Mapping[str, Template]
    annotations: Mapping[str, Template]
    not_filled: Mapping[str, str]
    interval_ms: int | None
    offset_ms: int
    location: str


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A rule that records a series. The attributes are as in `AlertingRule`."""

    name: str
    expression: str
    interval_ms: int | None
    location: str


_Texts = Mapping[str, tuple[str, str]]
Rules = tuple[list[AlertingRule], list[RecordingRule]]


def read_rule_files(paths: list[Path]) -> Rules:
    """The rules of all files.

    Raises:
        InvalidInput: a file cannot be read, or is not a rule file; the message has the line.
    """
    alerting: list[AlertingRule] = []
    recording: list[RecordingRule] = []
    for path in paths:
        try:
            root = read_file(path)
        except ConfigError as error:
            raise InvalidInput(error.problems[0]) from None
        for group in _groups(root):
            _read_group(group, alerting, recording)
    if not alerting:
        names = ", ".join(str(path) for path in paths)
        raise InvalidInput(f"{names}: no rule raises an alert")
    return alerting, recording


def _groups(root: Value) -> list[Value]:
    top = _mapping(root, "a rule file")
    if "spec" in top and "groups" not in top:
        top = _mapping(top["spec"], "spec")
    elif set(top) - {"groups"}:
        key = next(key for key in top if key != "groups")
        raise _invalid(
            top[key].location,
            f"{short_repr(key)}: no such key in a rule file{suggestion_for(key, ['groups'])}",
        )
    if "groups" not in top:
        raise _invalid(root.location, "groups: is missing: is this a rule file?")
    return _list(top["groups"], "groups")


def _read_group(value: Value, alerting: list[AlertingRule], recording: list[RecordingRule]) -> None:
    group = _mapping(value, "a group")
    _check_keys(group, _GROUP_KEYS, "group")
    if "name" not in group:
        raise _invalid(value.location, "a group: name: is missing")
    interval = _duration(group, "interval")
    offset = _duration(group, "query_offset") or 0
    labels = _texts(group.get("labels"), "labels")
    for one in _list(group.get("rules", Value([], value.location)), "rules"):
        rule = _mapping(one, "a rule")
        _check_keys(rule, _RULE_KEYS, "rule")
        if ("alert" in rule) == ("record" in rule):
            raise _invalid(one.location, "a rule needs either alert or record")
        kind = "alert" if "alert" in rule else "record"
        name = _text(rule[kind], kind)
        if "expr" not in rule or not _text(rule["expr"], "expr").strip():
            raise _invalid(one.location, f"the {kind} {short_repr(name)}: expr: is missing")
        expression = _text(rule["expr"], "expr")
        if kind == "record":
            if not _SERIES_NAME.fullmatch(name):
                raise _invalid(rule[kind].location, f"record: {short_repr(name)} is not the name of a series")
            recording.append(RecordingRule(name, expression, interval or None, one.location))
            continue
        alerting.append(
            AlertingRule(
                name,
                expression,
                _duration(rule, "for") or 0,
                _duration(rule, "keep_firing_for") or 0,
                _labels(name, {**labels, **_texts(rule.get("labels"), "labels")}),
                *_annotations(name, _texts(rule.get("annotations"), "annotations")),
                interval or None,
                offset,
                one.location,
            )
        )


def _labels(alert: str, texts: _Texts) -> dict[str, Template]:
    templates, not_filled = _templates(alert, "labels", texts)
    for why in not_filled.values():
        raise InvalidInput(why)
    return templates


def _annotations(alert: str, texts: _Texts) -> tuple[dict[str, Template], dict[str, str]]:
    return _templates(alert, "annotations", texts)


def _templates(alert: str, kind: str, texts: _Texts) -> tuple[dict[str, Template], dict[str, str]]:
    """The parsed templates, and the errors of the others."""
    templates, not_filled = {}, {}
    for name, (text, location) in texts.items():
        try:
            templates[name] = Template.parse(text)
        except InvalidTemplate as error:
            not_filled[name] = f"{location}: the alert {short_repr(alert)}: {kind}.{name}: {error}"
    return templates, not_filled


def _texts(value: Value | None, kind: str) -> dict[str, tuple[str, str]]:
    """The texts by name, each with its location."""
    if value is None or value.value is None:
        return {}
    texts = {}
    for name, one in _mapping(value, kind).items():
        if not _LABEL_NAME.fullmatch(name) or (kind == "labels" and name == "__name__"):
            raise _invalid(one.location, f"{kind}: {short_repr(name)} is not the name of a label")
        texts[name] = (_text(one, f"{kind}.{name}"), one.location)
    return texts


def _duration(keys: Mapping[str, Value], key: str) -> int | None:
    """Milliseconds; None: the key is missing."""
    value = keys.get(key)
    if value is None or value.value is None:
        return None
    try:
        secs = parse_duration(str(value.value))
    except ValueError as error:
        raise _invalid(value.location, f"{key}: {error}") from None
    return round(secs * 1000)


def _text(value: Value, key: str) -> str:
    if isinstance(value.value, bool):
        return str(value.value).lower()
    if isinstance(value.value, str | int | float):
        return str(value.value)
    raise _invalid(value.location, f"{key}: must be text")


def _mapping(value: Value, what: str) -> dict[str, Value]:
    if not isinstance(value.value, dict):
        raise _invalid(value.location, f"{what}: must be a mapping of keys to values")
    return value.value


def _list(value: Value, what: str) -> list[Value]:
    if value.value is None:
        return []
    if not isinstance(value.value, list):
        raise _invalid(value.location, f"{what}: must be a list")
    return value.value


def _check_keys(keys: Mapping[str, Value], known: tuple[str, ...], what: str) -> None:
    for key, value in keys.items():
        if key not in known:
            raise _invalid(
                value.location, f"{short_repr(key)}: no such key of a {what}{suggestion_for(key, known)}"
            )


def _invalid(location: str, why: str) -> InvalidInput:
    return InvalidInput(f"{location}: {why}")
