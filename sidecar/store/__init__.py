"""Where the world is kept: one small protocol, and the stores behind it."""

from .base import Batch, Kept, Store, StoreError, StoreUnavailable
from .entries import KINDS, Entry, HistoryQuery
from .memory import MemoryStore
from .sqlite import CorruptStore, Retention, SqliteStore, quarantine

__all__ = [
    "KINDS",
    "Batch",
    "CorruptStore",
    "Entry",
    "HistoryQuery",
    "Kept",
    "MemoryStore",
    "Retention",
    "SqliteStore",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "quarantine",
]
