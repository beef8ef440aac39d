"""Loads components that the gate does not need on first use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LazyLoad(Generic[T]):
    """Loads a component in a thread on first use. The gate does not need these components.

    Args:
        make: creates the component.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: asyncio.Future[T] | None = None

    def load(self) -> asyncio.Future[T]:
        """Start to load, unless it is loaded or loading. A failed load is tried again."""
        made = self._made
        if made is None or (made.done() and made.exception() is not None):
            made = self._made = asyncio.get_running_loop().run_in_executor(None, self._make)
        return made

    async def get(self) -> T:
        """Return the component once it is loaded. Raises the exception of ``make``; the next call retries."""
        return await asyncio.shield(self.load())
