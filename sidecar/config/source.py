"""Reads config values from a YAML file, with line numbers, and from the environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from sidecar.core.errors import closest_match, short_repr

from .errors import ConfigError
from .keys import TEXT_KINDS, Key, Section, SectionList

PREFIX = "WELLBEING_"
_RESERVED = re.compile(
    # Variables of the command line and of clients, and variables that Kubernetes sets for a Service of this
    # name.
    r"WELLBEING_(CONFIG|URL|TOKEN|TOKEN_FILE|SCOPE|SCHEMAS|CLIENT_.*"
    r"|(.*_)?SERVICE_(HOST|PORT)(_.*)?|(.*_)?PORT(_.*)?)"
)
_COLON = "mapping values are not allowed here"
_MAX_NODES = 100_000
_MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Value:
    """A value and its location.

    Attributes:
        value: text, number, boolean, None, a list of values, or a mapping of keys to values.
        place: ``FILE:LINE``, or the name of a variable or flag.
    """

    value: object
    location: str

    def plain(self) -> object:
        """The value without locations."""
        if isinstance(self.value, dict):
            return {key: value.plain() for key, value in self.value.items()}
        if isinstance(self.value, list):
            return [value.plain() for value in self.value]
        return self.value


def read_file(path: Path) -> Value:
    """Read the YAML file at ``path``.

    Raises:
        ConfigError: the file cannot be read, or is not YAML.
    """
    try:
        return read_yaml(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None


def read_yaml(data: bytes | str, name: str) -> Value:
    """Parse YAML. Locations start with ``name``.

    Raises:
        ConfigError: ``data`` is not YAML.
    """
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(data)
        node = loader.get_single_node()
        if node is None:
            return Value({}, f"{name}:1")
        value = _Reader(loader, name).read(node)
        _release(loader, node)
        return value
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        hint = ' (quote text that contains a colon, such as "memory:", and check the indentation)'
        hint = hint if error.problem == _COLON else ""
        raise ConfigError([f"{name}:{line}: not YAML: {error.problem}{hint}"]) from None
    except RecursionError:
        raise ConfigError([f"{name}:1: is nested too deeply, or an alias contains itself"]) from None
    except (yaml.YAMLError, UnicodeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError([f"{name}:1: not YAML: {str(error).splitlines()[0]}"]) from None
    finally:
        if loader is not None:
            loader.dispose()


_NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def _release(loader: yaml.SafeLoader, node: yaml.Node) -> None:
    """Release the nodes one by one. All nodes of many policies at once would block other threads."""
    while loader.constructed_objects:
        loader.constructed_objects.popitem()
    left: list[Any] = [node]
    while left:
        one = left.pop()
        if isinstance(one, tuple):
            left += one
        elif isinstance(one, yaml.CollectionNode):
            left += one.value
            one.value = []


class _Reader:
    """Converts YAML nodes to values. An alias counts each time it is used, to detect an alias bomb."""

    def __init__(self, loader: yaml.SafeLoader, name: str) -> None:
        self._loader = loader
        self._name = name
        self._nodes = 0

    def read(self, node: yaml.Node) -> Value:
        location = f"{self._name}:{node.start_mark.line + 1}"
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise ConfigError([f"{location}: has more than {_MAX_NODES} values"])
        if isinstance(node, yaml.MappingNode):
            return Value(self._mapping(node), location)
        if isinstance(node, yaml.SequenceNode):
            return Value([self.read(one) for one in node.value], location)
        if node.tag in _NUMBER_TAGS and ":" in node.value:
            # YAML 1.1 reads 17:00 as 1020, in base 60. In YAML 1.2, and for Alertmanager, it is text.
            return Value(node.value, location)
        return Value(self._loader.construct_object(node, deep=True), location)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Value]:
        values: dict[str, Value] = {}
        merged: dict[str, Value] | None = None
        for key_node, value_node in node.value:
            location = f"{self._name}:{key_node.start_mark.line + 1}"
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError([f"{location}: a key must be text"])
            is_merge = key_node.tag == _MERGE_TAG
            if key in values or (is_merge and merged is not None):
                raise ConfigError([f"{location}: {key}: is set twice"])
            value = self.read(value_node)
            if is_merge:
                merged = _merged(value, location)
            else:
                values[key] = Value(value.value, location)
        return {**merged, **values} if merged else values


def _merged(value: Value, location: str) -> dict[str, Value]:
    """The keys that ``<<`` takes from other mappings. The first mapping that has a key decides."""
    keys: dict[str, Value] = {}
    for one in value.value if isinstance(value.value, list) else [value]:
        if not isinstance(one.value, dict):
            raise ConfigError([f"{location}: <<: must be a mapping, or a list of mappings"])
        keys = {**one.value, **keys}
    return keys


def read_environment(environ: Mapping[str, str], schema: Section, problems: list[str]) -> Value:
    """Read the variables ``WELLBEING_…``, nested like the schema. Errors are added to ``problems``.

    A variable of a section is a mapping in YAML. A variable of one of its keys overrides it.
    """
    root: dict[str, Value] = {}
    known = dict(_variables(schema, PREFIX, ()))
    found: list[tuple[tuple[str, ...], str, Value]] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        path, key = known.get(name) or _member_variable(name, known)
        if key is None:
            if not _RESERVED.fullmatch(name):
                problems.append(f"{name}: no such variable{suggestion_for(name, known)}")
            continue
        try:
            value = _with_location(_read_variable(environ[name], name, key), name)
        except ConfigError as error:
            problems += error.problems
            continue
        if isinstance(key, Section) and key.short and not isinstance(value.value, dict):
            path = (*path, key.short)
        found.append((path, name, value))
    for path, name, value in sorted(found, key=lambda one: len(one[0])):
        outer = _put(root, path, value)
        if outer:
            problems.append(f"{name}: {outer}, which is also set, is not a mapping of keys to values")
    return Value(root, "the environment")


_TEXT_OR_LIST_KINDS = ("address or list", "list of URLs")


def _read_variable(text: str, name: str, key: Key | Section | SectionList) -> Value:
    """The value of a variable. Text is taken as it stands, unless it is quoted as in YAML."""
    stripped = text.strip()
    if not stripped:
        return Value("", name)
    kind = key.kind if isinstance(key, Key) else ""
    if kind in TEXT_KINDS and not (stripped[0] == stripped[-1] and stripped[0] in "'\""):
        return Value(stripped, name)
    try:
        value = read_yaml(text, name)
    except ConfigError:
        if kind in TEXT_KINDS or kind in _TEXT_OR_LIST_KINDS:
            # [::1]:9477 looks like a list.
            return Value(stripped, name)
        raise
    is_text = kind in TEXT_KINDS or (kind in _TEXT_OR_LIST_KINDS and not isinstance(value.value, list | dict))
    if (is_text and not isinstance(value.value, str)) or _is_bare_mapping(value):
        # "memory:" is text here, not a mapping with an empty value.
        return Value(stripped, name)
    return value


def _member_variable(
    name: str, known: Mapping[str, tuple[tuple[str, ...], Key | Section | SectionList]]
) -> tuple[tuple[str, ...], Key | None]:
    """The path and the key of a variable for one member of a mapping, such as ``…__RESTRICT__CONCERNED``."""
    outer, _, member = name.rpartition("__")
    path, key = known.get(outer, ((), None))
    if isinstance(key, Key) and key.kind == "mapping" and member:
        return (*path, member.lower()), replace(key, kind="")
    return (), None


def _is_bare_mapping(value: Value) -> bool:
    return isinstance(value.value, dict) and [one.value for one in value.value.values()] == [None]


def expand_short_forms(schema: Section, root: Value) -> Value:
    """``root`` with the short forms of sections replaced by the full forms."""
    if not isinstance(root.value, dict):
        return root
    keys = dict(root.value)
    for name, key in schema.keys.items():
        value = keys.get(name)
        if isinstance(key, Section) and key.short and value is not None and isinstance(value.value, str):
            keys[name] = Value({key.short: value}, value.location)
    return Value(keys, root.location)


def merge(first: Value, second: Value) -> Value:
    """Merge two values. ``first`` overrides ``second``; mappings are merged key by key."""
    if isinstance(first.value, dict) and isinstance(second.value, dict):
        keys = {
            key: merge(first.value[key], second.value[key])
            if key in first.value and key in second.value
            else first.value.get(key) or second.value[key]
            for key in {**second.value, **first.value}
        }
        return Value(keys, second.location)
    return first


def suggestion_for(name: str, known: Iterable[str]) -> str:
    """A hint with the known name that is most similar to ``name``; empty: no name is similar."""
    near = closest_match(name, known)
    return f" (did you mean {near}?)" if near else ""


def check_keys(value: dict[str, Value], known: Iterable[str], path: str, problems: list[str]) -> None:
    """Add a problem for each unknown key."""
    known = list(known)
    for key, one in value.items():
        if key not in known:
            problems.append(
                f"{one.location}: {path}{short_repr(key)[1:-1]}: no such key{suggestion_for(key, known)}"
            )


def _variables(
    section: Section, prefix: str, path: tuple[str, ...]
) -> Iterable[tuple[str, tuple[tuple[str, ...], Key | Section | SectionList]]]:
    for name, key in section.keys.items():
        here = (*path, name)
        yield f"{prefix}{name.upper()}", (here, key)
        if isinstance(key, Section):
            yield from _variables(key, f"{prefix}{name.upper()}__", here)


def _put(root: dict[str, Value], path: tuple[str, ...], value: Value) -> str:
    """Put ``value`` into ``root``. Returns the variable that is in the way; empty: none is."""
    for name in path[:-1]:
        outer = root.setdefault(name, Value({}, value.location))
        if not isinstance(outer.value, dict):
            return outer.location
        root = outer.value
    root[path[-1]] = merge(value, root[path[-1]]) if path[-1] in root else value
    return ""


def _with_location(value: Value, location: str) -> Value:
    if isinstance(value.value, dict):
        return Value({key: _with_location(one, location) for key, one in value.value.items()}, location)
    if isinstance(value.value, list):
        return Value([_with_location(one, location) for one in value.value], location)
    return Value(value.value, location)
