"""Detects changed files: secrets and certificates are rotated while the program runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Stamp = tuple[tuple[int, int, int] | None, ...]


def stamp_of(paths: Iterable[str]) -> Stamp:
    """A value that changes when a file at ``paths`` changes: inode, time and size; None: no file."""
    stamps: list[tuple[int, int, int] | None] = []
    for path in paths:
        try:
            status = Path(path).stat()
            stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            stamps.append(None)
    return tuple(stamps)
