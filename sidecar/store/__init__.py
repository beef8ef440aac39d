"""Where the world is kept: one small protocol, and the stores behind it."""

from .base import Batch, Kept, Store, StoreError, StoreUnavailable
from .memory import MemoryStore

__all__ = ["Batch", "Kept", "MemoryStore", "Store", "StoreError", "StoreUnavailable"]
