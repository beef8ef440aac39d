"""Writes the chart's README from the comments in its values.yaml; ``--check`` reports whether it is up to
date.

A comment that begins with ``# --`` describes the value below it, as helm-docs reads it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "helm" / "wellbeing-sidecar"
README = CHART / "README.md"
HEAD = CHART / "README.head.md"


def described(lines: list[str], line: int) -> str:
    """The ``# --`` comment above a line (counted from 0), as one text; empty if there is none."""
    found: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        text = lines[line].lstrip().removeprefix("#").strip()
        if text.startswith("--"):
            return " ".join([text.removeprefix("--").strip(), *found])
        found.insert(0, text)
    return ""


def rows(text: str) -> Iterator[tuple[str, Any, str]]:
    """The path, the default and the description of each value that has a description."""
    lines = text.splitlines()

    def below(node: yaml.MappingNode, path: str, values: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
        for key, value in node.value:
            name = f"{path}{key.value}"
            text = described(lines, key.start_mark.line)
            if text:
                yield name, values[key.value], text
            if isinstance(value, yaml.MappingNode):
                yield from below(value, f"{name}.", values[key.value])

    root = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise TypeError("values.yaml is not a map")
    yield from below(root, "", yaml.safe_load(text))


def readme() -> str:
    """The whole README."""
    table = ["| key | default | what |", "| --- | --- | --- |"]
    for path, default, text in rows((CHART / "values.yaml").read_text()):
        shown = json.dumps(default).replace("|", "\\|")
        table.append(f"| `{path}` | `{shown}` | {text.replace('|', chr(92) + '|')} |")
    return HEAD.read_text() + "\n## Values\n\n" + "\n".join(table) + "\n"


def main(arguments: list[str]) -> int:
    """Write the README, or check it. Returns 1 if a check finds it out of date."""
    if arguments == ["--check"]:
        if README.read_text() == readme():
            return 0
        print(f"{README}: out of date; run `make manifests`", file=sys.stderr)
        return 1
    README.write_text(readme())
    print(README)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
