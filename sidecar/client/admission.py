"""Asks the sidecar how many waiting requests may pass while the rate is limited or a trial runs.

This happens in a separate thread, which exists only while it is needed. While the sidecar does not answer, it
admits requests at the client's last share, until the last known state is too old.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from sidecar.supervision import Failures

from .connection import Connection, SidecarResponse
from .connection_thread import ConnectionThread
from .errors import Unreachable
from .pacing import backoff_secs
from .reporter import Reporter
from .settings import Settings
from .status_check import check_status

_NAME = "client_admission"
_OK = 200
_WAIT_SECS = 10.0
_SLACK_SECS = 5.0
_PAUSE_SECS = 0.03, 0.07
"""Seconds between two requests to the sidecar while more requests wait. Random, so that clients do not ask at
the same moment."""
_NOTHING_SECS = 0.2, 0.4
_FAILED_SECS = 0.2, 0.6
_SHARE_SECS = 60.0
"""Seconds for which a share tells how fast requests pass."""
_MOST = 99_999
"""Maximum number of waiting requests of one priority that the sidecar accepts."""


class Allowance(NamedTuple):
    """The sidecar's answer: how many requests may pass, the share per second, the id of the trial."""

    admitted: int
    share: float
    trial: str


class AdmissionThread:
    """Requests tokens while requests wait at a gate that limits the rate or runs a trial.

    Args:
        settings: the settings of the gate.
        reporter: knows the id of the client; also sends the outcomes of trials.
        waiting: returns how many requests wait, by priority; None: the rate is not limited.
        release: called with the number of requests that may pass, and the id of their trial.
        failures: counts and logs unexpected exceptions.

    Attributes:
        has_thread: whether to start the thread; if not, requests call `ask`.
    """

    def __init__(
        self,
        settings: Settings,
        reporter: Reporter,
        waiting: Callable[[], list[int] | None],
        release: Callable[[int, str], None],
        failures: Failures,
    ) -> None:
        self.has_thread = True
        self._settings = settings
        self._reporter = reporter
        self._waiting = waiting
        self._release = release
        self._random = Random()  # noqa: S311 - spreads out requests
        self._wake = threading.Event()
        self._thread = ConnectionThread("wellbeing-admission", _NAME, settings, self._run, failures)
        self._stop = self._thread.stopping
        self._outcome = False
        self._tries_failed = 0
        self._share = 0.0
        self._share_at = 0.0
        self._lacking = 1.0
        self._failed_at = 0.0

    def wake(self) -> None:
        """Start to request tokens, because requests wait or an outcome has to be reported."""
        if self._stop.is_set():
            return
        self._wake.set()
        if self.has_thread:
            self._thread.start()

    def report_outcome(self) -> None:
        """Record the outcome of a request that passed in a trial."""
        self._outcome = True
        self.wake()

    def secs_until_turn(self, ahead: int, rate: float) -> float:
        """Expected seconds until a request passes.

        Args:
            ahead: how many requests wait before it in this process.
            rate: requests per second that pass in all clients and in the sidecar together.
        """
        is_known = 0 < self._share < rate and time.monotonic() - self._share_at < _SHARE_SECS
        return (ahead + 1) / (self._share if is_known else rate)

    def stop(self) -> None:
        """End the thread. Returns at once."""
        self._thread.stop()
        self._wake.set()

    # -- in the thread ----------------------------------------------------------------------------

    def _run(self, connection: Connection) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            self._work(connection)

    def _work(self, connection: Connection) -> None:
        while not self._stop.is_set():
            if self._outcome:
                self._outcome = False
                if self._reporter.send(connection, _SLACK_SECS):
                    self._tries_failed = 0
                else:
                    self._outcome = True
                    self._tries_failed += 1
            waiting = self._waiting()
            if waiting is None or not any(waiting):
                if not self._outcome:
                    return
                self._stop.wait(backoff_secs(self._tries_failed, self._random))
                continue
            self._stop.wait(self._ask(connection, waiting, _WAIT_SECS))

    def ask(self, connection: Connection, secs: float) -> float:
        """Ask once, in the calling thread, and release the admitted requests.

        Args:
            connection: the connection to the sidecar.
            secs: how long the sidecar waits until it can admit a request.

        Returns:
            The seconds until the next request.
        """
        waiting = self._waiting()
        return self._ask(connection, waiting, secs) if waiting is not None and any(waiting) else 0.0

    def _ask(self, connection: Connection, waiting: list[int], secs: float) -> float:
        """Ask once, and release the admitted requests; return the seconds until the next request."""
        params = {
            "client": self._reporter.client,
            "waiting": ",".join(
                f"{priority}:{min(count, _MOST)}" for priority, count in enumerate(waiting) if count
            ),
            "wait": f"{secs:g}",
        }
        try:
            response = connection.request("GET", "admit", params=params, timeout=secs + _SLACK_SECS)
            allowance = _allowance(response)
        except Unreachable:
            return self._admit_by_last_share()
        self._failed_at = 0.0
        if not allowance.admitted:
            return self._random.uniform(*_NOTHING_SECS)
        self._share = allowance.share
        self._share_at = time.monotonic()
        self._release(allowance.admitted, allowance.trial)
        return self._random.uniform(*_PAUSE_SECS) if allowance.admitted < sum(waiting) else 0.0

    def _admit_by_last_share(self) -> float:
        """Release requests at the last share, because the sidecar does not answer."""
        now = time.monotonic()
        if self._failed_at:
            self._lacking -= (now - self._failed_at) * self._share
            passed = 0
            while self._lacking <= 0.0:
                passed += 1
                self._lacking += 1.0
            if passed:
                self._release(passed, "")
        self._failed_at = now
        return self._random.uniform(*_FAILED_SECS)


def _allowance(response: SidecarResponse) -> Allowance:
    check_status(response, (_OK,))
    body = response.body
    admitted = body.get("admitted") if isinstance(body, dict) else None
    if not isinstance(admitted, int) or isinstance(admitted, bool) or admitted < 0:
        raise Unreachable("the answer does not say how many requests may pass")
    share, trial = body.get("share_per_sec"), body.get("trial")
    return Allowance(
        admitted,
        float(share) if isinstance(share, int | float) and 0 <= share <= 1e9 else 0.0,  # noqa: PLR2004
        trial if isinstance(trial, str) else "",
    )
