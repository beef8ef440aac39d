"""Checks all open connections, one batch in each pass of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sidecar.supervision import Failures

_BATCH_SIZE = 200
_NAME = "access_review"


def review_connections(
    loop: asyncio.AbstractEventLoop,
    connections: Iterable[Any],
    check: Callable[[Any], None],
    failures: Failures,
    name: str = _NAME,
) -> None:
    """Call ``check`` with each of ``connections``, in batches that do not block the event loop for long.

    Args:
        loop: runs the review.
        connections: the connections that are open now. Later ones are not checked.
        check: called once for each connection.
        failures: counts and logs the exceptions of ``check``. The other connections are still checked.
        name: for the counter and the log.
    """
    failures.register(name)
    _review(loop, iter(list(connections)), check, failures, name)


def _review(
    loop: asyncio.AbstractEventLoop,
    remaining: Iterator[Any],
    check: Callable[[Any], None],
    failures: Failures,
    name: str,
) -> None:
    for count, connection in enumerate(remaining, 1):
        try:
            check(connection)
        except Exception:  # noqa: BLE001 - recorded; the other connections are still checked
            failures.record(name)
        if count >= _BATCH_SIZE:
            loop.call_soon(_review, loop, remaining, check, failures, name)
            return
