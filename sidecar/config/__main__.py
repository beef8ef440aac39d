"""Generates files from the schema: the reference of all keys, and the JSON Schema.

A path that ends in ``.json`` gets the JSON Schema. Any other is a Markdown file; the rows of its table are
replaced. Without paths the rows are printed.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from .json_schema import json_schema
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


def written(path: Path) -> str:
    """The new content of the file at ``path``."""
    if path.suffix == ".json":
        return json.dumps(json_schema(), indent=2) + "\n"
    return _ROWS.sub(lambda _: rows(), path.read_text(encoding="utf-8"), count=1)


def main(paths: list[str]) -> None:
    """Write the files at ``paths``."""
    if not paths:
        sys.stdout.write(rows())
    for path in map(Path, paths):
        path.write_text(written(path), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
