"""Makes scope segments of any text, as the sidecar makes them of label values."""

from __future__ import annotations

import hashlib
import re

from .scope_path import MAX_SEGMENT_LENGTH, segment_error

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._:~-]", re.ASCII)
_DIGEST_LENGTH = 8


def segment_of(value: str) -> str:
    """``value`` as a scope segment, by the rules that the sidecar uses for alert labels."""
    if not segment_error(value):
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    kept = MAX_SEGMENT_LENGTH - 1 - _DIGEST_LENGTH
    return f"{_NOT_ALLOWED.sub('_', value[:kept])}~{digest}"
