"""The segments of scope paths: which are valid, and how any text becomes one.

The core, the alert rules and the client share these rules.
"""

from __future__ import annotations

import re

MAX_SEGMENTS = 8
MAX_SEGMENT_LENGTH = 64

_SEGMENT = re.compile(r"[A-Za-z0-9._:~-]{1,64}", re.ASCII)
_DOTS = (".", "..")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._:~-]", re.ASCII)
_DIGEST_LENGTH = 8
_KEPT = MAX_SEGMENT_LENGTH - _DIGEST_LENGTH - 1


def is_segment(text: str) -> bool:
    """Whether ``text`` is a valid segment of a scope."""
    return text not in _DOTS and _SEGMENT.fullmatch(text) is not None


def segment_error(text: str) -> str:
    """Why ``text`` is not a valid segment, as the end of a sentence; empty: it is valid."""
    if is_segment(text):
        return ""
    if not text:
        return "is empty"
    if text in _DOTS:
        return "is . or .., which HTTP clients and proxies remove from a path"
    if len(text) > MAX_SEGMENT_LENGTH:
        return f"has {len(text)} characters, at most {MAX_SEGMENT_LENGTH} are allowed"
    return "has a character outside A-Z a-z 0-9 . _ : ~ -"


def to_segment(value: str) -> str:
    """Convert ``value`` to a segment. A valid segment is returned unchanged.

    Otherwise each character that is not allowed becomes ``_``, a long value is cut, and ``~`` with 8 hex
    digits of the value's SHA-256 is appended, so that different values give different segments.
    """
    if is_segment(value):
        return value
    import hashlib  # noqa: PLC0415 - commands of the client load few modules

    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{_NOT_ALLOWED.sub('_', value[:_KEPT])}~{digest}"
