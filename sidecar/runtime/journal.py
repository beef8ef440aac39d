"""Counts and logs what changed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable

from sidecar.core.changes import HoldLifted, HoldPut, Intervened
from sidecar.core.draft import Outcome
from sidecar.store.entries import Entry, entries_of

from .clock import rfc3339
from .counters import Counters
from .tree import Tree

logger = logging.getLogger("sidecar.journal")

_AFTER_SECS = 0.001
_AT_ONCE = 8
_MAX_UNLOGGED = 500


class Journal:
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

    def count(self, outcomes: Iterable[Outcome], tree: Tree, now: float) -> None:
        """Count the changes on their scopes' gates; ``now`` is wall time."""
        for outcome in outcomes:
            for change in outcome.changes:
                gate = tree.gates.get(change.scope)
                if gate is None:
                    continue
                if isinstance(change, Intervened):
                    gate.interventions += 1
                elif isinstance(change, HoldPut) and change.paused:
                    gate.pauses[change.hold.kind.value] += 1
                    self._react(change, tree, now)
                elif isinstance(change, HoldLifted) and change.resumed:
                    gate.resumes[change.cause.value] += 1

    def log(self, outcomes: Iterable[Outcome]) -> None:
        """Write a line for each intervention, pause and resume, soon."""
        for outcome in outcomes:
            self._unlogged += entries_of(outcome.changes)
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
        for _ in range(min(_AT_ONCE, len(self._unlogged))):
            _write(self._unlogged.popleft())
        more = bool(self._unlogged)
        self._writing = self._loop.call_later(_AFTER_SECS, self._go_on) if more else None

    def _react(self, change: HoldPut, tree: Tree, now: float) -> None:
        signal = tree.gates[change.scope].record.signals.get(change.hold.by)
        if signal is not None and signal.kind == "alert" and signal.since <= now:
            self._counters.reaction.observe(now - signal.since)


def _write(entry: Entry) -> None:
    fields: dict[str, object] = {
        "scope": entry.scope,
        "from": entry.old,
        "to": entry.new,
        "source": entry.source,
        "reason": entry.reason,
    }
    if entry.actor:
        fields["actor"] = entry.actor
    if entry.cause:
        fields["cause"] = entry.cause
    if entry.until is not None:
        fields["until"] = rfc3339(entry.until)
    logger.info(entry.kind, extra={"fields": fields, "at": entry.at})
