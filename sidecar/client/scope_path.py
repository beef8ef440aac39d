"""Scope paths, checked as the sidecar checks them.

The client does not import the sidecar, so this file repeats the rules of `sidecar.core.scope`. A test
compares the two.
"""

from __future__ import annotations

import re

MAX_SEGMENTS = 8
MAX_SEGMENT_LENGTH = 64
_SEGMENT = re.compile(r"[A-Za-z0-9._:~-]{1,64}", re.ASCII)
_DOTS = (".", "..")


def scope_error(scope: object) -> str:
    """Why ``scope`` is not valid, as the end of a sentence; empty: it is valid."""
    if not isinstance(scope, str):
        return f"must be text, got {scope!r}"
    if not scope:
        return ""
    segments = scope.split("/")
    if len(segments) > MAX_SEGMENTS:
        return f"has {len(segments)} segments, at most {MAX_SEGMENTS} are allowed: {scope!r}"
    if not segments[0] or not segments[-1]:
        return f"must not begin or end with a slash, got {scope!r}"
    for number, segment in enumerate(segments, 1):
        if why := segment_error(segment):
            return f"segment {number} {why}: {scope!r}"
    return ""


def segment_error(segment: str) -> str:
    """Why ``segment`` is not valid, as the end of a sentence; empty: it is valid."""
    if not segment:
        return "is empty"
    if segment in _DOTS:
        return "is . or .., which HTTP clients and proxies remove from a path"
    if len(segment) > MAX_SEGMENT_LENGTH:
        return f"has {len(segment)} characters, at most {MAX_SEGMENT_LENGTH} are allowed"
    if not _SEGMENT.fullmatch(segment):
        return "has a character outside A-Z a-z 0-9 . _ : ~ -"
    return ""
