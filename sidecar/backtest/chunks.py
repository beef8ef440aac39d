"""How many points to ask Prometheus for at once: within its limit, and so that answers stay small."""

from __future__ import annotations

MAX_POINTS = 11_000
"""Prometheus refuses a range query with more points a series."""
_MIN_POINTS = 50
_FIRST_POINTS = 2_000
_SAMPLES_PER_ANSWER = 250_000
"""Some 8 MB of JSON, and 40 MB while it is read."""


class ChunkSize:
    """The number of points of the next query: grows and shrinks with what the last answers held."""

    def __init__(self) -> None:
        self.points = _FIRST_POINTS

    def answered(self, points: int, samples: int) -> None:
        """A query for ``points`` points was answered with ``samples`` samples of all series together."""
        if not samples:
            self.points = MAX_POINTS
            return
        fitting = _SAMPLES_PER_ANSWER * points // samples
        # An answer may be sparse by chance: the size grows step by step.
        self.points = max(_MIN_POINTS, min(MAX_POINTS, fitting, 4 * self.points))

    def refused(self) -> bool:
        """The answer would be too large. Returns whether fewer points can be asked for."""
        if self.points <= _MIN_POINTS:
            return False
        self.points = max(_MIN_POINTS, self.points // 4)
        return True
