"""Checks for the values of config keys: numbers, durations and text.

A check takes a value as YAML parsed it. It returns the value in the type that the program uses, or raises
`ValueError`, whose message says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar.core.errors import closest_match, short_repr
from sidecar.core.scope import parse_scope
from sidecar.durations import ALLOWED, MAX_SECS, parse_duration

Check = Callable[[object], object]


class InvalidMember(ValueError):
    """A part of a value is not valid.

    Args:
        message: what is wrong.
        path: the keys and positions that lead to the part.
    """

    def __init__(self, message: str, path: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.path = path


def no_such_key(key: object, known: Sequence[str], path: tuple[str | int, ...] = ()) -> InvalidMember:
    """The error for an unknown ``key`` of a mapping at ``path``."""
    near = closest_match(str(key), known)
    hint = f" (did you mean {near}?)" if near else f": the keys are {', '.join(known)}"
    return InvalidMember(f"{short_repr(key)[1:-1]}: no such key{hint}", (*path, str(key)))


_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z0-9._:~/@+-]{0,128}", re.ASCII)


def _type(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def invalid(wanted: str, value: object) -> ValueError:
    """The error for a ``value`` that is not what is ``wanted``."""
    got = short_repr(value) if isinstance(value, str | int | float) else _type(value)
    return ValueError(f"must be {wanted}, got {got}")


def boolean(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise invalid("true or false", value)
    return value


def seconds(value: object) -> float:
    """A duration: a number of seconds, or text such as ``5m``."""
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SECS:
        raise invalid(f"seconds, {ALLOWED}", value)
    return float(value)


def positive_seconds(value: object) -> float:
    """A duration above 0."""
    secs = seconds(value)
    if not secs:
        raise invalid("above 0 seconds", value)
    return secs


def count(value: object) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**12:
        raise invalid("a whole number of at least 1", value)
    return value


def rate(value: object) -> float:
    """A number per second."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:  # noqa: PLR2004
        raise invalid("a number from 0 to 1000000", value)
    return float(value)


def share(value: object) -> float:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise invalid("a number from 0 to 1", value)
    return float(value)


def text(value: object) -> str:
    """Text that files, URLs and headers can have."""
    if not isinstance(value, str):
        raise invalid("text", value)
    if _NOT_TEXT.search(value):
        raise invalid("text without NUL and unpaired surrogates", value)
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of text."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise invalid("a list of text", value)
    return tuple(map(text, value))


def name(value: object) -> str:
    """A name that is valid as the source of a claim; empty: none."""
    if not _NAME.fullmatch(text(value)):
        raise invalid("at most 128 of A-Z a-z 0-9 . _ : ~ / @ + -", value)
    return text(value)


def hook_name(value: object) -> str:
    """The name of a hook; not empty."""
    if not name(value):
        raise invalid("a name", value)
    return name(value)


def members(value: object) -> dict[str, object]:
    """A mapping that is sent as JSON."""
    if not isinstance(value, dict):
        raise invalid("a mapping", value)
    return value


def scope(value: object) -> str:
    """A scope."""
    return parse_scope(text(value))


@dataclass(frozen=True, slots=True)
class OneOf:
    """A check for one of a few words.

    Attributes:
        allowed: the words.
    """

    allowed: tuple[str, ...]

    def __call__(self, value: object) -> str:
        """``value``, if it is one of the words."""
        if value not in self.allowed or not isinstance(value, str):
            raise invalid(f"one of {', '.join(self.allowed)}", value)
        return value


def one_of(*allowed: str) -> OneOf:
    """One of the ``allowed`` words."""
    return OneOf(allowed)


@dataclass(frozen=True, slots=True)
class OneNumberOf:
    """A check for one of a few whole numbers.

    Attributes:
        allowed: the numbers.
    """

    allowed: tuple[int, ...]

    def __call__(self, value: object) -> int:
        """``value``, if it is one of the numbers."""
        if isinstance(value, bool) or not isinstance(value, int) or value not in self.allowed:
            raise invalid(f"one of {', '.join(map(str, self.allowed))}", value)
        return value


def one_number_of(*allowed: int) -> OneNumberOf:
    """One of the ``allowed`` whole numbers."""
    return OneNumberOf(allowed)


def natural(value: object) -> int:
    """A whole number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**6:
        raise invalid("a whole number of at least 0", value)
    return value
