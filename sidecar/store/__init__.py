"""Stores for the state: one protocol, and its implementations."""

from .base import (
    Batch,
    Change,
    CommitResult,
    Committed,
    Conflict,
    FleetStatus,
    LoggedCommit,
    LostCommit,
    Outdated,
    Position,
    SharedStore,
    Store,
    StoredState,
    StoreError,
    StoreUnavailable,
    Versions,
    WatchdogNotice,
)
from .entries import KINDS, HistoryEntry, HistoryQuery
from .memory import MemoryStore
from .sqlite import CorruptStore, Retention, SqliteStore, quarantine

__all__ = [
    "KINDS",
    "Batch",
    "Change",
    "CommitResult",
    "Committed",
    "Conflict",
    "CorruptStore",
    "FleetStatus",
    "HistoryEntry",
    "HistoryQuery",
    "LoggedCommit",
    "LostCommit",
    "MemoryStore",
    "Outdated",
    "Position",
    "Retention",
    "SharedStore",
    "SqliteStore",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "StoredState",
    "Versions",
    "WatchdogNotice",
    "quarantine",
]
