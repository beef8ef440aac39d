"""Text from outside, made safe to log and to show."""

from __future__ import annotations

import re

# Control characters, line and paragraph separators, and what turns the direction of writing.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(value: str, limit: int) -> str:
    """``value`` on one line, without characters that harm a terminal, at most ``limit`` long.

    Runs of what harms become one space, a lone surrogate becomes U+FFFD, what is cut ends in ``…``.
    """
    # Nothing printable harms; most texts need no more than this one look.
    text = value if value.isprintable() else _SURROGATE.sub("\ufffd", _HARMFUL.sub(" ", value))
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"
