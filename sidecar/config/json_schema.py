"""The JSON Schema of the config, for editors and validators."""

from __future__ import annotations

from typing import Any

from .checks import OneOf
from .keys import Key, Section, SectionList
from .schema import SCHEMA

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The dialect that YAML language servers know."""

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_LISTENER = {
    "type": "object",
    "properties": {
        "address": _TEXT,
        "roles": _TEXTS,
        "tls": {"type": "boolean"},
        "mode": {"type": ["string", "integer"]},
    },
    "required": ["address"],
    "additionalProperties": False,
}
_TYPES: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "duration": {"type": ["number", "string"]},
    "mapping": {"type": "object"},
    "list of text": _TEXTS,
    "list of matchers": _TEXTS,
    "list of roles": _TEXTS,
    "list of URLs": _TEXTS,
    "address or list": {
        "anyOf": [_TEXT, _LISTENER, {"type": "array", "items": {"anyOf": [_TEXT, _LISTENER]}, "minItems": 1}]
    },
}
"""The JSON types of the kinds of keys that are not plain text."""


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
    made = {**_TYPES.get(key.kind, _TEXT), "description": key.description}
    if isinstance(key.check, OneOf):
        made = {"enum": list(key.check.allowed), "description": key.description}
    if key.default is not None:
        made["default"] = list(key.default) if isinstance(key.default, tuple) else key.default
    return made
