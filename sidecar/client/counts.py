"""What passes a gate, counted as the sidecar counts."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

OUTCOMES = ("waited", "timed_out", "abandoned")


class Counts:
    """One process' counts since it began, for many threads.

    Attributes:
        passed: call it for each request that meets an open gate. It is one call into C, which the
            interpreter cannot divide: no lock, and nothing is lost.
    """

    def __init__(self) -> None:
        self._tally = itertools.count()
        self.passed: Callable[[], int] = self._tally.__next__
        self._looks = 0
        self._lock = threading.Lock()
        self._blocked = 0
        self._ended = dict.fromkeys(OUTCOMES, 0)

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return self._blocked - sum(self._ended.values())

    def block(self, most: int) -> bool:
        """Count one that met a closed gate; false: ``most`` wait already, its wait has run out."""
        with self._lock:
            room = self.waiting < most
            self._blocked += 1
            if not room:
                self._ended["timed_out"] += 1
            return room

    def end(self, outcome: str) -> None:
        """Count how the wait of a blocked one ended."""
        with self._lock:
            self._ended[outcome] += 1

    def read(self) -> dict[str, int]:
        """``requests``, ``blocked``, and by outcome."""
        with self._lock:
            # Asking the tally takes a number from it, too.
            passed = next(self._tally) - self._looks
            self._looks += 1
            return {"requests": passed + self._blocked, "blocked": self._blocked, **self._ended}
