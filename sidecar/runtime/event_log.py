"""Counts events, and logs each intervention, pause and resume."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from sidecar.clock import rfc3339
from sidecar.core.commands import CommandOutcome
from sidecar.core.events import CoreEvent, HoldLifted, HoldPut, StateChanged
from sidecar.gates.counters import Counters
from sidecar.gates.tree import GateTree
from sidecar.store.entries import HistoryEntry, entries_of
from sidecar.supervision import run_thread_supervised

logger = logging.getLogger("sidecar.journal")

_COUNTED_AT_ONCE = 8
_PAUSE_SECS = 0.001
_BATCH_SIZE = 8
_MAX_UNLOGGED = 100_000
_FLUSH_SECS = 10.0


class EventLog:
    """Counts and logs every intervention, pause and resume.

    A thread writes the lines, in order, a few at a time, so that ten thousand lines or a slow log reader do
    not block the event loop. Up to 100,000 events wait to be written. Beyond that, the oldest are dropped,
    which is logged. The history has all of them.

    Args:
        counters: the counters of the process.
        defer: calls a function later in the thread that logs, so that responses are sent before lines.
    """

    def __init__(self, counters: Counters, defer: Callable[[Callable[[], None]], object]) -> None:
        self._counters = counters
        self._defer = defer
        self._is_deferred = False
        self._unlogged: deque[CoreEvent] = deque(maxlen=_MAX_UNLOGGED)
        self._dropped = 0
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def count(self, outcomes: Iterable[CommandOutcome], tree: GateTree, now: float) -> Iterator[None]:
        """Count the events at the gates of their scopes, a few per step; ``now`` is wall time."""
        events = chain.from_iterable(outcome.events for outcome in outcomes)
        for number, event in enumerate(events, 1):
            if number % _COUNTED_AT_ONCE == 0:
                yield
            gate = tree.gates.get(event.scope)
            if gate is None:
                continue
            if isinstance(event, StateChanged):
                gate.interventions += 1
            elif isinstance(event, HoldPut) and event.paused:
                gate.pauses[event.hold.cause] += 1
                self._observe_reaction(event, tree, now)
            elif isinstance(event, HoldPut) and event.hold.advised:
                gate.advised_pauses += 1
            elif isinstance(event, HoldLifted) and event.resumed:
                gate.resumes[event.cause.value] += 1

    def log(self, outcomes: Iterable[CommandOutcome]) -> None:
        """Queue a log line for each event of ``outcomes`` that the history keeps."""
        unlogged = self._unlogged
        for outcome in outcomes:
            self._dropped += max(0, len(unlogged) + len(outcome.events) - _MAX_UNLOGGED)
            unlogged.extend(outcome.events)
        if unlogged and not self._is_deferred:
            self._is_deferred = True
            self._defer(self._wake_thread)

    def _wake_thread(self) -> None:
        self._is_deferred = False
        if self._thread is None and not self._stopped.is_set():
            self._thread = threading.Thread(target=self._run, name="event_log", daemon=True)
            self._thread.start()
        self._wake.set()

    def stop(self) -> None:
        """Start no thread from now on. Called in the thread that logs, before `flush`."""
        self._stopped.set()
        self._wake.set()

    def flush(self) -> None:
        """Write the remaining lines, after `stop`. Call it in another thread: it can take `_FLUSH_SECS`."""
        if self._thread is not None:
            self._thread.join(_FLUSH_SECS)
            if self._thread.is_alive():
                # The reader of the log is stuck. The process must still be able to exit.
                return
        while self._unlogged:
            self._write_some()

    def _observe_reaction(self, event: HoldPut, tree: GateTree, now: float) -> None:
        signal = tree.gates[event.scope].record.signals.get(event.hold.by)
        if signal is None or signal.ended_at is not None:
            # A restored signal has an end, because its resolve is not accepted yet. It is not a new signal.
            return
        if signal.kind == "alert" and signal.since <= now:
            self._counters.reaction.observe(now - signal.since)

    # -- in the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        run_thread_supervised("event_log", self._write, self._counters.task_failures, self._stopped)

    def _write(self) -> None:
        while not self._stopped.is_set():
            if not self._unlogged:
                # Do not wait after a failed line: the other lines are already queued.
                self._wake.wait()
            self._wake.clear()
            while self._unlogged:
                self._write_some()
                if not self._stopped.is_set():
                    time.sleep(_PAUSE_SECS)

    def _write_some(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            logger.warning("events_not_logged", extra={"fields": {"events": dropped}})
        for entry in entries_of(self._take_some()):
            _write(entry)

    def _take_some(self) -> Iterator[CoreEvent]:
        for _ in range(_BATCH_SIZE):
            try:
                yield self._unlogged.popleft()
            except IndexError:
                return


def _write(entry: HistoryEntry) -> None:
    fields: dict[str, object] = {
        "scope": entry.scope,
        "from": entry.old,
        "to": entry.new,
        "source": entry.source,
        "reason": entry.reason,
    }
    if entry.alertname:
        fields["alertname"] = entry.alertname
    if entry.actor:
        fields["actor"] = entry.actor
    if entry.cause:
        fields["cause"] = entry.cause
    if entry.until is not None:
        fields["until"] = rfc3339(entry.until)
    logger.info(entry.kind, extra={"fields": fields, "at": entry.at})
