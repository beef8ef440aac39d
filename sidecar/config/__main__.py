"""Prints the reference of all keys, or writes it into a Markdown file between ``| ---`` and an empty line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from .schema import describe

_ROWS = re.compile(r"(?<=\| key \| type \| default \| what \|\n\| --- \| --- \| --- \| --- \|\n)(\|.*\n)*")


def rows() -> str:
    """The rows of a Markdown table: key, type, default, description."""
    lines = []
    for key, kind, default, description in describe():
        escaped = description.replace("|", "\\|")
        lines.append(f"| `{key}` | {kind} | {_default(default)} | {escaped} |\n")
    return "".join(lines)


def _default(value: object) -> str:
    if value is None:
        return "required"
    if value in ("", (), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{value}`"


def main(paths: list[str]) -> None:
    """Write the rows to the files at ``paths``. Without paths, write them to standard output."""
    if not paths:
        sys.stdout.write(rows())
    for path in map(Path, paths):
        path.write_text(
            _ROWS.sub(lambda _: rows(), path.read_text(encoding="utf-8"), count=1), encoding="utf-8"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
