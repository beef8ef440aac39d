"""Finds the series that a PromQL expression selects. It is a scanner, not a parser."""

from __future__ import annotations

import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_TOKEN = re.compile(
    rf"""
    \#[^\n]*                                             # a comment
    | "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*`    # a text
    | \[[^\]]*\]                                         # a range
    | (?P<labels>\b(?:by|without|on|ignoring|group_left|group_right)\b\s*\([^()]*\))
    | (?P<selector>\{{(?:[^"'`{{}}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)*\}})
    | (?P<number>\b(?:0x[0-9a-fA-F]+|\d[\d.]*(?:e[+-]?\d+|[a-zA-Z0-9]*)))
    | (?P<name>{_NAME})(?P<call>\s*\(|(?=\s+(?:by|without)\s*\())?
    """,
    re.ASCII | re.VERBOSE | re.IGNORECASE,
)
_NAME_MATCHER = re.compile(r"""__name__\s*=\s*(["'`])((?:(?!\1).)*)\1""")
_QUOTED_NAME = re.compile(r"""[{,]\s*(["'])((?:(?!\1)[^\\])*)\1\s*(?=[,}])""")
_WORDS = frozenset(
    (
        "and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right",
        "offset", "bool", "inf", "nan", "atan2", "start", "end",
    )
)  # fmt: skip


def names_in(expression: str) -> frozenset[str]:
    """The names of the series that ``expression`` selects, except those that it selects by a pattern."""
    names = set()
    for match in _TOKEN.finditer(expression):
        if match["selector"]:
            names |= {one[1] for one in _NAME_MATCHER.findall(match["selector"])}
            names |= {one[1] for one in _QUOTED_NAME.findall(match["selector"])}
        name = match["name"]
        if name and match["call"] is None and name.lower() not in _WORDS:
            names.add(name)
    return frozenset(names)
