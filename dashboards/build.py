"""Writes the JSON files that Grafana imports; with ``--check``, reports which of them are out of date."""

from __future__ import annotations

import argparse
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


def path_of(board: Board) -> Path:
    """The file with the JSON of ``board``."""
    return FOLDER / f"{board.uid}.json"


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [
        board
        for board in BOARDS
        if not path_of(board).exists() or path_of(board).read_text() != rendered(board)
    ]
    for board in stale:
        print(
            f"{path_of(board).name}: {'differs from the program: run `make dashboards`' if check else 'written'}"
        )
        if not check:
            path_of(board).write_text(rendered(board))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
