"""Follows a gate in the threads of its requests, where background threads do not run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .admission import AdmissionThread
from .connection import Connection
from .gate_poller import GatePoller
from .settings import Settings

_REFRESH_SECS = 2.0
_LONG_POLL_SECS = 10.0
_OTHER_POLLS_SECS = 0.1
_KNOWN_SECS = 1.0


class RequestPolling:
    """Polls the sidecar in the calling thread. One thread polls at a time.

    Args:
        settings: the settings of the gate.
        poller: interprets the answers.
        admission: asks how many waiting requests may pass.
        deliver: delivers changes to callbacks; called after an answer, without locks.
    """

    def __init__(
        self, settings: Settings, poller: GatePoller, admission: AdmissionThread, deliver: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._poller = poller
        self._admission = admission
        self._deliver = deliver
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._asked_at = 0.0
        self._retry_at = 0.0

    def refresh(self) -> None:
        """Ask for the state of the gate, for at most 2 seconds.

        After a failure, no request polls the sidecar for a short time, so that few requests are delayed.
        """
        if self._lock.acquire(timeout=_REFRESH_SECS):
            try:
                self._ask_for(0.0)
            finally:
                self._lock.release()
            self._deliver()

    def refresh_if_old(self) -> None:
        """`refresh`, if the last answer is older than a second."""
        if time.monotonic() - self._asked_at > _KNOWN_SECS:
            self.refresh()

    def follow(self, secs: float, *, at_a_rate: bool) -> float:
        """Wait for a change for at most ``secs`` seconds and a short slack; 0: ask once.

        Args:
            secs: seconds to wait at most.
            at_a_rate: whether requests pass at a rate, so that the sidecar says how many may pass.

        Returns:
            Seconds to wait before the next call.
        """
        if not self._lock.acquire(blocking=False):
            # Another request follows the gate, and its answers apply to all.
            return _OTHER_POLLS_SECS
        try:
            if at_a_rate:
                return self._admission.ask(self._open_connection(), min(secs, _LONG_POLL_SECS))
            return self._ask_for(min(secs, _LONG_POLL_SECS))
        finally:
            self._lock.release()
            self._deliver()

    def report(self) -> None:
        """Send the counts, because the outcome of a trial was recorded."""
        if self._lock.acquire(timeout=_REFRESH_SECS):
            try:
                self._poller.report(self._open_connection())
            finally:
                self._lock.release()

    def close(self) -> None:
        """Close the connection, unless a request uses it."""
        if self._connection is not None and self._lock.acquire(blocking=False):
            try:
                self._connection.close()
            finally:
                self._lock.release()

    def _ask_for(self, secs: float) -> float:
        """Poll; return the seconds before the next poll. The caller holds the lock."""
        left = self._retry_at - time.monotonic()
        if left > 0:
            self._poller.check_staleness(time.monotonic())
            return left
        pause = self._poller.ask(self._open_connection(), secs, _REFRESH_SECS)
        self._asked_at = time.monotonic()
        self._retry_at = 0.0 if self._poller.health.reachable else self._asked_at + pause
        if self._poller.health.reachable:
            self._poller.report_if_due(self._open_connection())
        return pause

    def _open_connection(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self._settings)
        return self._connection
