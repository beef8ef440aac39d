"""``Retry-After`` headers, randomized so that refused clients do not all retry at once."""

from __future__ import annotations

import random
from collections.abc import Callable

Draw = Callable[[int, int], int]


def spread(secs: float, draw: Draw = random.randint) -> int:
    """A random whole number of seconds, from ``secs`` (at least 1) up to 1.5 times that.

    Args:
        secs: the shortest useful time to wait before a retry.
        draw: returns a random whole number between two bounds, both included.
    """
    least = max(1, -int(-secs // 1))
    return draw(least, least + max(1, least // 2))


def retry_after(secs: float) -> dict[str, str]:
    """The header, randomized upwards from ``secs``."""
    return {"Retry-After": str(spread(secs))}
