"""Detects that the known state of a gate is too old.

It runs in a separate thread, one per process, because the thread that polls the sidecar may be stuck, for
example in a DNS lookup.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

from sidecar.supervision import Failures, run_thread_supervised

from .fork_safety import PerProcess

_MAX_SLEEP_SECS = 3600.0
_MIN_SLEEP_SECS = 0.02


class StalenessCheck(Protocol):
    """An object whose state can become too old."""

    failures: Failures

    def check_staleness(self, now: float) -> float:
        """Fall back if the state is too old at ``now`` (monotonic); return when to call again."""


class StalenessMonitor:
    """Calls `check_staleness` of each poller when it is due. Use `STALENESS`, the monitor of the process."""

    def __init__(self) -> None:
        self._pollers: dict[StalenessCheck, None] = {}
        self._changed = threading.Event()
        self._failures = Failures()
        self._thread = threading.Thread(target=self._main, name="wellbeing-staleness", daemon=True)

    def start(self) -> None:
        """Start the thread; it lives as long as the process."""
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
            now = time.monotonic()
            due = min((_check(poller, now) for poller in list(self._pollers)), default=now + _MAX_SLEEP_SECS)
            self._changed.wait(min(_MAX_SLEEP_SECS, max(_MIN_SLEEP_SECS, due - now)))


def _check(poller: StalenessCheck, now: float) -> float:
    try:
        return poller.check_staleness(now)
    except Exception:  # noqa: BLE001 - one poller's failure must not affect the others
        poller.failures.record("client_staleness")
        return now + 1.0


STALENESS: PerProcess[StalenessMonitor] = PerProcess(StalenessMonitor, StalenessMonitor.start)
