"""Durations as Prometheus writes them: ``90s``, ``5m``, ``1h30m``."""

from __future__ import annotations

import re

MAX_SECS = 1e9
ALLOWED = "a number of at least 0, or a duration such as 90s, 5m, 1h30m"

# The source is Prometheus' model.ParseDuration: each unit once, the largest first, whole numbers.
_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
PATTERN = r"^\s*(\d+(\.\d+)?|(?=\d)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)\s*$"
"""What `parse_duration` accepts, as a regular expression of a JSON Schema."""
_UNIT_SECS = (31_536_000.0, 604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_MAX_LENGTH = 64


def parse_duration(text: str) -> float:
    """Parse a number of seconds, or a duration with units, to seconds.

    Args:
        text: for instance ``90``, ``1.5``, ``5m``, ``1h30m``.

    Returns:
        Seconds, from 0 to `MAX_SECS`.

    Raises:
        ValueError: ``text`` is neither; the message says what is allowed.
    """
    wrong = ValueError(f"must be seconds, {ALLOWED}, got {ascii(text)[:80]}")
    text = text.strip()
    if not text or len(text) > _MAX_LENGTH:
        raise wrong
    if _NUMBER.fullmatch(text):
        secs = float(text)
    else:
        match = _DURATION.fullmatch(text)
        if match is None:
            raise wrong
        secs = sum(int(part) * unit for part, unit in zip(match.groups(), _UNIT_SECS, strict=True) if part)
    if secs > MAX_SECS:
        raise wrong
    return secs
