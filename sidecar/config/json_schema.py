"""The JSON Schema of the config, for editors and validators."""

from __future__ import annotations

from typing import Any

from sidecar.core.state import WellbeingState
from sidecar.durations import PATTERN as DURATION_PATTERN

from .checks import OneNumberOf, OneOf
from .checks_rules import RULE_STATES, restrict, rule_state
from .checks_urls import header_fields
from .keys import TEXT_KINDS, Key, Section, SectionList
from .schema import SCHEMA
from .values_access import ROLES
from .values_programs import HOOK_EVENTS

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The dialect that YAML language servers know."""

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_ROLES = {"type": "array", "items": {"enum": list(ROLES)}}
_LISTENER = {
    "type": "object",
    "properties": {
        "address": _TEXT,
        "roles": _ROLES,
        "tls": {"type": "boolean"},
        "mode": {"type": "string", "pattern": "^0?[0-7]{3}$"},
    },
    "required": ["address"],
    "additionalProperties": False,
}
_NUMBER_OR_TEXT = {"type": ["number", "string"]}
_TIME_INTERVAL = {
    "type": "object",
    "properties": {
        "times": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"start_time": _TEXT, "end_time": _TEXT},
                "required": ["start_time", "end_time"],
                "additionalProperties": False,
            },
            "minItems": 1,
        },
        **{
            part: {"type": "array", "items": _NUMBER_OR_TEXT, "minItems": 1}
            for part in ("weekdays", "days_of_month", "months", "years")
        },
        "location": _TEXT,
    },
    "additionalProperties": False,
}
_RATE = {"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000}
_TYPES: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "duration": {
        "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION_PATTERN}]
    },
    "mapping": {"type": "object"},
    "list": {"type": "array", "items": _TIME_INTERVAL, "minItems": 1},
    "list of text": _TEXTS,
    "list of names": _TEXTS,
    "list of matchers": _TEXTS,
    "list of events": {"type": "array", "items": {"enum": list(HOOK_EVENTS)}, "minItems": 1},
    "list of roles": _ROLES,
    "list of URLs": {"anyOf": [_TEXT, _TEXTS]},
    "address or list": {
        "anyOf": [_TEXT, _LISTENER, {"type": "array", "items": {"anyOf": [_TEXT, _LISTENER]}, "minItems": 1}]
    },
    **dict.fromkeys(TEXT_KINDS, _TEXT),
}
"""The JSON types of the kinds of keys."""

_CHECKS: dict[object, dict[str, Any]] = {
    restrict: {
        "type": "object",
        "properties": {state.label: _RATE for state in WellbeingState if state.value},
        "additionalProperties": False,
    },
    rule_state: {"enum": list(RULE_STATES)},
    header_fields: {"type": "object", "additionalProperties": _TEXT},
}
"""The JSON types of keys whose check allows less than their kind."""


def json_schema() -> dict[str, Any]:
    """The schema of a whole config file.

    It finds misspelt keys, wrong types and unknown words. `check-config` finds problems that involve several
    keys.
    """
    return {"$schema": DIALECT, "title": "The config of the wellbeing sidecar", **_section(SCHEMA)}


def _section(section: Section) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "object",
        "properties": {word: _member(key) for word, key in section.keys.items()},
        "additionalProperties": False,
    }
    required = [word for word, key in section.keys.items() if isinstance(key, Key) and key.default is None]
    if required:
        made["required"] = required
    if section.short:
        return {"anyOf": [_member(section.keys[section.short]), made]}
    return made


def _member(key: Key | Section | SectionList) -> dict[str, Any]:
    if isinstance(key, SectionList):
        return {"type": "array", "items": _section(key.section), "description": key.description}
    if isinstance(key, Section):
        return _section(key)
    made = {**(_CHECKS.get(key.check) or _TYPES[key.kind]), "description": key.description}
    if isinstance(key.check, OneOf | OneNumberOf):
        made = {"enum": list(key.check.allowed), "description": key.description}
    if key.default is not None:
        made["default"] = list(key.default) if isinstance(key.default, tuple) else key.default
    return made
