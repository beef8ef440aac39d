"""Counts and logs what changed."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sidecar.core.changes import HoldLifted, HoldPut, Intervened
from sidecar.core.draft import Outcome
from sidecar.store.entries import entries_of

from .clock import rfc3339
from .counters import Counters
from .tree import Tree

logger = logging.getLogger("sidecar.journal")


class Journal:
    """Every intervention, pause and resume: one count and one line."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

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
        """Write a line for each intervention, pause and resume."""
        for outcome in outcomes:
            for entry in entries_of(outcome.changes):
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
                logger.info(entry.kind, extra={"fields": fields})

    def _react(self, change: HoldPut, tree: Tree, now: float) -> None:
        signal = tree.gates[change.scope].record.signals.get(change.hold.by)
        if signal is not None and signal.kind == "alert" and signal.since <= now:
            self._counters.reaction.observe(now - signal.since)
