"""Values as JSON, by the types of their attributes.

A new attribute of a value class is stored and read without a change here. An attribute with its default is
left out. Members that a newer version has added are returned separately, so that they can be written back.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar

Json = Any
T = TypeVar("T")

_Decoder = Callable[[Json], Any]


def encode(value: object) -> Json:
    """``value`` as JSON: dataclasses become objects, enums their values, sets sorted lists."""
    if value is None or type(value) in (str, float, int, bool):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: encode(one) for key, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [encode(one) for one in value]
    members = {}
    kind: Any = type(value)
    for name, default in _defaults(kind):
        one = getattr(value, name)
        if one is not default and one != default:
            members[name] = encode(one)
    return members


def decode(kind: type[T], members: Json) -> T:
    """The value of dataclass ``kind`` that `encode` turned into ``members``. Unknown members are ignored.

    Raises:
        TypeError, ValueError, KeyError, AttributeError: ``members`` is no such value.
    """
    return typing.cast("T", _decode_function(typing.cast("Any", kind))(members))


def decode_known(kind: type[T], members: Json) -> T:
    """Like `decode`, if all members are known. It takes half as long as `decode` and `unknown_members`
    together.

    Raises:
        KeyError: there is an unknown member, perhaps in a nested value, or an unknown value of an enum.
        TypeError, ValueError, AttributeError: ``members`` is no such value.
    """
    return typing.cast("T", _decode_known_function(typing.cast("Any", kind))(members))


def unknown_members(kind: type, members: Json) -> dict[str, Json]:
    """The members that ``kind`` does not have. Unknown members of a nested value are under its name."""
    decoders = _decoders(kind)
    unknown = {} if members.keys() <= decoders.keys() else _without(decoders, members)
    for name, (inner, many) in _nested(kind).items():
        one = members.get(name)
        if one:
            found = (
                {key: rest for key, each in one.items() if (rest := unknown_members(inner, each))}
                if many
                else unknown_members(inner, one)
            )
            if found:
                unknown[name] = found
    return unknown


def with_unknown(members: dict[str, Json], unknown: Mapping[str, Json]) -> dict[str, Json]:
    """``members`` with the ``unknown`` members of the same value.

    Those of a nested value are added to that value.
    """
    for name, one in unknown.items():
        if name not in members:
            if not isinstance(one, dict):
                members[name] = one
        elif isinstance(one, dict) and isinstance(members[name], dict):
            with_unknown(members[name], one)
    return members


_NO_DEFAULT = object()


@cache
def _defaults(kind: type) -> tuple[tuple[str, object], ...]:
    return tuple((one.name, _default(one)) for one in fields(kind))


def _default(one: Field[Any]) -> object:
    if one.default_factory is not MISSING:
        return one.default_factory()
    return _NO_DEFAULT if one.default is MISSING else one.default


def _without(known: Mapping[str, object], members: dict[str, Json]) -> dict[str, Json]:
    return {name: one for name, one in members.items() if name not in known}


@cache
def _decode_function(kind: Any) -> _Decoder:  # noqa: ANN401 - a dataclass
    """A function that decodes one class. It takes half as long as the general `decode`."""
    decoders = _decoders(kind)
    find = decoders.get

    def decode_members(members: dict[str, Json]) -> Any:  # noqa: ANN401 - an instance of it
        values = {}
        for name, one in members.items():
            decoder = find(name)
            if decoder is not None:
                values[name] = decoder(one)
        return kind(**values)

    return decode_members


@cache
def _decode_known_function(kind: Any) -> _Decoder:  # noqa: ANN401 - a dataclass
    """`decode_known` for one class."""
    decoders = _decoders(kind, _decode_known_function)

    def decode_members(members: dict[str, Json]) -> Any:  # noqa: ANN401 - an instance of it
        return kind(**{name: decoders[name](one) for name, one in members.items()})

    return decode_members


@cache
def _decoders(kind: type, nested: Callable[[Any], _Decoder] = _decode_function) -> dict[str, _Decoder]:
    """The decoders of the attributes of ``kind``; ``nested`` makes the decoders of dataclasses."""
    hints = typing.get_type_hints(kind, vars(__import__(kind.__module__, fromlist=["_"])))
    return {one.name: _decoder(hints[one.name], nested) for one in fields(kind)}


@cache
def _nested(kind: type) -> dict[str, tuple[type, bool]]:
    """The attributes that are dataclasses, or mappings of text to dataclasses (True)."""
    hints = typing.get_type_hints(kind, vars(__import__(kind.__module__, fromlist=["_"])))
    nested = {}
    for one in fields(kind):
        hint = _without_none(hints[one.name])
        if is_dataclass(hint) and isinstance(hint, type):
            nested[one.name] = (hint, False)
        elif typing.get_origin(hint) in (Mapping, dict) and is_dataclass(typing.get_args(hint)[1]):
            nested[one.name] = (typing.get_args(hint)[1], True)
    return nested


def _without_none(hint: Any) -> Any:  # noqa: ANN401 - a type hint is anything
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        kinds = [one for one in typing.get_args(hint) if one is not type(None)]
        if len(kinds) == 1:
            return kinds[0]
    return hint


def _decoder(hint: Any, nested: Callable[[Any], _Decoder]) -> _Decoder:  # noqa: ANN401 - the same
    inner = _without_none(hint)
    if inner is not hint:
        present = _decoder(inner, nested)
        return lambda one: None if one is None else present(one)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Mapping, dict):
        item = _decoder(args[1], nested)
        return lambda one: {key: item(each) for key, each in one.items()}
    if origin is frozenset:
        return frozenset
    if origin is tuple:
        item = _decoder(args[0], nested)
        return lambda one: tuple(item(each) for each in one)
    if is_dataclass(hint):
        return nested(hint)
    if issubclass(hint, Enum):
        # The lookup takes a third of the time of a call of the class.
        return {one.value: one for one in hint}.__getitem__
    if hint in (str, float, int, bool):
        return hint  # type: ignore[no-any-return] # a type converts
    raise TypeError(f"{hint} cannot be stored as JSON")
