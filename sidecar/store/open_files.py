"""Detects that another program moved, deleted or changed the files of an open SQLite database.

SQLite keeps its files open and does not notice this. Later commits would be lost at a restart.

Rules of this file: it never opens a file. Closing any descriptor of a file releases all locks that the
process has on it, SQLite's locks included.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_Identity = tuple[int, int]


class OpenFiles:
    """The database file at ``path`` and its WAL file, as they are while only this process changes them.

    Create it after SQLite has opened and locked the database and has written to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # SQLite puts the WAL file beside the file that a symbolic link points to.
        self._wal_path = Path(os.path.realpath(path) + "-wal")
        self._database = path.stat()
        self._wal = _identity(self._wal_path.stat())
        self._wal_size = 0

    def database_was_written(self) -> None:
        """Record that a checkpoint, which may have failed, has written to the database file."""
        with suppress(OSError):
            found = self._path.stat()
            if _identity(found) == _identity(self._database):
                self._database = found

    def problem(self) -> str:
        """What another program has done to the files, and the remedy; empty: nothing."""
        what = _change(self._path, self._database) or self._change_of_wal()
        return (
            f"{what}: put it back, or restart the sidecar to use the files that are there now" if what else ""
        )

    def _change_of_wal(self) -> str:
        try:
            found = self._wal_path.stat()
        except OSError as error:
            return _missing(self._wal_path, error)
        if _identity(found) != self._wal:
            return _replaced(self._wal_path)
        # SQLite overwrites the file from its beginning, and does not shorten it.
        if found.st_size < self._wal_size:
            return _changed(self._wal_path)
        self._wal_size = found.st_size
        return ""


def _change(path: Path, before: os.stat_result) -> str:
    try:
        found = path.stat()
    except OSError as error:
        return _missing(path, error)
    if _identity(found) != _identity(before):
        return _replaced(path)
    if (found.st_size, found.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        return _changed(path)
    return ""


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino


def _missing(path: Path, error: OSError) -> str:
    return f"{path} was moved or deleted while in use ({error.strerror})"


def _replaced(path: Path) -> str:
    return f"{path} was replaced by another file while in use"


def _changed(path: Path) -> str:
    return f"{path} was changed by another program while in use"
