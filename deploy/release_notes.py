"""Prints the release notes: the section of the version in the CHANGELOG."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sidecar import __version__

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def notes(text: str, version: str) -> str:
    """The text below the heading of a version, without the heading.

    Raises:
        ValueError: the CHANGELOG has no such heading, or the section is empty.
    """
    found = re.search(
        rf"^## {re.escape(version)}(?![\w.])[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    if found is None or not found[1].strip():
        raise ValueError(f"CHANGELOG.md has no section for {version}")
    return found[1].strip() + "\n"


def main() -> int:
    """Print the notes of this version. Returns 1 if there are none."""
    try:
        sys.stdout.write(notes(CHANGELOG.read_text(encoding="utf-8"), __version__))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
