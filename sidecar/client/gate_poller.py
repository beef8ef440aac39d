"""Follows one gate of a sidecar and reports counts, in a background thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random

from sidecar.supervision import Failures, run_thread_supervised

from .connection import Connection, SidecarResponse
from .errors import Misconfigured, Unreachable
from .health import Health
from .pacing import PollPacer, backoff_secs
from .reporter import Reporter
from .settings import Settings
from .snapshot import GateSnapshot
from .staleness import STALENESS
from .status_check import check_status

logger = logging.getLogger("wellbeing.client")

_MAX_POLL_SECS = 20.0
_SLACK_SECS = 5.0
_REPORT_SECS = 5.0
_LAST_REPORT_SECS = 2.0
_NAME = "client_link"
_OK, _NOT_MODIFIED = 200, 304

StateCallback = Callable[[bool, GateSnapshot | None, bool], None]


class GatePoller:
    """Follows one gate for one process, in a thread (`start`) or in calls of `ask`.

    A forked child creates its own.

    The thread survives any exception. If the sidecar does not answer for ``stale_after_secs``, the state is
    unknown, and ``unreachable`` decides.

    Args:
        settings: the URL of the sidecar, and the fallback without it.
        reporter: reports the counts.
        on_state: called when the gate opens or closes, or its snapshot changes. It gets whether the gate is
            open, the snapshot if there is one, and whether waiters pass at a rate when the gate is open. It
            must not block.
        failures: counts and logs unexpected exceptions.

    Attributes:
        failures: the counter of exceptions, from the arguments.
    """

    def __init__(
        self, settings: Settings, reporter: Reporter, on_state: StateCallback, failures: Failures
    ) -> None:
        self.failures = failures
        self._settings = settings
        self._reporter = reporter
        self._on_state = on_state
        # Reentrant: a signal handler that reads the health may interrupt the thread that holds the lock.
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._finished = threading.Event()
        self._random = Random()  # noqa: S311 - spreads out retries
        self._connection: Connection | None = None
        self._etag = ""
        self._tries_failed = 0
        self._health = Health(None, time.time(), "", fallback=False, snapshot=None)
        self._report_at = time.monotonic()
        # A poll that hangs is detected before the state is too old.
        half = settings.stale_after_secs / 2
        self._poll_secs = min(_MAX_POLL_SECS, half, settings.report_secs or _MAX_POLL_SECS)
        self._slack_secs = min(_SLACK_SECS, half)
        # The first answer does not wait for a change.
        self._first_secs = min(_SLACK_SECS, settings.stale_after_secs)
        self._stale_at = time.monotonic() + self._first_secs + 1.0
        self._pacer = PollPacer(self._poll_secs, half / 2, self._random)
        self._thread = threading.Thread(target=self._main, name="wellbeing-gate", daemon=True)
        self._has_thread = False

    @property
    def health(self) -> Health:
        """The state of the connection."""
        return replace(self._health, failures=self.failures.counts.total())

    def start(self) -> None:
        """Start to follow.

        Raises:
            RuntimeError: no thread can be started. The poller cannot be used any more.
        """
        self._has_thread = True
        try:
            self._thread.start()
            STALENESS.get().add(self)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ask the thread to send a last report and end. Returns at once."""
        self._stop.set()
        if (monitor := STALENESS.peek()) is not None:
            monitor.remove(self)
        if (connection := self._connection) is not None:
            connection.interrupt()

    def join(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the last report; return whether it was sent, if there is one.

        Without a thread, the report is sent here.
        """
        if self._has_thread:
            return self._thread.ident is None or self._finished.wait(timeout)
        if self._health.reachable:
            self._report_last(timeout)
        return True

    def check_staleness(self, now: float) -> float:
        """Fall back if the state is too old at ``now`` (monotonic); return when to call again."""
        with self._lock:
            if self._stop.is_set() or self._health.fallback:
                return now + self._settings.stale_after_secs
            if now < self._stale_at:
                return self._stale_at
            error = self._health.error or f"no answer for {self._settings.stale_after_secs:g} s"
            self._fall_back(error, misconfigured=self._health.misconfigured)
        self._log_fallback()
        return now + self._settings.stale_after_secs

    # -- in the thread of a request ---------------------------------------------------------------

    def ask(self, connection: Connection, secs: float, slack_secs: float) -> float:
        """Poll once in the calling thread, and process the answer.

        Args:
            connection: the connection to the sidecar.
            secs: how long to wait for a change; 0: ask for the current state.
            slack_secs: additional seconds for the answer itself.

        Returns:
            Seconds to wait before the next poll.
        """
        known = self._known() if secs else {}
        pause = self._poll(connection, known, secs, slack_secs + (secs if known else 0.0))
        return pause if secs or not self._health.reachable else 0.0

    def report(self, connection: Connection) -> None:
        """Send the counts."""
        if self._settings.report_secs:
            self._report(connection, min(_REPORT_SECS, self._settings.stale_after_secs / 2))

    def report_if_due(self, connection: Connection) -> None:
        """Send the counts, if it is time."""
        if time.monotonic() >= self._report_at:
            self.report(connection)

    # -- in the thread ----------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            run_thread_supervised(_NAME, self._run, self.failures, self._stop)
            self._report_last(_LAST_REPORT_SECS)
        finally:
            self._finished.set()

    def _run(self) -> None:
        connection = self._connection = Connection(self._settings)
        try:
            while not self._stop.is_set():
                known = self._known()
                timeout = self._poll_secs + self._slack_secs if known else self._first_secs
                pause = self._poll(connection, known, self._poll_secs, timeout)
                self.report_if_due(connection)
                if pause:
                    self._stop.wait(pause)
        finally:
            connection.close()

    def _poll(self, connection: Connection, known: dict[str, str], secs: float, timeout: float) -> float:
        """Poll once for a change of the ``known`` state; return the seconds to wait before the next poll."""
        began = time.monotonic()
        try:
            response = connection.request(
                "GET",
                "watch",
                headers=known,
                params={"wait": f"{secs:g}"},
                timeout=timeout,
            )
            changed = self._handle_response(response)
        except Unreachable as error:
            return self._handle_failure(error)
        except Exception as error:  # noqa: BLE001 - recorded; an internal fault counts as unreachable, too
            self.failures.record(_NAME)
            return self._handle_failure(Unreachable(f"unexpected {type(error).__name__}: {str(error)[:200]}"))
        return self._pacer.pause_secs(time.monotonic() - began, changed=changed)

    def _known(self) -> dict[str, str]:
        snapshot = self._health.snapshot
        if snapshot is None:
            return {}
        # The sidecar's ETag is the version. An intermediary may have dropped the header, or changed it.
        tags = {f'"{snapshot.version}"': None} | ({self._etag: None} if self._etag else {})
        return {"If-None-Match": ", ".join(tags)}

    def _handle_response(self, response: SidecarResponse) -> bool:
        """Process a response; return whether the state changed.

        Raises:
            Unreachable: it is not a valid response to a watch.
        """
        check_status(response, (_OK, _NOT_MODIFIED))
        with self._lock:
            before = self._health
            if response.status == _OK:
                snapshot = _snapshot_of(response)
                self._etag = _etag_of(response)
            elif before.snapshot is None:
                raise Unreachable("the sidecar says that nothing changed, but no state is known")
            else:
                snapshot = before.snapshot
            changed = before.snapshot != snapshot or before.fallback or before.reachable is None
            self._stale_at = time.monotonic() + self._settings.stale_after_secs
            self._tries_failed = 0
            since = before.since if before.reachable else time.time()
            self._health = Health(True, since, "", fallback=False, snapshot=snapshot)
            if changed and not self._stop.is_set():
                self._on_state(snapshot.is_open, snapshot, _has_ramp(response))
        if before.reachable is False:
            logger.warning("the wellbeing sidecar at %s answers again", self._settings.shown_url)
        return changed

    def _handle_failure(self, error: Unreachable) -> float:
        """Record that there was no answer; return the seconds until the next attempt."""
        if self._stop.is_set():
            return 0.0
        misconfigured = isinstance(error, Misconfigured)
        with self._lock:
            before = self._health
            self._tries_failed += 1
            fallback = before.snapshot is None or time.monotonic() >= self._stale_at
            since = time.time() if before.reachable is not False else before.since
            if fallback and not before.fallback:
                self._fall_back(str(error), misconfigured=misconfigured)
            else:
                self._health = replace(
                    before, reachable=False, since=since, error=str(error), misconfigured=misconfigured
                )
            after = self._health
        if misconfigured and not before.misconfigured:
            logger.error(
                "the wellbeing client of %s is misconfigured: %s. Until this is corrected, %s",
                self._settings.shown_url,
                error,
                self._consequence(after),
            )
        elif before.reachable is not False or (before.misconfigured and not misconfigured):
            logger.warning("the wellbeing sidecar does not answer: %s", error)
        if after.fallback and not before.fallback:
            self._log_fallback()
        return backoff_secs(self._tries_failed, self._random)

    def _fall_back(self, error: str, *, misconfigured: bool) -> None:
        """The state is unknown now. The caller holds the lock."""
        before = self._health
        since = time.time() if before.reachable is not False else before.since
        self._health = Health(False, since, error, True, before.snapshot, misconfigured)
        if not self._stop.is_set():
            self._on_state(self._settings.unreachable == "open", None, False)

    def _log_fallback(self) -> None:
        logger.warning(
            "the state of the wellbeing gate of %r is not known; the gate counts as %s",
            self._settings.scope,
            self._settings.unreachable,
        )

    def _consequence(self, health: Health) -> str:
        policy = self._settings.unreachable
        if health.fallback:
            return f"the gate of {self._settings.scope!r} counts as {policy}"
        secs = self._settings.stale_after_secs
        return f"the gate stays as it was, and counts as {policy} after {secs:g} s"

    # -- reports ----------------------------------------------------------------------------------

    def _report(self, connection: Connection, timeout: float) -> None:
        self._report_at = time.monotonic() + self._settings.report_secs
        self._reporter.send(connection, timeout)

    def _report_last(self, timeout: float) -> None:
        if not self._settings.report_secs:
            return
        # `stop` has interrupted the other connection.
        connection = Connection(self._settings)
        try:
            self._report(connection, timeout)
        except Exception:  # noqa: BLE001 - recorded; this is the last step
            self.failures.record(_NAME)
        finally:
            connection.close()


def _snapshot_of(response: SidecarResponse) -> GateSnapshot:
    try:
        return GateSnapshot.of(response.body)
    except ValueError as error:
        raise Unreachable(str(error)) from error


def _etag_of(response: SidecarResponse) -> str:
    tag = response.headers.get("ETag") or ""
    return tag if len(tag) <= 200 and tag.isascii() and tag.isprintable() else ""  # noqa: PLR2004 - generous


def _has_ramp(response: SidecarResponse) -> bool:
    """Whether waiting requests pass at a limited rate after the opening."""
    return "Wellbeing-Ramp-Per-Sec" in response.headers
