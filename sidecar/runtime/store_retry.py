"""Runs work when an event is set, and repeats the work until the store accepts it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sidecar.store import StoreUnavailable


async def run_on_event(event: asyncio.Event, work: Callable[[], Awaitable[None]], retry_secs: float) -> None:
    """Wait until ``event`` is set, clear it, and do ``work``.

    While the store is down, ``event`` is set again after the failure, so that the next call repeats the work.
    The controller logs and counts that the store is down.

    Args:
        event: set when there is work to do.
        work: may raise `StoreUnavailable`.
        retry_secs: how long to wait after a failure.
    """
    await event.wait()
    event.clear()
    try:
        await work()
    except StoreUnavailable:
        event.set()
        await asyncio.sleep(retry_secs)
