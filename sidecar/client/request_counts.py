"""Counts the requests at a gate in one process, as the sidecar counts them."""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

OUTCOMES = ("waited", "timed_out", "abandoned")
WAIT_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds, in seconds, of the histogram of waits; the same as the sidecar's."""


class Trial(NamedTuple):
    """The outcomes of the requests that passed in the trial ``id``; ids of later trials are greater."""

    id: str
    succeeded: int
    failed: int


_NO_TRIAL = Trial("", 0, 0)


class RequestCounts:
    """The counts of one process since it began. Safe for threads.

    Attributes:
        passed: call it for each request that meets an open gate. It is one call into C, which is atomic, so
            it needs no lock and loses no count.
        succeeded: the same, for each admitted request that succeeded, outside of a trial.
    """

    def __init__(self) -> None:
        self._tally = itertools.count()
        self.passed: Callable[[], int] = self._tally.__next__
        self._reads = 0
        # Reentrant: a signal handler may interrupt the thread that holds the lock.
        self._lock = threading.RLock()
        self._blocked = 0
        self._ended = dict.fromkeys(OUTCOMES, 0)
        self._waits = {outcome: [0] * (len(WAIT_BOUNDS) + 1) for outcome in OUTCOMES}
        self._waited_secs = dict.fromkeys(OUTCOMES, 0.0)
        self._succeeded = self._failed = 0
        # Most outcomes take this path. It counts in the same way as `passed`.
        self._succeeded_tally = itertools.count()
        self.succeeded: Callable[[], int] = self._succeeded_tally.__next__
        self._trial = _NO_TRIAL

    @property
    def waiting(self) -> int:
        """How many requests wait now."""
        return self._blocked - sum(self._ended.values())

    def block(self, most: int) -> bool:
        """Count a request that met a closed gate.

        Returns:
            Whether it may wait. False: ``most`` requests already wait, and this request counts as timed out.
        """
        with self._lock:
            room = self.waiting < most
            self._blocked += 1
            if not room:
                self._end("timed_out", 0.0)
            return room

    def end(self, outcome: str, secs: float) -> None:
        """Count how the wait of a blocked request ended, after ``secs`` seconds."""
        with self._lock:
            self._end(outcome, secs)

    def _end(self, outcome: str, secs: float) -> None:
        self._ended[outcome] += 1
        self._waits[outcome][bisect_left(WAIT_BOUNDS, secs)] += 1
        self._waited_secs[outcome] += secs

    def record_outcome(self, *, succeeded: bool, trial: str = "") -> bool:
        """Count the outcome of an admitted request; return whether it belongs to the current trial.

        Args:
            succeeded: whether it succeeded.
            trial: the id of the trial in which it passed; empty: none.
        """
        if succeeded and not trial:
            self.succeeded()
            return False
        with self._lock:
            if succeeded:
                self._succeeded += 1
            else:
                self._failed += 1
            if not trial or trial < self._trial.id:
                return False
            before = self._trial if trial == self._trial.id else Trial(trial, 0, 0)
            self._trial = Trial(trial, before.succeeded + succeeded, before.failed + (not succeeded))
            return True

    def trial(self) -> dict[str, object] | None:
        """The outcomes of the last trial; None: there was none."""
        trial = self._trial
        return trial._asdict() if trial.id else None

    def waits(self) -> dict[str, dict[str, object]]:
        """The durations of ended waits, by outcome: the count of each bucket, and the sum in seconds."""
        with self._lock:
            return {
                outcome: {"counts": list(self._waits[outcome]), "secs": self._waited_secs[outcome]}
                for outcome in OUTCOMES
            }

    def read(self) -> dict[str, int]:
        """``requests``, ``blocked``, how waits ended, and the outcomes of admitted requests."""
        with self._lock:
            # Reading the tally also increases the tally.
            passed = next(self._tally) - self._reads
            untried = next(self._succeeded_tally) - self._reads
            self._reads += 1
            outcomes = {"succeeded": self._succeeded + untried, "failed": self._failed}
            return {"requests": passed + self._blocked, "blocked": self._blocked, **self._ended, **outcomes}
