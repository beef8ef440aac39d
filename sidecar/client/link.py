"""The one background thread: follows the gate's state, and reports what was counted."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .connection import Answer, Connection
from .counts import Counts
from .errors import Unreachable
from .settings import Settings
from .snapshot import Snapshot

logger = logging.getLogger("wellbeing.client")

_MOST_POLL_SECS = 20.0
_SLACK_SECS = 5.0
_REPORT_SECS = 5.0
_FIRST_BACKOFF_SECS = 0.5
_MOST_BACKOFF_SECS = 15.0
_OK, _NOT_MODIFIED = 200, 304


@dataclass(frozen=True, slots=True)
class Health:
    """How the link to the sidecar is.

    Attributes:
        reachable: whether it answered when it was last asked; None: it was not asked yet.
        since: wall time since when that is so.
        error: why it did not answer; empty: it did.
        fallback: nobody knows the gate, ``unreachable`` of the settings decides.
        snapshot: the last one; None: there never was one.
    """

    reachable: bool | None
    since: float
    error: str
    fallback: bool
    snapshot: Snapshot | None


def backoff_secs(failures: int, random: Random) -> float:
    """Seconds until the next try after so many failures in a row; random, so that a herd spreads out."""
    ceiling = min(_MOST_BACKOFF_SECS, _FIRST_BACKOFF_SECS * 2.0 ** min(failures, 10))
    return random.uniform(0.05, ceiling)


def _ramp_of(answer: Answer) -> float:
    try:
        return max(0.0, float(answer.headers.get("Wellbeing-Ramp-Per-Sec", "0")))
    except ValueError:
        return 0.0


class Link:
    """Follows one gate in a thread of its own.

    Args:
        settings: where the sidecar is, and what counts without it.
        counts: what is reported.
        tell: called with whether the gate is open, its snapshot where there is one, and how many of those who
            wait to let through a second (0: all at once), in the thread, each time that the first two change.
    """

    def __init__(
        self, settings: Settings, counts: Counts, tell: Callable[[bool, Snapshot | None, float], None]
    ) -> None:
        self._settings = settings
        self._counts = counts
        self._tell = tell
        self._stop = threading.Event()
        self._random = Random()  # noqa: S311 - spreads out retries
        self._etag = ""
        self._answered_at = time.monotonic()
        self._failures = 0
        self.health = Health(None, time.time(), "", fallback=False, snapshot=None)
        self._client = f"{os.uname().nodename[:64]}:{os.getpid()}:{uuid.uuid4().hex}"
        self._sequence = 0
        self._acknowledged: dict[str, int] = {}
        self._report_at = time.monotonic()
        # A poll that hangs is noticed before what is known is too old.
        half = settings.stale_after_secs / 2
        self._poll_secs = min(_MOST_POLL_SECS, half, settings.report_secs or _MOST_POLL_SECS)
        self._slack_secs = min(_SLACK_SECS, half)
        self._thread = threading.Thread(target=self._run, name="wellbeing-gate", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Report once more, and follow no longer; the thread ends when its poll does."""
        if self._stop.is_set():
            return
        self._stop.set()
        connection = Connection(self._settings)
        try:
            self._report(connection, min(_REPORT_SECS, 2.0))
        finally:
            connection.close()

    # -- in the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        connection = Connection(self._settings)
        try:
            while not self._stop.is_set():
                pause = self._step(connection)
                if self._settings.report_secs and time.monotonic() >= self._report_at:
                    self._report(connection, _REPORT_SECS)
                if pause:
                    self._stop.wait(pause)
        except Exception:
            logger.exception("the wellbeing gate follows its sidecar no more")
        finally:
            connection.close()

    def _step(self, connection: Connection) -> float:
        """Poll once; seconds to wait before the next time."""
        known = {"If-None-Match": self._etag} if self._etag else {}
        try:
            answer = connection.ask(
                "GET",
                "watch",
                headers=known,
                params={"wait": f"{self._poll_secs:g}"},
                timeout=self._poll_secs + self._slack_secs,
            )
            self._hear(answer)
        except (Unreachable, ValueError) as error:
            return 0.0 if self._stop.is_set() else self._miss(str(error))
        return 0.0

    def _hear(self, answer: Answer) -> None:
        if answer.status not in (_OK, _NOT_MODIFIED):
            raise Unreachable(f"the sidecar answered {answer.status}: {answer.detail}")
        self._answered_at = time.monotonic()
        self._failures = 0
        before = self.health
        if answer.status == _OK:
            snapshot = Snapshot.of(answer.body)
            self._etag = answer.headers.get("ETag", "")
        elif before.snapshot is None:
            raise Unreachable("the sidecar says that nothing changed, though nothing is known")
        else:
            snapshot = before.snapshot
        since = before.since if before.reachable else time.time()
        self.health = Health(True, since, "", fallback=False, snapshot=snapshot)
        if before.reachable is False:
            logger.warning("the wellbeing sidecar at %s answers again", self._settings.url)
        if before.snapshot != snapshot or before.fallback or before.reachable is None:
            self._tell(snapshot.is_open, snapshot, _ramp_of(answer))

    def _miss(self, error: str) -> float:
        before = self.health
        self._failures += 1
        stale_in = self._answered_at + self._settings.stale_after_secs - time.monotonic()
        fallback = before.snapshot is None or stale_in <= 0
        since = time.time() if before.reachable is not False else before.since
        self.health = Health(False, since, error, fallback=fallback, snapshot=before.snapshot)
        if before.reachable is not False:
            logger.warning("the wellbeing sidecar does not answer: %s", error)
        if fallback and not before.fallback:
            policy = self._settings.unreachable
            logger.warning("nothing is known of the wellbeing gate any more; it counts as %s", policy)
            self._tell(policy == "open", None, 0.0)
        pause = backoff_secs(self._failures, self._random)
        # What is known gets too old at its time, not at the next try.
        return pause if fallback else min(pause, max(stale_in, 0.01))

    def _report(self, connection: Connection, timeout: float) -> None:
        self._report_at = time.monotonic() + self._settings.report_secs
        if not self._settings.report_secs:
            return
        counts = self._counts.read()
        self._sequence += 1
        report = {
            "client": self._client,
            "sequence": self._sequence,
            "interval_secs": self._settings.report_secs,
            **counts,
            "waits": self._counts.waits(),
            "acknowledged": self._acknowledged,
        }
        try:
            answer = connection.ask("POST", "reports", body=report, timeout=timeout)
        except Unreachable as error:
            logger.debug("a report was lost: %s", error)
            return
        if answer.status == _OK:
            self._acknowledged = counts
        else:
            logger.debug("a report was refused: %s %s", answer.status, answer.detail)
