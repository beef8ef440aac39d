"""Detects that the wall clock was set, by comparing it with the monotonic clock."""

from __future__ import annotations

import logging

from sidecar.clock import Clock

logger = logging.getLogger(__name__)

STEP_SECS = 1.5
"""A difference above this means that the wall clock was set. A smaller one is slewing."""


class ClockSteps:
    """The steps of the wall clock against the monotonic clock since the last check.

    Args:
        clock: provides both clocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._offset_now()

    def set_last_seen(self, wall: float) -> None:
        """Set the time of the previous run's last write. If it is in the future, the clock was set back."""
        ahead = wall - self._clock.now()
        if ahead > STEP_SECS:
            self._offset += ahead

    @property
    def has_stepped(self) -> bool:
        """Whether the clock was set. A small difference counts as slewing and is forgotten."""
        offset = self._offset_now()
        if abs(offset - self._offset) > STEP_SECS:
            return True
        self._offset = offset
        return False

    def take(self) -> float:
        """How far the clock was set back, as a negative number of seconds; 0: it was not.

        A step forward is only logged, because time passes while a machine sleeps.
        """
        offset = self._offset_now()
        step = offset - self._offset
        if abs(step) <= STEP_SECS:
            return 0.0
        self._offset = offset
        name = "clock_went_back" if step < 0 else "clock_went_forward"
        logger.warning(name, extra={"fields": {"secs": round(abs(step), 3)}})
        return min(step, 0.0)

    def put_back(self, step: float) -> None:
        """Report ``step`` again, because it was not applied."""
        self._offset -= step

    def _offset_now(self) -> float:
        return self._clock.now() - self._clock.monotonic()
