"""How a process follows a gate: in background threads, or, if these do not run, in the requests' threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sidecar.supervision import Failures

from .admission import AdmissionThread
from .background_threads import (
    NO_PROGRESS,
    THREAD_REFUSED,
    Obstacle,
    find_obstacle,
    is_embedded,
    log_once,
)
from .gate_poller import GatePoller, StateCallback
from .notifier import ChangeNotifier
from .reporter import Reporter
from .request_polling import RequestPolling
from .settings import Settings
from .staleness import STALENESS, STALL_SECS

_CONSEQUENCE = "Each request asks the wellbeing sidecar by itself, which takes one exchange"
_TRY_AGAIN_SECS = 10.0
_FIRST_BEAT_SECS = 2.0
_MOST_STALLS = 3
_STALLS_WITHIN_SECS = 600.0
"""So often threads must have stood still within that time, because a whole machine may sleep now and then."""


class Following:
    """Chooses between background threads and polling by requests, and changes over when the host changes.

    Args:
        settings: the settings of the gate.
        reporter: reports the counts.
        admission: asks how many waiting requests may pass.
        notifier: calls the callbacks.
        decided: cleared when the known state may be too old; ``on_state`` sets it.
        on_state: as for `GatePoller`.
        failures: counts and logs unexpected exceptions.

    Attributes:
        poller: follows the gate at the sidecar.
        polling: polls in the threads of requests; None: background threads follow the gate.
        is_checked: whether each request must check that the threads run, and may not pass by the flag.
    """

    def __init__(
        self,
        settings: Settings,
        reporter: Reporter,
        admission: AdmissionThread,
        notifier: ChangeNotifier,
        *,
        decided: threading.Event,
        on_state: StateCallback,
        failures: Failures,
    ) -> None:
        self._settings = settings
        self._decided = decided
        self._admission = admission
        self._notifier = notifier
        self._make_poller: Callable[[], GatePoller] = lambda: GatePoller(
            settings, reporter, on_state, failures
        )
        self._lock = threading.RLock()
        self._try_at = 0.0
        self._gave_up = False
        self.poller = self._make_poller()
        self.polling: RequestPolling | None = None
        self.is_checked = is_embedded()

    def start(self) -> None:
        """Begin to follow."""
        obstacle = find_obstacle()
        if obstacle is None:
            try:
                self.poller.start()
            except RuntimeError:
                obstacle = THREAD_REFUSED
                self.poller = self._make_poller()
        if obstacle is not None:
            self._poll_by_requests(obstacle)

    def check(self) -> RequestPolling | None:
        """The polling that a request must use to get the state of the gate; None: threads follow it."""
        if self.polling is not None:
            if time.monotonic() >= self._try_at:
                self._try_threads()
        elif self.is_checked:
            self._check_progress()
        return self.polling

    def close(self) -> None:
        """Stop following. Returns at once."""
        self.poller.stop()
        if self.polling is not None:
            self.polling.close()

    def _try_threads(self) -> None:
        """Use threads, if the host lets them run now."""
        obstacle = find_obstacle()
        with self._lock:
            if self.polling is None or self._gave_up:
                return
            if obstacle is not None:
                log_once(obstacle, _CONSEQUENCE)
                return
            self._try_at = time.monotonic() + _TRY_AGAIN_SECS
            # The known state may be old: requests wait for the first answer in the thread.
            was_decided = self._decided.is_set()
            self._decided.clear()
            before, self.polling = (self.poller, self.polling), None
            self.poller = self._make_poller()
            self._admission.has_thread = self._notifier.has_thread = True
            try:
                self.poller.start()
            except RuntimeError:
                self.poller, self.polling = before
                self._admission.has_thread = self._notifier.has_thread = False
                if was_decided:
                    self._decided.set()
            else:
                before[1].close()

    def _check_progress(self) -> None:
        """Notice that the threads stand still while no request is served."""
        monitor = STALENESS.get()
        now = time.monotonic()
        beat_at = monitor.beat_at
        if now - beat_at > STALL_SECS:
            # Sleeping gives the threads a chance to run.
            while monitor.beat_at == beat_at and time.monotonic() - now < _FIRST_BEAT_SECS:
                time.sleep(0.01)
            if monitor.beat_at == beat_at:
                monitor.stalls.append(now)
        if len(monitor.stalls) < _MOST_STALLS or now - monitor.stalls[0] > _STALLS_WITHIN_SECS:
            return
        with self._lock:
            if self.polling is None:
                self._gave_up = True
                self.poller.stop()
                self.poller = self._make_poller()
                self._poll_by_requests(NO_PROGRESS)

    def _poll_by_requests(self, obstacle: Obstacle) -> None:
        log_once(obstacle, _CONSEQUENCE)
        self._admission.has_thread = self._notifier.has_thread = False
        if obstacle is THREAD_REFUSED:
            self._try_at = time.monotonic() + _TRY_AGAIN_SECS
        self.polling = RequestPolling(self._settings, self.poller, self._admission, self._notifier.deliver)
