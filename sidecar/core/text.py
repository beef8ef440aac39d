"""Text from outside, made safe to log and to show."""

from __future__ import annotations

import re

# Control characters, line and paragraph separators, and what turns the direction of writing.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean_text(value: str, limit: int) -> str:
    """``value`` on one line, without characters that harm a terminal, at most ``limit`` long."""
    text = _SURROGATES.sub("\ufffd", _HARMFUL.sub(" ", value)).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"
