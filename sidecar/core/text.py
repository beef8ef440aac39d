"""Makes text from other programs safe to log and display."""

from __future__ import annotations

import re

# Control characters, line and paragraph separators, and characters that change the text direction.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(value: str, limit: int) -> str:
    """Return ``value`` on one line, without unsafe characters, with at most ``limit`` characters.

    A run of unsafe characters becomes one space. A lone surrogate becomes U+FFFD. Text that was cut ends in
    ``…``.
    """
    # Printable text is safe, so most texts need only this check.
    text = value if value.isprintable() else _SURROGATE.sub("\ufffd", _UNSAFE.sub(" ", value))
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"
