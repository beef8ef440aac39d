"""The clock: the only source of time in the program."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_IGNORED_SECS = 0.005


class Clock:
    """The clocks of the machine."""

    def now(self) -> float:
        """Wall time, seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never decrease, for durations."""
        return time.monotonic()


class SharedClock(Clock):
    """A clock that follows the time of a server, so that all clients of the server agree.

    It continues by the monotonic clock, so a change of this machine's wall clock does not matter.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """The server's time, seconds since the epoch."""
        return time.monotonic() + self._offset

    def follow(self, now: float) -> None:
        """Set the server's time to ``now``. A small difference is network delay and is ignored."""
        offset = now - time.monotonic()
        if abs(offset - self._offset) > _IGNORED_SECS:
            self._offset = offset


def rfc3339(at: float) -> str:
    """``at``, seconds since the epoch, as RFC 3339 in UTC with milliseconds."""
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        moment = datetime.max.replace(tzinfo=UTC) if at > 0 else datetime.min.replace(tzinfo=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
