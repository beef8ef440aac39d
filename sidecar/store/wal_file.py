"""Extends SQLite's WAL file with zeros. SQLite overwrites them, and stops reading at them.

When a growing file is synced, the file system also writes its own journal. That takes a fifth longer, and
sometimes several times as long.

SQLite locks only the database file, so this file may open and close the WAL file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_ZEROS = bytes(262_144)


def extend_wal(database: Path, size: int) -> None:
    """Extend the WAL file of ``database`` to ``size`` bytes, if there is space. SQLite must be idle."""
    # SQLite puts the WAL file beside the file that a symbolic link points to.
    wal = Path(os.path.realpath(database) + "-wal")
    with suppress(OSError):
        before = wal.stat().st_size
        try:
            with wal.open("ab", buffering=0) as file:
                for start in range(before, size, len(_ZEROS)):
                    file.write(_ZEROS[: size - start])
                os.fsync(file.fileno())
        except OSError:
            # SQLite needs the space more.
            os.truncate(wal, before)
