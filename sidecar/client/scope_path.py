"""Checks scope paths of settings and arguments."""

from __future__ import annotations

from sidecar.scope_segments import MAX_SEGMENTS, segment_error


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
