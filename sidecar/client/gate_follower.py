"""The part of a `Gate` that belongs to one process: state, waiters and how the gate is followed."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from random import Random

from sidecar.supervision import Failures

from .admission import AdmissionThread
from .errors import InferencePaused, TooManyWaiting
from .following import Following
from .fork_safety import Flag
from .gate_poller import GatePoller
from .notifier import Callback, ChangeNotifier
from .reporter import Reporter
from .request_counts import RequestCounts
from .settings import Settings
from .snapshot import GateSnapshot, spread_retry_after, spread_turn
from .tracing import WaitSpan
from .waiter_queue import LocalWaiter, WaiterQueue, finish

logger = logging.getLogger("wellbeing.client")

_FIRST_ANSWER_SECS = 2.0
_UNKNOWN_RETRY_SECS = 10
_PARKED_POLL_SECS = 0.5


class GateFollower:
    """Follows a gate in one process, and parks requests while it is closed.

    Args:
        settings: the settings of the gate.
        open_flag: item 0 is 1 while the gate is open and threads keep it up to date. The fast path reads it.
        callbacks: called at each change.

    Attributes:
        counts: the counts of the requests in this process.
        lock: guards everything except the counts.
        decided: set once the gate's state is known, or the setting ``unreachable`` decides.
        snapshot: the last valid snapshot, or None.
    """

    def __init__(self, settings: Settings, open_flag: Flag, callbacks: list[Callback]) -> None:
        self.counts = RequestCounts()
        # Reentrant: a signal handler may interrupt the thread that holds the lock.
        self.lock = threading.RLock()
        self.decided = threading.Event()
        self.snapshot: GateSnapshot | None = None
        self._settings = settings
        self._shared_flag = open_flag
        self._is_open = False
        self._closed = False
        self._at_a_rate = False
        self._queue = WaiterQueue()
        # One random generator per process: forked workers with a shared one would draw the same numbers.
        self._random = Random()  # noqa: S311 - spreads out retries
        self._failures = Failures(logger, "a part of the wellbeing client failed, and continues")
        self._notifier = ChangeNotifier(callbacks, self._failures)
        reporter = Reporter(settings, self.counts)
        self._admission = AdmissionThread(
            settings, reporter, self._waiting_at_a_rate, self._release, self._failures
        )
        self._following = Following(
            settings,
            reporter,
            self._admission,
            self._notifier,
            decided=self.decided,
            on_state=self._on_state,
            failures=self._failures,
        )

    @property
    def poller(self) -> GatePoller:
        """Follows the gate at the sidecar."""
        return self._following.poller

    @property
    def is_open(self) -> bool:
        """Whether the gate is open; while the state is unknown, the setting ``unreachable`` decides."""
        return self._is_open or (not self.decided.is_set() and self._settings.unreachable == "open")

    def start(self) -> None:
        """Begin to follow the gate."""
        self._following.start()

    def refresh(self) -> None:
        """Poll for the state if no thread polls and the last answer is old."""
        if not self._closed and (polling := self._following.check()) is not None:
            polling.refresh_if_old()

    # -- requests ---------------------------------------------------------------------------------

    def wait(self, timeout: float | None, priority: int) -> str:
        """`Gate.enter` at a gate that is not known to be open."""
        secs = self._wait_secs(timeout)
        began = time.monotonic()
        deadline = began + secs
        if self._closed or (polling := self._following.check()) is None:
            self.decided.wait(max(secs, _FIRST_ANSWER_SECS))
        else:
            polling.refresh()
        # Each waiter has its own condition, so that releasing a few does not wake all threads.
        changed = threading.Condition(self.lock)
        waiter = LocalWaiter(priority, changed)
        if not self._park(waiter):
            return ""
        span = WaitSpan(self._failures)
        outcome = "abandoned"
        try:
            span.begin(self._settings.scope, self._closed_because())
            while not waiter.released and (left := deadline - time.monotonic()) > 0:
                pause = self._poll_while_parked(left)
                with changed:
                    if not waiter.released and pause:
                        changed.wait(min(left, pause))
            with self.lock:
                outcome = self._outcome_of(waiter)
                self._unpark(waiter, outcome)
        finally:
            self._unpark(waiter, outcome)
            span.end(outcome)
        if outcome == "timed_out":
            raise self._paused(InferencePaused, secs, priority)
        return waiter.trial

    async def wait_async(self, timeout: float | None, priority: int) -> str:  # noqa: ASYNC109 - as `wait`
        """`Gate.enter_async`, as `wait`."""
        secs = self._wait_secs(timeout)
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + secs
        if not self._closed and (polling := self._following.check()) is not None:
            polling.refresh()
        elif not self.decided.is_set():
            await self._wait_for_first_answer(loop, max(secs, _FIRST_ANSWER_SECS))
        future: asyncio.Future[None] = loop.create_future()
        waiter = LocalWaiter(priority, None, loop, future)
        if not self._park(waiter):
            return ""
        span = WaitSpan(self._failures)
        outcome = "abandoned"
        timer = loop.call_later(max(0.0, deadline - time.monotonic()), finish, future)
        try:
            span.begin(self._settings.scope, self._closed_because())
            while self._may_poll and not future.done():
                await asyncio.wait((future,), timeout=_PARKED_POLL_SECS)
                self._poll_while_parked(0.0)
            await future
            with self.lock:
                outcome = self._outcome_of(waiter)
                self._unpark(waiter, outcome)
        finally:
            timer.cancel()
            self._unpark(waiter, outcome)
            span.end(outcome)
        if outcome == "timed_out":
            raise self._paused(InferencePaused, secs, priority)
        return waiter.trial

    def record_outcome(self, *, succeeded: bool, trial: str) -> None:
        """Count whether an admitted request succeeded. The outcome of a trial is reported at once."""
        if self.counts.record_outcome(succeeded=succeeded, trial=trial):
            if (polling := self._following.polling) is not None:
                polling.report()
            else:
                self._admission.report_outcome()

    @property
    def _may_poll(self) -> bool:
        """Whether a waiting request polls the sidecar, or may have to, because the host stops the threads."""
        return self._following.polling is not None or self._following.is_checked

    def _poll_while_parked(self, secs: float) -> float:
        """For a waiting request: poll if no thread does; return the seconds until the next poll."""
        polling = self._following.polling
        if polling is None:
            return _PARKED_POLL_SECS if self._may_poll else math.inf
        return polling.follow(secs, at_a_rate=self._at_a_rate)

    async def _wait_for_first_answer(self, loop: asyncio.AbstractEventLoop, secs: float) -> None:
        """Wait until the state is known, for at most ``secs`` seconds."""
        future: asyncio.Future[None] = loop.create_future()
        with self.lock:
            if self.decided.is_set():
                return
            self._queue.add_listener(loop, future)
        timer = loop.call_later(secs, finish, future)
        try:
            await future
        finally:
            timer.cancel()
            with self.lock:
                self._queue.remove_listener(future)

    def _park(self, waiter: LocalWaiter) -> bool:
        """Park ``waiter`` if the gate is closed; return whether it is parked.

        Raises:
            TooManyWaiting: ``max_waiting`` requests already wait.
        """
        with self.lock:
            if self.is_open:
                self.counts.passed()
                return False
            # From now on the waiter is woken when the gate opens.
            room = self.counts.block(self._settings.max_waiting)
            if room:
                self._queue.add(waiter)
                if self._at_a_rate:
                    self._admission.wake()
        if not room:
            span = WaitSpan(self._failures)
            span.begin(self._settings.scope, self._closed_because())
            span.end("timed_out")
            raise self._paused(TooManyWaiting, 0.0, waiter.priority)
        return True

    def _unpark(self, waiter: LocalWaiter, outcome: str) -> None:
        """Remove ``waiter``, and count the outcome once."""
        with self.lock:
            if waiter.ended:
                return
            waiter.ended = True
            self._queue.remove(waiter)
            self.counts.end(outcome, time.monotonic() - waiter.began)

    def _outcome_of(self, waiter: LocalWaiter) -> str:
        """How the wait of ``waiter`` has ended. At an open gate with a ramp, no wait times out."""
        return "waited" if waiter.released or self._is_open else "timed_out"

    def _wait_secs(self, timeout: float | None) -> float:
        return float(self._settings.wait_secs) if timeout is None else max(0.0, timeout)

    def _paused(self, kind: type[InferencePaused], waited: float, priority: int) -> InferencePaused:
        snapshot = self.snapshot
        reason = self._closed_because()
        if snapshot is None:
            retry_after = spread_retry_after(_UNKNOWN_RETRY_SECS, self._random)
            return kind(reason, self._settings.scope, "unknown", retry_after, waited)
        if snapshot.is_restricted and (rate := snapshot.admit_per_sec or 0.0) > 0:
            with self.lock:
                ahead = sum(self._queue.parked[priority:])
            retry_after = spread_turn(self._admission.secs_until_turn(ahead, rate), self._random)
        else:
            retry_after = spread_retry_after(snapshot.retry_after(time.time()), self._random)
        return kind(reason, snapshot.scope, snapshot.effective_state, retry_after, waited)

    def _closed_because(self) -> str:
        """The reason of the pause, or why the state is not known."""
        if (snapshot := self.snapshot) is not None:
            return snapshot.reason or "the gate was closed"
        health = self.poller.health
        what = "misconfigured" if health.misconfigured else "unreachable"
        return f"the wellbeing sidecar is {what}: {health.error or 'no answer yet'}"

    # -- changes ----------------------------------------------------------------------------------

    def _on_state(self, is_open: bool, snapshot: GateSnapshot | None, has_ramp: bool = False) -> None:  # noqa: FBT001, FBT002
        """The gate has opened or closed, or its snapshot has changed."""
        with self.lock:
            if self._closed:
                return
            self._set(is_open, snapshot, has_ramp)
            self._notifier.notify(is_open, snapshot)

    def _set(self, is_open: bool, snapshot: GateSnapshot | None, has_ramp: bool) -> None:  # noqa: FBT001
        self.snapshot = snapshot
        self._is_open = is_open
        if self._closed or (self._following.polling is None and not self._following.is_checked):
            self._shared_flag[0] = int(is_open)
        self._at_a_rate = has_ramp if is_open else snapshot is not None and snapshot.is_restricted
        self.decided.set()
        self._queue.notify_listeners()
        if self._at_a_rate:
            if any(self._queue.parked):
                self._admission.wake()
        elif is_open:
            self._release(None, "")

    def _waiting_at_a_rate(self) -> list[int] | None:
        """How many requests wait, by priority; None: no rate limits them."""
        with self.lock:
            return self._queue.parked if self._at_a_rate else None

    def _release(self, most: int | None, trial: str) -> None:
        """Let waiting requests pass; None: all."""
        with self.lock:
            if most is not None and not self._at_a_rate:
                # The gate has closed since these requests were admitted.
                return
            for waiter in self._queue.release(most, trial):
                self._unpark(waiter, "abandoned")

    def close(self) -> None:
        """Open the gate permanently, admit all waiters, and start the last report. Returns at once.

        The waiters are counted here, not when their threads and tasks run again, because the report comes
        first.
        """
        with self.lock:
            if self._closed:
                return
            self._closed = True
            self._set(is_open=True, snapshot=self.snapshot, has_ramp=False)
            for waiter in self._queue:
                self._unpark(waiter, self._outcome_of(waiter))
            self._notifier.notify(True, self.snapshot)
            self._notifier.stop()
        self._admission.stop()
        self._following.close()
