"""Priorities of requests, and which of them starve: they wait where only requests of higher priorities pass.

Rules of this file: time is an argument, in seconds of any monotonic clock. Starvation is reported, and not
prevented.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

PRIORITIES = 10
"""Priorities are 0 to 9; a higher one goes first."""
DEFAULT_PRIORITY = 5
_ABSENT_SECS = 2.0
"""A priority that was not seen for this long no longer waits. Clients are absent for a moment after each
answer."""


class PriorityTimes:
    """When requests of each priority waited and passed at one limit.

    Attributes:
        passed_at: when a request last passed here, or at a limit further inside.
        seen_at: when requests were last seen waiting here.
        served_at: start of the time in which requests have waited here and none has passed.
    """

    __slots__ = ("passed_at", "seen_at", "served_at")

    def __init__(self) -> None:
        self.passed_at = [-math.inf] * PRIORITIES
        self.seen_at = [-math.inf] * PRIORITIES
        self.served_at = [-math.inf] * PRIORITIES

    def see(self, priority: int, now: float) -> None:
        """Record that requests of ``priority`` wait here."""
        if now - self.seen_at[priority] > _ABSENT_SECS:
            self.served_at[priority] = now
        self.seen_at[priority] = now

    def starved(self, chain: Iterable[PriorityTimes], now: float) -> dict[int, float]:
        """The priorities that wait here while only higher ones pass, and for how many seconds they have.

        Args:
            chain: the times of this limit and of the limits above it.
            now: the time.
        """
        passed_at = [max(times) for times in zip(*(one.passed_at for one in chain), strict=True)]
        found: dict[int, float] = {}
        higher_passed_at = -math.inf
        for priority in reversed(range(PRIORITIES)):
            since = self.served_at[priority]
            if now - self.seen_at[priority] <= _ABSENT_SECS and higher_passed_at > since:
                found[priority] = now - since
            higher_passed_at = max(higher_passed_at, passed_at[priority])
        return found
