"""Where the state is kept: one small protocol, and the stores behind it."""

from .base import Batch, Store, StoredState, StoreError, StoreUnavailable
from .entries import KINDS, Entry, HistoryQuery
from .memory import MemoryStore
from .sqlite import CorruptStore, Retention, SqliteStore, quarantine

__all__ = [
    "KINDS",
    "Batch",
    "CorruptStore",
    "Entry",
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
