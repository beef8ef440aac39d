"""Writes the generated pages of the documentation; ``--check`` reports whether they are up to date."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sidecar.config.__main__ import written
from sidecar.web.api.openapi import openapi

from . import alert_rules
from .repository_links import ROOT

_REFERENCE = ROOT / "docs" / "reference"


def built() -> dict[Path, str]:
    """The text of each generated file."""
    own = {
        alert_rules.PAGE: alert_rules.page(),
        _REFERENCE / "openapi.json": json.dumps(openapi(), indent=1) + "\n",
    }
    config = [_REFERENCE / "configuration.md", _REFERENCE / "config.schema.json"]
    return own | {path: written(path) for path in config}


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or check them. Returns 1 if a check finds a file out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    found = 0
    for path, text in built().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        found = 1
        if check:
            print(f"{path.relative_to(ROOT)}: differs from its source: run `make docs`")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: written")
    return found if check else 0


if __name__ == "__main__":
    sys.exit(main())
