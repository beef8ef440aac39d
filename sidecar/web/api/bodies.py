"""Parses request bodies: JSON objects with a few known members."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import NoReturn

from sidecar.core.errors import closest_match, short_repr
from sidecar.core.text import clean_text
from sidecar.json_pieces import loads_in_pieces
from sidecar.web.problems import Problem

MAX_REASON_LENGTH = 1000
_MAX_SECS = 1e9
_MAX_COUNT = 2**53
_NAME = re.compile(r"[A-Za-z0-9._:~/@+-]{1,128}", re.ASCII)


class Body:
    """The members of a JSON object, each checked when it is read. Every check raises `Problem`."""

    def __init__(self, members: dict[str, object]) -> None:
        self._members = members

    @classmethod
    def parse(cls, data: bytes, known: tuple[str, ...]) -> Body:
        """Parse ``data`` as a JSON object that has only ``known`` members."""
        try:
            members = loads_in_pieces(
                data.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_object
            )
        except UnicodeDecodeError as error:
            raise Problem("invalid-body", f"not UTF-8: byte {error.start} is wrong") from None
        except RecursionError:
            raise Problem("invalid-body", "nested too deeply") from None
        except ValueError as error:
            raise Problem("invalid-body", f"not JSON: {error}") from None
        if not isinstance(members, dict):
            raise Problem("invalid-body", f"must be a JSON object, got {_type(members)}")
        for name in members:
            if name not in known:
                near = closest_match(name, known)
                hint = f"did you mean {near}?" if near else f"known are {', '.join(known)}"
                raise Problem("invalid-body", f"{short_repr(name)}: no such member; {hint}")
        return cls(members)

    def required(self, name: str) -> object:
        """The member ``name``, of any type."""
        if name not in self._members:
            raise Problem("invalid-body", f"{name}: is missing")
        return self._members[name]

    def text(self, name: str, default: str) -> str:
        """A string; ``default`` if it is absent or null."""
        value = self._members.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            _wrong(name, "a string", value)
        return value

    def line(self, name: str, limit: int) -> str:
        """A string as one line of at most ``limit`` characters, without control characters."""
        return clean_text(self.text(name, ""), limit)

    def required_line(self, name: str, limit: int) -> str:
        """Like `line`, but an empty text is refused."""
        self.required(name)
        value = self.line(name, limit)
        if not value:
            raise Problem("invalid-body", f"{name}: must not be empty")
        return value

    def name(self, name: str, default: str) -> str:
        """A name that may follow ``agent:``."""
        value = self.text(name, default)
        if not _NAME.fullmatch(value):
            raise Problem(
                "invalid-body",
                f"{name}: must be 1 to 128 of A-Z a-z 0-9 . _ : ~ / @ + -, got {short_repr(value)}",
            )
        return value

    def seconds(self, name: str, *, positive: bool = False) -> float | None:
        """Seconds of at least 0, or above 0 if ``positive``; None: the member is absent or null."""
        value = self._members.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            _wrong(name, "a number of seconds", value)
        if not 0 <= value <= _MAX_SECS or (positive and value == 0) or math.isnan(value):
            least = "above 0" if positive else "of at least 0"
            wanted = f"seconds, a number {least} and at most {_MAX_SECS:.0f}"
            raise Problem("invalid-body", f"{name}: must be {wanted}, got {short_repr(value)}")
        return float(value)

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number of at least 0; ``default`` if absent. Without a default, absence is an error."""
        value = self._members.get(name, default)
        if value is None:
            raise Problem("invalid-body", f"{name}: is missing")
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
            raise Problem("invalid-body", f"{name}: must be a whole number from 0 to 2^53")
        return value

    def counts(self, name: str) -> tuple[int, ...] | None:
        """A list of whole numbers of at least 0; None: the member is absent or null."""
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            _wrong(name, "a list", value)
        members = Body({f"{name}[{index}]": one for index, one in enumerate(value)})
        return tuple(members.count(one) for one in members.names())

    def names(self) -> tuple[str, ...]:
        """The names of the members."""
        return tuple(self._members)

    def nested(self, name: str, known: tuple[str, ...]) -> Body:
        """The nested object ``name``, with only ``known`` members; an empty object if it is absent."""
        value = self._members.get(name)
        if value is None:
            return Body({})
        if not isinstance(value, dict):
            _wrong(name, "an object", value)
        for member in value:
            if member not in known:
                raise Problem("invalid-body", f"{name}.{short_repr(member)}: no such member")
        return Body(value)


def _wrong(name: str, wanted: str, value: object) -> NoReturn:
    raise Problem("invalid-body", f"{name}: must be {wanted}, got {_type(value)}")


def _type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        # Programs disagree about which one counts.
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise Problem("invalid-body", f"{short_repr(twice)}: is given twice")
    return members


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
