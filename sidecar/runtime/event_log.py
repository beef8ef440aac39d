"""Counts and logs what changed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable

from sidecar.clock import rfc3339
from sidecar.core.commands import CommandOutcome
from sidecar.core.events import HoldLifted, HoldPut, StateChanged
from sidecar.gates.counters import Counters
from sidecar.gates.tree import GateTree
from sidecar.store.entries import Entry, entries_of

logger = logging.getLogger("sidecar.journal")

_AFTER_SECS = 0.001
_AT_ONCE = 8
_MAX_UNLOGGED = 500


class EventLog:
    """Every intervention, pause and resume: one count and one line.

    Lines are written a few at a time, once those whom they concern were answered: one takes as long as ten
    answers.

    Args:
        counters: the process's.
        loop: lets lines be written later.
    """

    def __init__(self, counters: Counters, loop: asyncio.AbstractEventLoop) -> None:
        self._counters = counters
        self._loop = loop
        self._unlogged: deque[Entry] = deque()
        self._writing: asyncio.TimerHandle | None = None

    def count(self, outcomes: Iterable[CommandOutcome], tree: GateTree, now: float) -> None:
        """Count the events on their scopes' gates; ``now`` is wall time."""
        for outcome in outcomes:
            for event in outcome.events:
                gate = tree.gates.get(event.scope)
                if gate is None:
                    continue
                if isinstance(event, StateChanged):
                    gate.interventions += 1
                elif isinstance(event, HoldPut) and event.paused:
                    gate.pauses[event.hold.kind.value] += 1
                    self._react(event, tree, now)
                elif isinstance(event, HoldLifted) and event.resumed:
                    gate.resumes[event.cause.value] += 1

    def log(self, outcomes: Iterable[CommandOutcome]) -> None:
        """Write a line for each intervention, pause and resume, soon."""
        for outcome in outcomes:
            self._unlogged += entries_of(outcome.events)
        while len(self._unlogged) > _MAX_UNLOGGED:
            _write(self._unlogged.popleft())
        if self._unlogged and self._writing is None:
            self._writing = self._loop.call_later(_AFTER_SECS, self._go_on)

    def flush(self) -> None:
        """Write what is to be written now."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        while self._unlogged:
            _write(self._unlogged.popleft())

    def _go_on(self) -> None:
        try:
            for _ in range(min(_AT_ONCE, len(self._unlogged))):
                _write(self._unlogged.popleft())
        except Exception:  # noqa: BLE001 - recorded; the lines that follow are written all the same
            self._counters.task_failures.record("event_log")
        more = bool(self._unlogged)
        self._writing = self._loop.call_later(_AFTER_SECS, self._go_on) if more else None

    def _react(self, event: HoldPut, tree: GateTree, now: float) -> None:
        signal = tree.gates[event.scope].record.signals.get(event.hold.by)
        if signal is None or signal.ended_at is not None:
            # One with an end is put back, because its resolve is not accepted.
            return
        if signal.kind == "alert" and signal.since <= now:
            self._counters.reaction.observe(now - signal.since)


def _write(entry: Entry) -> None:
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
