"""Counts and logs what changed."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sidecar.core.changes import Change, HoldLifted, HoldPut, Intervened
from sidecar.core.world import Outcome

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
            for change in outcome.changes:
                line = _line(change)
                if line is not None:
                    event, fields = line
                    logger.info(event, extra={"fields": fields})

    def _react(self, change: HoldPut, tree: Tree, now: float) -> None:
        signal = tree.gates[change.scope].record.signals.get(change.hold.by)
        if signal is not None and signal.kind == "alert" and signal.since <= now:
            self._counters.reaction.observe(now - signal.since)


def _line(change: Change) -> tuple[str, dict[str, object]] | None:
    match change:
        case Intervened():
            return "intervention", {
                "scope": change.scope,
                "from": change.old.label,
                "to": change.new.label,
                "source": change.source,
                "reason": change.reason,
            }
        case HoldPut():
            until = change.hold.until
            return "pause" if change.paused else "hold", {
                "scope": change.scope,
                "from": "open" if change.paused else "closed",
                "to": "closed",
                "source": change.hold.by,
                "reason": change.hold.reason,
                "cause": change.hold.kind.value,
                "until": None if until is None else rfc3339(until),
            }
        case HoldLifted():
            return "resume" if change.resumed else "lift", {
                "scope": change.scope,
                "from": "closed",
                "to": "open" if change.resumed else "closed",
                "source": change.by,
                "reason": change.reason,
                "cause": change.cause.value,
                "paused_secs": round(change.at - change.hold.since, 3),
            }
    return None
