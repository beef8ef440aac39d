"""``Retry-After`` of refusals, spread so that many refused clients do not come back at once."""

from __future__ import annotations

import random
from collections.abc import Callable

Draw = Callable[[int, int], int]


def spread(secs: float, draw: Draw = random.randint) -> int:
    """Whole seconds: from ``secs``, at least 1, to half as many again, and at least two values.

    Args:
        secs: the shortest time after which it makes sense to ask again.
        draw: returns a random whole number between two, both included.
    """
    least = max(1, -int(-secs // 1))
    return draw(least, least + max(1, least // 2))


def retry_after(secs: float) -> dict[str, str]:
    """The header, spread from ``secs`` on."""
    return {"Retry-After": str(spread(secs))}
