"""Chooses the number of points of a query, within Prometheus' limit, so that responses stay small."""

from __future__ import annotations

MAX_POINTS = 11_000
"""Prometheus refuses a range query with more points per series."""
_MIN_POINTS = 50
_FIRST_POINTS = 2_000
_SAMPLES_PER_ANSWER = 250_000
"""About 8 MB of JSON, and 40 MB of memory while it is parsed."""


class ChunkSize:
    """The number of points of the next query. It depends on the size of the latest responses."""

    def __init__(self) -> None:
        self.points = _FIRST_POINTS

    def answered(self, points: int, samples: int) -> None:
        """Record that a query for ``points`` points returned ``samples`` samples in total."""
        if not samples:
            self.points = MAX_POINTS
            return
        fitting = _SAMPLES_PER_ANSWER * points // samples
        # An answer may be sparse by chance, so the size grows gradually.
        self.points = max(_MIN_POINTS, min(MAX_POINTS, fitting, 4 * self.points))

    def refused(self) -> bool:
        """Record that the response would be too large. Returns whether a query can ask for fewer points."""
        if self.points <= _MIN_POINTS:
            return False
        self.points = max(_MIN_POINTS, self.points // 4)
        return True
