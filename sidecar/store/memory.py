"""A store that forgets: for tests, and for those who want nothing on disk."""

from __future__ import annotations

from .base import Batch, Kept


class MemoryStore:
    """Keeps nothing beyond the process; the controller's own memory is the state."""

    async def load(self) -> Kept:
        """Nothing."""
        return Kept()

    async def commit(self, batch: Batch) -> None:
        """Nothing to do: what the controller applies is all there is."""

    async def close(self) -> None:
        """Nothing to let go of."""
