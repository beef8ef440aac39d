"""Scope paths. Each state and each gate belongs to a scope.

A scope is a ``str``: up to 8 segments joined by ``/``, each ``[A-Za-z0-9._:~-]{1,64}``. The empty
string is the root and includes every scope. Comparison is case-sensitive. ``.`` and ``..`` are not allowed as
segments, because HTTP clients and proxies remove them from a path.
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
    """Check that ``text`` is a scope, and return it.

    Raises:
        InvalidScope: it is not; the message names the segment and the reason.
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
    """Whether ``text`` is a valid segment of a scope."""
    return text not in _DOTS and _SEGMENT.fullmatch(text) is not None


def _why(segment: str) -> str:
    if not segment:
        return "is empty"
    if segment in _DOTS:
        return "is . or .., which HTTP clients and proxies remove from a path"
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
    """Convert ``value`` to a segment. A valid segment is returned unchanged.

    Otherwise each character that is not allowed becomes ``_``, a long value is cut, and ``~`` with 8 hex
    digits of the value's SHA-256 is appended, so that different values give different segments.
    """
    if is_segment(value):
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{_NOT_ALLOWED.sub('_', value)[:_KEPT]}~{digest}"


def join_segments(values: Iterable[str]) -> str:
    """Join ``values`` to a scope, each converted to a segment. Values after the eighth are dropped."""
    return "/".join([to_segment(value) for value in values][:MAX_SEGMENTS])
