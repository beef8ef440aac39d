"""Files that change under a running program: secrets and certificates that are rotated."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[tuple[int, int, int] | None, ...]


def stamp_of(paths: Iterable[str]) -> Stamp:
    """What differs once one of the files at ``paths`` does: inode, time and size of each; None: not there."""
    stamps: list[tuple[int, int, int] | None] = []
    for path in paths:
        try:
            status = Path(path).stat()
            stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            stamps.append(None)
    return tuple(stamps)
