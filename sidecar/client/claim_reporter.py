"""Sends an agent's claim, and repeats it before it expires, in a background thread."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from dataclasses import replace
from random import Random

from sidecar.supervision import Failures

from .background_threads import THREAD_REFUSED, find_obstacle, log_once
from .connection import Connection
from .connection_thread import ConnectionThread
from .errors import Misconfigured, Unreachable
from .health import Health
from .settings import Settings
from .status_check import check_status

logger = logging.getLogger("wellbeing.client")

STATES = ("healthy", "cautious", "concerned", "distressed")
_MAX_TIMEOUT_SECS = 10.0
_MAX_RETRY_SECS = 5.0
_SENDS_PER_TTL = 3
_NAME = "client_agent"
_SEND_HERE_SECS = 2.0
_NOT_REPEATED = "A claim is sent when it is reported, not repeated, and expires after its TTL"


class ClaimReporter:
    """The part of an `Agent` that belongs to one process.

    Args:
        name: the name of the agent.
        settings: the settings, with the URL of the sidecar.
        ttl_secs: seconds after which a claim expires.
    """

    def __init__(self, name: str, settings: Settings, ttl_secs: float) -> None:
        self._name = name
        self._settings = settings
        self._ttl_secs = ttl_secs
        # Reentrant: a signal handler may interrupt the thread that holds the lock.
        self._lock = threading.RLock()
        self._claim_changed = threading.Event()
        self._delivered = threading.Condition(self._lock)
        self._claim = ("healthy", "")
        self._wanted = 0
        self._done = 0
        self._random = Random()  # noqa: S311 - spreads out heartbeats
        self._failures = Failures(logger, "a background thread of the wellbeing client failed, and continues")
        self._health = Health(None, time.time(), "", fallback=False, snapshot=None)
        self._thread = ConnectionThread("wellbeing-agent", _NAME, settings, self._run, self._failures)

    @property
    def health(self) -> Health:
        """The state of the connection to the sidecar."""
        return replace(self._health, failures=self._failures.counts.total())

    def report(self, state: str, reason: str) -> None:
        """Claim ``state`` from now on."""
        with self._lock:
            obstacle = None if self._thread.is_started else find_obstacle()
            if (state, reason) == self._claim and self._wanted and obstacle is None:
                return
            self._claim = (state, reason)
            self._wanted += 1
            if obstacle is None:
                self._thread.start()
                if not self._thread.is_started and not self._thread.stopping.is_set():
                    obstacle = THREAD_REFUSED
        if obstacle is None:
            self._claim_changed.set()
            return
        log_once(obstacle, _NOT_REPEATED)
        with closing(Connection(self._settings)) as connection:
            self._send_if_due(connection, _SEND_HERE_SECS)

    def flush(self, timeout: float) -> bool:
        """Wait until the sidecar has the last claim; return whether it has."""
        with self._delivered:
            return self._delivered.wait_for(lambda: self._done == self._wanted, timeout)

    def close(self, timeout: float) -> None:
        """Withdraw the claim, within ``timeout`` seconds, and end the thread."""
        if self._wanted and not self._thread.stopping.is_set():
            self.report("healthy", "the agent has ended")
            self.flush(timeout)
        self._thread.stop()
        self._claim_changed.set()

    # -- in the thread ----------------------------------------------------------------------------

    def _run(self, connection: Connection) -> None:
        while not self._thread.stopping.is_set():
            self._claim_changed.clear()
            self._claim_changed.wait(self._send_if_due(connection) * self._random.uniform(0.8, 1.0))

    def _send_if_due(self, connection: Connection, timeout: float = _MAX_TIMEOUT_SECS) -> float:
        """Send the claim if it is due, within ``timeout``; return the seconds until the next time."""
        with self._lock:
            wanted, (state, reason) = self._wanted, self._claim
            due = wanted != self._done or state != "healthy"
        interval_secs = self._ttl_secs / _SENDS_PER_TTL
        if due and not self._send(connection, state, reason, timeout):
            return min(_MAX_RETRY_SECS, interval_secs)
        with self._delivered:
            self._done = wanted
            self._delivered.notify_all()
        return interval_secs

    def _send(self, connection: Connection, state: str, reason: str, timeout: float) -> bool:
        body = {"state": state, "reason": reason, "source": self._name, "ttl_secs": self._ttl_secs}
        # Do not wait for an answer longer than the TTL of the claim.
        timeout = min(timeout, self._ttl_secs)
        try:
            check_status(connection.request("PUT", "state", body=body, timeout=timeout), (200,))
        except Unreachable as error:
            self._handle_failure(error)
            return False
        except Exception as error:  # noqa: BLE001 - recorded; an internal fault counts as unreachable, too
            self._failures.record(_NAME)
            self._handle_failure(Unreachable(f"unexpected {type(error).__name__}: {str(error)[:200]}"))
            return False
        before = self._health
        if not before.reachable:
            self._health = Health(True, time.time(), "", fallback=False, snapshot=None)
        if before.reachable is False:
            logger.warning("the wellbeing sidecar accepts reports of %s again", self._name)
        return True

    def _handle_failure(self, error: Unreachable) -> None:
        if self._thread.stopping.is_set():
            return
        before = self._health
        misconfigured = isinstance(error, Misconfigured)
        since = time.time() if before.reachable is not False else before.since
        self._health = Health(False, since, str(error), False, None, misconfigured)
        if misconfigured and not before.misconfigured:
            logger.error(
                "the wellbeing client is misconfigured: %s. Until this is corrected, the sidecar gets no "
                "reports of %s",
                error,
                self._name,
            )
        elif before.reachable is not False or (before.misconfigured and not misconfigured):
            logger.warning("the wellbeing sidecar does not accept reports of %s: %s", self._name, error)
