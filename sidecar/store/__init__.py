"""Stores for the state: one protocol, and its implementations."""

from .base import Batch, Store, StoredState, StoreError, StoreUnavailable
from .entries import KINDS, HistoryEntry, HistoryQuery
from .memory import MemoryStore
from .sqlite import CorruptStore, Retention, SqliteStore, quarantine

__all__ = [
    "KINDS",
    "Batch",
    "CorruptStore",
    "HistoryEntry",
    "HistoryQuery",
    "MemoryStore",
    "Retention",
    "SqliteStore",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "StoredState",
    "quarantine",
]
