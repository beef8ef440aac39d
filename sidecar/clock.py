"""The clock: the only source of time in the program."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The clocks of the machine."""

    def now(self) -> float:
        """Wall time, seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never decrease, for durations."""
        return time.monotonic()


def rfc3339(at: float) -> str:
    """``at``, seconds since the epoch, as RFC 3339 in UTC with milliseconds."""
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        moment = datetime.max.replace(tzinfo=UTC) if at > 0 else datetime.min.replace(tzinfo=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
