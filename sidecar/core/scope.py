"""Scope paths: what a state and a gate belong to.

A scope is a ``str``: up to 8 segments joined by ``/``, each ``[A-Za-z0-9._:~-]{1,64}``. The empty
string is the root and stands for everything. Scopes are compared as they stand: case matters. ``.`` and
``..`` are no segments: HTTP clients and proxies take them out of a path.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from .errors import InvalidScope

ROOT = ""
MAX_SEGMENTS = 8
MAX_SEGMENT_LENGTH = 64

_SEGMENT = re.compile(r"[A-Za-z0-9._:~-]{1,64}", re.ASCII)
_DOTS = (".", "..")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._:~-]", re.ASCII)
_DIGEST_LENGTH = 8
_KEPT = MAX_SEGMENT_LENGTH - _DIGEST_LENGTH - 1


def parse_scope(text: str) -> str:
    """``text``, checked to be a scope.

    Raises:
        InvalidScope: with the segment that is wrong and why.
    """
    if text == ROOT:
        return ROOT
    segments = text.split("/")
    if len(segments) > MAX_SEGMENTS:
        raise InvalidScope(text, f"it has {len(segments)} segments, at most {MAX_SEGMENTS} are allowed")
    for number, segment in enumerate(segments, 1):
        if not is_segment(segment):
            raise InvalidScope(text, f"segment {number} {_why(segment)}")
    return text


def is_segment(text: str) -> bool:
    """Whether ``text`` may stand as it is as a segment of a scope."""
    return text not in _DOTS and _SEGMENT.fullmatch(text) is not None


def _why(segment: str) -> str:
    if not segment:
        return "is empty"
    if segment in _DOTS:
        return "is . or .., which HTTP clients and proxies take out of a path"
    if len(segment) > MAX_SEGMENT_LENGTH:
        return f"has {len(segment)} characters, at most {MAX_SEGMENT_LENGTH} are allowed"
    return "has a character outside A-Z a-z 0-9 . _ : ~ -"


def parent_of(scope: str) -> str:
    """The scope one segment up; the root's parent is the root."""
    return scope.rpartition("/")[0]


def ancestors_of(scope: str) -> Iterator[str]:
    """The scopes that ``scope`` lies inside, nearest first, the root last; none for the root."""
    while scope != ROOT:
        scope = parent_of(scope)
        yield scope


def lies_within(scope: str, outer: str) -> bool:
    """Whether ``scope`` is ``outer`` or lies inside it."""
    return outer in (ROOT, scope) or scope.startswith(outer + "/")


def to_segment(value: str) -> str:
    """``value`` as a segment: as it stands when it is one, else cleaned, cut and made unique.

    What is not allowed becomes ``_``, what is too long is cut, and ``~`` with 8 hex digits of the
    value's SHA-256 is appended, so that different values stay different.
    """
    if is_segment(value):
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{_NOT_ALLOWED.sub('_', value)[:_KEPT]}~{digest}"


def join_segments(values: Iterable[str]) -> str:
    """A scope of ``values``, each made a segment, at most 8 of them."""
    return "/".join([to_segment(value) for value in values][:MAX_SEGMENTS])
