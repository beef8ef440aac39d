"""Reads and writes the tables of the SQLite store. The caller begins and ends transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping

from sidecar.core.events import SignalDropped, SignalPut
from sidecar.core.values import Signal, Tombstone

from .base import Batch, StoredState
from .bulk_insert import insert_rows, sorted_in_pieces
from .entries import HistoryEntry, HistoryQuery, entries_of
from .rows import Row, entry_row, record_of, scope_row, signal_of, signal_row

_VERSIONS_PER_RUN = 10**9
"""Snapshot versions that are reserved for one run. The next run starts above them."""

_ENTRY_COLUMNS = "id, at, scope, kind, old, new, source, reason, cause, until, actor, alertname"
ENTRIES_AFTER = f"SELECT {_ENTRY_COLUMNS} FROM history WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 - constant

_HISTORY = "INSERT INTO history (at, scope, kind, old, new, source, reason, cause, until, actor, alertname)"


def read_state(db: sqlite3.Connection, now: float) -> StoredState:
    """Everything in the database, with a range of snapshot versions for this run. Commits on its own."""
    meta = dict(db.execute("SELECT key, value FROM meta"))
    version = max(int(meta.get("version", 0)), int(now * 1e6))
    db.execute("BEGIN IMMEDIATE")
    set_meta(db, "version", version + _VERSIONS_PER_RUN)
    db.execute("COMMIT")
    signals: dict[str, dict[str, Signal]] = {}
    for scope, *row in db.execute(
        "SELECT scope, source, state, reason, since, expires_at, ended_at, asked, alertname FROM signals"
    ):
        signal = signal_of(tuple(row))
        signals.setdefault(scope, {})[signal.source] = signal
    records = {
        scope: record_of(tuple(row), signals.get(scope, {}))
        for scope, *row in db.execute(
            "SELECT scope, state, auto, manual, episode, restriction, trial FROM scopes"
        )
    }
    tombstones = {
        source: Tombstone(float(ended_at), float(keep_until), float(received_at))
        for source, ended_at, keep_until, received_at in db.execute(
            "SELECT source, ended_at, keep_until, heard_at FROM tombstones"
        )
    }
    last_written_at = meta.get("seen_at")
    return StoredState(
        records,
        tombstones,
        version,
        None if last_written_at is None else float(last_written_at),
        str(meta.get("heard_watchdog", "")),
    )


def write_batch(db: sqlite3.Connection, batch: Batch) -> int:
    """Write ``batch``; return how many entries it added to the history."""
    gone = [(scope,) for scope, record in batch.records.items() if record is None]
    rewritten = [*gone, *((one,) for one in batch.rewritten)]
    put, dropped = _changed_signals(batch)
    # A statement takes a few microseconds even without a row.
    if gone:
        db.executemany("DELETE FROM scopes WHERE scope = ?", gone)
    if rewritten:
        db.executemany("DELETE FROM signals WHERE scope = ?", rewritten)
    if batch.records:
        insert_rows(
            db,
            "INSERT OR REPLACE INTO scopes",
            sorted_in_pieces(
                [scope_row(scope, one) for scope, one in batch.records.items() if one is not None]
            ),
        )
    if dropped:
        db.executemany("DELETE FROM signals WHERE scope = ? AND source = ?", dropped)
    if put:
        insert_rows(db, "INSERT OR REPLACE INTO signals", sorted_in_pieces(put))
    if batch.tombstones:
        _write_tombstones(db, batch.tombstones)
    added = insert_history(db, entries_of(batch.events))
    set_meta(db, "seen_at", batch.at)
    if batch.seen_watchdog is not None:
        set_meta(db, "heard_watchdog", batch.seen_watchdog)
    return added


def insert_history(db: sqlite3.Connection, entries: Iterable[HistoryEntry]) -> int:
    """Append ``entries`` to the history, oldest first; return their number."""
    rows = [entry_row(entry) for entry in entries]
    insert_rows(db, _HISTORY, rows)
    return len(rows)


def prune_history(db: sqlite3.Connection, max_entries: int, oldest: float) -> None:
    """Delete the entries beyond the newest ``max_entries``, and the entries before the time ``oldest``."""
    db.execute("DELETE FROM history WHERE at < ?", (oldest,))
    db.execute("DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?", (max_entries,))


def history_statement(query: HistoryQuery) -> tuple[str, list[object]]:
    """The statement for the entries that match ``query``, newest first, and its values."""
    where, values = ["1"], list[object]()
    if not query.below:
        where.append("scope = ?")
        values.append(query.scope)
    elif query.scope:
        where.append("(scope = ? OR (scope >= ? AND scope < ?))")
        # "0" is the next character after "/", so this range has every path that starts with the scope and
        # "/".
        values += [query.scope, query.scope + "/", query.scope + "0"]
    if query.kinds:
        where.append(f"kind IN ({', '.join('?' * len(query.kinds))})")
        values += query.kinds
    for column, bound in (
        ("at >= ?", query.since),
        ("at < ?", query.until),
        ("id < ?", query.before_id),
    ):
        if bound is not None:
            where.append(column)
            values.append(bound)
    statement = " ".join(
        ("SELECT", _ENTRY_COLUMNS, "FROM history WHERE", " AND ".join(where), "ORDER BY id DESC LIMIT ?")
    )
    return statement, [*values, query.limit]


def _write_tombstones(db: sqlite3.Connection, tombstones: Mapping[str, Tombstone | None]) -> None:
    removed = [(source,) for source, one in tombstones.items() if one is None]
    if removed:
        db.executemany("DELETE FROM tombstones WHERE source = ?", removed)
    insert_rows(
        db,
        "INSERT OR REPLACE INTO tombstones",
        [
            (source, one.ended_at, one.keep_until, one.received_at)
            for source, one in tombstones.items()
            if one is not None
        ],
    )


def set_meta(db: sqlite3.Connection, key: str, value: float | str) -> None:
    """Write one row of the table of single values."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _changed_signals(batch: Batch) -> tuple[list[Row], Collection[tuple[str, str]]]:
    """The changes to the table of signals: rows to write, and keys to delete."""
    put: dict[tuple[str, str], Row] = {}
    dropped: dict[tuple[str, str], None] = {}
    for event in batch.events:
        if isinstance(event, SignalPut | SignalDropped) and event.scope not in batch.rewritten:
            key = (event.scope, event.signal.source)
            put.pop(key, None)
            dropped.pop(key, None)
            if isinstance(event, SignalPut):
                put[key] = signal_row(event.scope, event.signal)
            else:
                dropped[key] = None
    for scope in batch.rewritten:
        record = batch.records.get(scope)
        if record is not None:
            for signal in record.signals.values():
                put[scope, signal.source] = signal_row(scope, signal)
    return list(put.values()), dropped.keys()
