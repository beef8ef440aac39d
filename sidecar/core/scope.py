"""Scope paths. Each state and each gate belongs to a scope.

A scope is a ``str``: up to 8 segments joined by ``/``, each ``[A-Za-z0-9._:~-]{1,64}``. The empty
string is the root and includes every scope. Comparison is case-sensitive. ``.`` and ``..`` are not allowed as
segments, because HTTP clients and proxies remove them from a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidecar.scope_segments import MAX_SEGMENTS, is_segment, segment_error, to_segment

from .errors import InvalidScope

ROOT = ""


def parse_scope(text: str) -> str:
    """Check that ``text`` is a scope, and return it.

    Raises:
        InvalidScope: it is not valid; the message names the segment and the reason.
    """
    if text == ROOT:
        return ROOT
    segments = text.split("/")
    if len(segments) > MAX_SEGMENTS:
        raise InvalidScope(text, f"it has {len(segments)} segments, at most {MAX_SEGMENTS} are allowed")
    for number, segment in enumerate(segments, 1):
        if not is_segment(segment):
            raise InvalidScope(text, f"segment {number} {segment_error(segment)}")
    return text


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


def join_segments(values: Iterable[str]) -> str:
    """Join ``values`` to a scope, each converted to a segment. Values after the eighth are dropped."""
    return "/".join([to_segment(value) for value in values][:MAX_SEGMENTS])
