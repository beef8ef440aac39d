"""Limits how long closing gates and agents may take."""

from __future__ import annotations

import time

_BUDGET_SECS = 3.0
_REFILL_SECS = 30.0
_LEAST_SECS = 0.05


class CloseBudget:
    """The total time that closing gates and agents may delay a process.

    Closing sends a last report. If a sidecar does not answer, the first few gates wait for it and the others
    hardly wait. The budget refills within 30 seconds.
    """

    def __init__(self) -> None:
        self._left = _BUDGET_SECS
        self._seen_at = time.monotonic()

    def allowance(self) -> float:
        """Seconds that one close may wait."""
        now = time.monotonic()
        regained = (now - self._seen_at) * _BUDGET_SECS / _REFILL_SECS
        self._left = min(_BUDGET_SECS, self._left + regained)
        self._seen_at = now
        return max(_LEAST_SECS, self._left)

    def spend(self, secs: float) -> None:
        """Subtract ``secs`` from the budget."""
        self._left = max(0.0, self._left - secs)


CLOSE_BUDGET = CloseBudget()
