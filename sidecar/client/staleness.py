"""Detects that the known state of a gate is too old.

The check runs in a separate thread, one per process, because the thread that polls the sidecar may be stuck,
for example in a DNS lookup.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Protocol

from sidecar.supervision import Failures, run_thread_supervised

from .background_threads import is_embedded
from .fork_safety import PerProcess

_MAX_SLEEP_SECS = 3600.0
_BEAT_SECS = 1.0
STALL_SECS = 3.0
"""So much later than planned, the thread was not merely waiting for a processor."""
_MIN_SLEEP_SECS = 0.02


class StalenessCheck(Protocol):
    """An object whose state can become too old."""

    failures: Failures

    def check_staleness(self, now: float) -> float:
        """Fall back if the state is too old at ``now`` (monotonic); return when to call again."""


class StalenessMonitor:
    """Calls `check_staleness` of each poller when it is due. Use `STALENESS`, the monitor of the process.

    Attributes:
        beat_at: monotonic time when the thread ran last. In a host that embeds Python this is at most a
            second ago, unless the host does not let threads run.
        stalls: monotonic times of the last three times that the thread could not run in time.
    """

    def __init__(self) -> None:
        self.beat_at = time.monotonic()
        self.stalls: deque[float] = deque(maxlen=3)
        self._max_sleep_secs = _BEAT_SECS if is_embedded() else _MAX_SLEEP_SECS
        self._pollers: dict[StalenessCheck, None] = {}
        self._changed = threading.Event()
        self._failures = Failures()
        self._thread = threading.Thread(target=self._main, name="wellbeing-staleness", daemon=True)

    def start(self) -> None:
        """Start the thread, which runs until the process ends."""
        self._thread.start()

    def add(self, poller: StalenessCheck) -> None:
        """Add ``poller``."""
        self._pollers[poller] = None
        self._changed.set()

    def remove(self, poller: StalenessCheck) -> None:
        """Remove ``poller``."""
        self._pollers.pop(poller, None)

    def _main(self) -> None:
        run_thread_supervised("client_staleness", self._run, self._failures, threading.Event())

    def _run(self) -> None:
        while True:
            self._changed.clear()
            now = self.beat_at = time.monotonic()
            due = min((_check(poller, now) for poller in list(self._pollers)), default=now + _MAX_SLEEP_SECS)
            planned_secs = min(self._max_sleep_secs, max(_MIN_SLEEP_SECS, due - now))
            self._changed.wait(planned_secs)
            if time.monotonic() - now > planned_secs + STALL_SECS:
                self.stalls.append(time.monotonic())


def _check(poller: StalenessCheck, now: float) -> float:
    try:
        return poller.check_staleness(now)
    except Exception:  # noqa: BLE001 - one poller's failure must not affect the others
        poller.failures.record("client_staleness")
        return now + 1.0


STALENESS: PerProcess[StalenessMonitor] = PerProcess(StalenessMonitor, StalenessMonitor.start)
