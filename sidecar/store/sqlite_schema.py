"""The schema of the SQLite store, and its migrations."""

from __future__ import annotations

import sqlite3

SCHEMA_VERSION = 5
APPLICATION_ID = 0x77656C6C
"""Identifies the file as a store of the sidecar."""

# The statements that migrate each schema version to the next. The first entry sets up an empty file.
_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE scopes (
        scope TEXT PRIMARY KEY, state INTEGER NOT NULL, auto TEXT, manual TEXT, episode TEXT
    ) WITHOUT ROWID;
    CREATE TABLE signals (
        scope TEXT NOT NULL, source TEXT NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL,
        since REAL NOT NULL, expires_at REAL, ended_at REAL, asked TEXT NOT NULL,
        PRIMARY KEY (scope, source)
    ) WITHOUT ROWID;
    CREATE TABLE tombstones (
        source TEXT PRIMARY KEY, ended_at REAL NOT NULL, keep_until REAL NOT NULL, heard_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE history (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, scope TEXT NOT NULL, kind TEXT NOT NULL,
        old TEXT NOT NULL, new TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL,
        cause TEXT NOT NULL, until REAL
    );
    CREATE INDEX history_scope ON history (scope, id);
    CREATE INDEX history_at ON history (at);
    """,
    "ALTER TABLE history ADD COLUMN actor TEXT NOT NULL DEFAULT '';",
    """
    ALTER TABLE signals ADD COLUMN alertname TEXT NOT NULL DEFAULT '';
    ALTER TABLE history ADD COLUMN alertname TEXT NOT NULL DEFAULT '';
    """,
    # Holds may be marked as advised. An older sidecar would close gates for them.
    "",
    """
    ALTER TABLE scopes ADD COLUMN restriction TEXT;
    ALTER TABLE scopes ADD COLUMN trial TEXT;
    """,
)


def migrate(db: sqlite3.Connection, found: int) -> None:
    """Bring a database from the schema version ``found`` up to `SCHEMA_VERSION`; 0: it is empty."""
    for number in range(found, SCHEMA_VERSION):
        db.executescript(
            f"BEGIN IMMEDIATE; {_MIGRATIONS[number]} PRAGMA user_version = {number + 1};"
            f" PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
        )
