"""The embedded store: one SQLite file.

WAL mode with ``synchronous=FULL``: a finished commit survives a crash of the process and of the machine. All
database work runs on one separate thread, so that the event loop never waits for a disk. The file is locked
exclusively, because two sidecars on one file would decide from different states.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .base import Batch, StoredState, StoreError, StoreUnavailable
from .entries import HistoryEntry, HistoryQuery
from .open_files import OpenFiles
from .rows import Row
from .sqlite_schema import APPLICATION_ID, SCHEMA_VERSION, migrate
from .sqlite_tables import (
    ENTRIES_AFTER,
    history_statement,
    insert_history,
    prune_history,
    read_state,
    set_meta,
    write_batch,
)
from .store_thread import StoreThread
from .wal_file import extend_wal

_VALUE_PREFIX = "position:"
_PRUNE_EVERY = 1_000
_CHECKPOINT_EVERY = 1_000
"""Rows whose changes may be in the WAL file alone. SQLite itself would copy them within a commit."""
_WAL_BYTES = 8_388_608
"""About as much as `_CHECKPOINT_EVERY` rows need if each commit changes a few of them."""
_EXTEND_WAL_AFTER = 100
"""Rows. A process that writes fewer does not need the space."""
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
"""Error codes of a disk without space, and of a quota or a limit that was reached."""
_BUSY_SECS = 5.0
"""How long start-up waits for a previous process that still has the file open."""

T = TypeVar("T")


class CorruptStore(StoreError):
    """The file at ``path`` is damaged, or is not a store."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Retention:
    """The limits of the history.

    Attributes:
        max_entries: maximum number of entries; the newest are kept.
        max_age_secs: maximum age of an entry in seconds.
    """

    max_entries: int = 100_000
    max_age_secs: float = 30 * 86_400.0


class SqliteStore:
    """Stores the state in the file at ``path``.

    Args:
        path: created if it does not exist, readable by its owner only.
        retention: how much of the history is kept.
    """

    def __init__(self, path: Path, retention: Retention | None = None) -> None:
        self.path = path
        self.retention = retention or Retention()
        self._thread = StoreThread("store", self._after_work)
        self._db: sqlite3.Connection | None = None
        self._files: OpenFiles | None = None
        self._since_prune = 0
        self._checkpointed_changes = 0
        self._wal_is_extended = False

    async def load(self, now: float) -> StoredState:
        """Open the file, bring its schema up to date, and read it.

        Raises:
            CorruptStore: the file is damaged, or is not a store.
            StoreError: the file cannot be opened or written, has a newer schema, or is in use.
        """
        return await self._run(lambda: self._load(now))

    async def commit(self, batch: Batch) -> None:
        """Store ``batch``, completely or not at all.

        Raises:
            StoreUnavailable: it was not stored.
        """
        await self._run(lambda: self._commit(batch))

    async def append_history(self, entries: list[HistoryEntry]) -> None:
        """Append ``entries`` of another store, oldest first. Raises `StoreUnavailable`."""
        await self._run(lambda: self._append_history(entries))

    async def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        """The entries that match ``query``, newest first.

        Raises:
            StoreUnavailable: the entries cannot be read.
        """
        return await self._run(lambda: self._history(query))

    async def history_after(self, after_id: int, limit: int) -> list[HistoryEntry]:
        """The entries with a higher id than ``after_id``, oldest first.

        Raises:
            StoreUnavailable: the entries cannot be read.
        """
        return await self._run(lambda: self._entries(ENTRIES_AFTER, [after_id, limit]))

    async def load_values(self) -> dict[str, str]:
        """What `save_values` has stored, by key.

        Raises:
            StoreUnavailable: the values cannot be read.
        """
        return await self._run(self._load_values)

    async def save_values(self, values: Mapping[str, str | None]) -> None:
        """Store short texts outside of the records, such as how far a hook has come; None: remove the key.

        Raises:
            StoreUnavailable: nothing was stored.
        """
        await self._run(lambda: self._save_values(values))

    async def close(self) -> None:
        """Close the file, and stop the thread."""
        await self._run(self._close)
        self._thread.stop()

    async def _run(self, work: Callable[[], T]) -> T:
        return await self._thread.run(work)

    # -- on the thread ----------------------------------------------------------------------------

    def _load(self, now: float) -> StoredState:
        try:
            self._db = self._open()
            stored = self._read(self._db, now)
            self._files = OpenFiles(self.path)
            return stored
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            self._close()
            raise self._corruption_error(str(error)) from error
        except sqlite3.Error as error:
            self._close()
            raise self._open_error(error) from error
        except StoreError:
            self._close()
            raise
        except OSError as error:
            message = f"store {self.path} cannot be opened: {error.strerror}: {_remedy(error)}"
            raise StoreError(message) from error

    def _open(self) -> sqlite3.Connection:
        # SQLite would create a file that everyone can read. Its WAL and SHM files get the mode of this file.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECS)
        for pragma in (
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            "synchronous=FULL",
            "wal_autocheckpoint=0",
        ):
            db.execute(f"PRAGMA {pragma}")
        return db

    def _read(self, db: sqlite3.Connection, now: float) -> StoredState:
        [found] = db.execute("PRAGMA user_version").fetchone()
        if found > SCHEMA_VERSION:
            message = (
                f"store {self.path} has schema version {found}, this sidecar supports {SCHEMA_VERSION}: "
                "run the newer sidecar that wrote it, or move the file away to start with an empty store"
            )
            raise StoreError(message)
        [health] = db.execute("PRAGMA quick_check(1)").fetchone()
        if health != "ok":
            raise self._corruption_error(health)
        [kind] = db.execute("PRAGMA application_id").fetchone()
        [tables] = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if kind != (APPLICATION_ID if found else 0) or (tables and not found):
            message = f"store {self.path} is the database of another program: name another file for the store"
            raise StoreError(message)
        migrate(db, found)
        with suppress(sqlite3.Error):
            # A killed process leaves its WAL file behind, which would grow with each further kill.
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return read_state(db, now)

    def _commit(self, batch: Batch) -> None:
        self._transact(lambda db: self._write(db, batch))

    def _transact(self, work: Callable[[sqlite3.Connection], object]) -> None:
        db, files = self._db, self._files
        if db is None or files is None:
            message = f"store {self.path} is closed"
            raise StoreUnavailable(message)
        problem = files.problem()
        if problem:
            raise StoreUnavailable(f"store {self.path} cannot be written: {problem}")
        try:
            try:
                _attempt(db, work)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in _FULL or not self._checkpoint(db, files):
                    raise
                # SQLite now writes to the WAL file from its beginning, which needs no more space.
                _attempt(db, work)
        except Exception as error:
            message = f"store {self.path} cannot be written: {error}"
            raise StoreUnavailable(message) from error

    def _after_work(self) -> None:
        """Maintain the WAL file. Runs after each function, when its result is on the way to the loop."""
        db, files = self._db, self._files
        if db is None or files is None:
            return
        if not self._wal_is_extended and db.total_changes >= _EXTEND_WAL_AFTER:
            self._wal_is_extended = True
            extend_wal(self.path, _WAL_BYTES)
        if db.total_changes - self._checkpointed_changes < _CHECKPOINT_EVERY:
            return
        # If the checkpoint fails, the WAL file still has all commits. The next commit triggers a retry.
        if not files.problem() and self._checkpoint(db, files):
            self._checkpointed_changes = db.total_changes

    def _checkpoint(self, db: sqlite3.Connection, files: OpenFiles) -> bool:
        """Copy the WAL file into the database; return whether all of it was copied."""
        try:
            [(is_busy, frames, copied)] = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error:
            return False
        finally:
            files.database_was_written()
        return not is_busy and frames == copied

    def _write(self, db: sqlite3.Connection, batch: Batch) -> None:
        rows = write_batch(db, batch)
        self._since_prune += rows
        if self._since_prune >= _PRUNE_EVERY or not rows:
            self._since_prune = 0
            prune_history(db, self.retention.max_entries, batch.at - self.retention.max_age_secs)

    def _append_history(self, entries: list[HistoryEntry]) -> None:
        self._transact(lambda db: insert_history(db, entries))

    def _history(self, query: HistoryQuery) -> list[HistoryEntry]:
        return self._entries(*history_statement(query))

    def _entries(self, statement: str, values: Sequence[object]) -> list[HistoryEntry]:
        return [HistoryEntry(*row) for row in self._read_rows(statement, values)]

    def _read_rows(self, statement: str, values: Sequence[object]) -> list[Row]:
        if self._db is None:
            message = f"store {self.path} is closed"
            raise StoreUnavailable(message)
        try:
            return self._db.execute(statement, values).fetchall()
        except Exception as error:
            # A number too large for SQLite, or damaged text, raises other types.
            message = f"store {self.path} cannot be read: {error}"
            raise StoreUnavailable(message) from error

    def _load_values(self) -> dict[str, str]:
        rows = self._read_rows("SELECT key, value FROM meta WHERE key LIKE ?", [_VALUE_PREFIX + "%"])
        return {key.removeprefix(_VALUE_PREFIX): str(value) for key, value in rows}

    def _save_values(self, values: Mapping[str, str | None]) -> None:
        def save(db: sqlite3.Connection) -> None:
            for key, value in values.items():
                if value is None:
                    db.execute("DELETE FROM meta WHERE key = ?", [_VALUE_PREFIX + key])
                else:
                    set_meta(db, _VALUE_PREFIX + key, value)

        self._transact(save)

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = self._files = None

    def _open_error(self, error: sqlite3.Error) -> StoreError:
        text = str(error)
        if "locked" in text:
            return StoreError(
                f"store {self.path} is in use by another process: give each sidecar its own file"
            )
        if isinstance(error, sqlite3.OperationalError) and "no such" not in text:
            return StoreError(
                f"store {self.path} cannot be used: {text}: make it and its folder writable, "
                "and free some space"
            )
        return self._corruption_error(text)

    def _corruption_error(self, what: str) -> CorruptStore:
        what = " ".join(what.split())
        return CorruptStore(
            self.path,
            f"store {self.path} is damaged or not a store: {what}: restore it from a backup, move it away to "
            "start with an empty store, or set store.on_corrupt: quarantine to do so automatically",
        )


def _attempt(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], object]) -> None:
    """Do ``work`` in a transaction, completely or not at all."""
    try:
        if db.in_transaction:
            # The last rollback failed.
            db.execute("ROLLBACK")
        db.execute("BEGIN IMMEDIATE")
        work(db)
        db.execute("COMMIT")
    except Exception:
        # A value that SQLite cannot keep raises other types. The transaction must not stay open.
        # If the rollback fails too, the next transaction tries it again.
        with suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
        raise


def _remedy(error: OSError) -> str:
    if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}:
        return "correct its path, or the symbolic links in it"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "free some space"
    return "make it and its folder writable"


def quarantine(path: Path, now: float) -> Path:
    """Rename the file at ``path`` and its WAL and SHM files. Returns the new path."""
    aside = path.with_name(f"{path.name}.corrupt-{int(now)}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
