"""Writes the JSON files that Grafana imports; with ``--check``, reports which of them are out of date."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from .fleet import FLEET
from .grafana import build
from .panels import Board
from .scope import SCOPE
from .sidecar import SIDECAR

BOARDS = (FLEET, SCOPE, SIDECAR)
FOLDER = Path(__file__).parent


def rendered(board: Board) -> str:
    """The JSON of ``board``."""
    return JSONEncoder(sort_keys=True, indent=2).encode(build(board)) + "\n"


def published(board: Board) -> str:
    """The JSON of ``board`` as grafana.com wants it: the import asks for the Prometheus."""
    raw = json.loads(rendered(board).replace("${datasource}", "${DS_PROMETHEUS}"))
    raw["templating"]["list"] = [one for one in raw["templating"]["list"] if one["name"] != "datasource"]
    kinds = {panel["type"] for panel in raw["panels"]} - {"row"}
    panels = [{"type": "panel", "id": kind, "name": kind, "version": ""} for kind in sorted(kinds)]
    needs = {
        "__inputs": [
            {
                "name": "DS_PROMETHEUS",
                "label": "Prometheus",
                "description": "The Prometheus that scrapes the sidecars",
                "type": "datasource",
                "pluginId": "prometheus",
                "pluginName": "Prometheus",
            }
        ],
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "11.6.0"},
            {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
            *panels,
        ],
    }
    return json.dumps({**needs, **raw, "id": None}, indent=2) + "\n"


def files_of(board: Board) -> dict[Path, str]:
    """The content of each file of ``board``."""
    return {path_of(board): rendered(board), FOLDER / "published" / path_of(board).name: published(board)}


def path_of(board: Board) -> Path:
    """The file with the JSON of ``board``."""
    return FOLDER / f"{board.uid}.json"


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    files = {path: text for board in BOARDS for path, text in files_of(board).items()}
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        name = path.relative_to(FOLDER)
        print(f"{name}: {'differs from the program: run `make dashboards`' if check else 'written'}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
