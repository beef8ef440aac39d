"""History entries in words."""

from __future__ import annotations

from sidecar.store import HistoryEntry

_WORDS = {
    "pause": "paused",
    "resume": "resumed",
    "hold": "another hold",
    "lift": "a hold ended",
    "advice": "a pause is advised",
    "advice_ended": "advice ended",
}
_CAUSES = {
    "recovered": "recovered",
    "max_pause": "longest pause is over",
    "expired": "signals expired",
    "policy": "the policy changed",
    "trial_failed": "a trial failed",
}


def event_words(entry: HistoryEntry) -> str:
    """The event of the entry in words."""
    what = _WORDS.get(entry.kind)
    if what is None:
        prefix = "" if entry.kind == "intervention" else f"{entry.kind}: "
        return f"{prefix}{entry.old} to {entry.new}"
    cause = _CAUSES.get(entry.cause, "")
    return f"{what}: {cause}" if cause else what


def cause_words(entry: HistoryEntry) -> str:
    """The person or program that caused the entry."""
    source = f"{entry.alertname} ({entry.source})" if entry.alertname else entry.source
    return f"{source}, {entry.actor}" if entry.actor and entry.actor != entry.source else source
