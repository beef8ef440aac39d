"""Looks at all open connections after credentials changed, a few at each pass of the event loop."""

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
) -> None:
    """Call ``check`` with each of ``connections``, so that the loop is held for a short time only.

    Args:
        loop: runs the review.
        connections: that are open now; later ones are not looked at.
        check: called once for each.
        failures: counts and logs what ``check`` raises; the other connections are checked all the same.
    """
    failures.register(_NAME)
    _review(loop, iter(list(connections)), check, failures)


def _review(
    loop: asyncio.AbstractEventLoop,
    remaining: Iterator[Any],
    check: Callable[[Any], None],
    failures: Failures,
) -> None:
    for count, connection in enumerate(remaining, 1):
        try:
            check(connection)
        except Exception:  # noqa: BLE001 - recorded; the other connections are checked all the same
            failures.record(_NAME)
        if count >= _BATCH_SIZE:
            loop.call_soon(_review, loop, remaining, check, failures)
            return
