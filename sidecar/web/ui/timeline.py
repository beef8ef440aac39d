"""The last day of a scope as spans of time, from its history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sidecar.store import HistoryEntry, HistoryQuery

from .wording import count_words, duration_words

DAY_SECS = 86_400.0
MAX_ENTRIES = 400
"""The most history entries of one scope that a timeline reads."""

_WIDTH = 1440
_TRACKS = (
    ("Gate", ("pause", "resume"), ("open",)),
    ("Advice", ("advice", "advice_ended"), ("none",)),
    ("Restriction", ("restriction",), ("unrestricted",)),
    ("Trial", ("trial",), ("open", "closed")),
    ("Own state", ("intervention",), ("healthy",)),
)


@dataclass(frozen=True, slots=True)
class Span:
    """A time with one value.

    Attributes:
        begin: seconds since the epoch.
        end: seconds since the epoch.
        value: the value, such as ``closed``.
        x: where the span begins on an axis of 1440 units.
        width: how long it is on that axis.
    """

    begin: float
    end: float
    value: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Track:
    """One line of a timeline.

    Attributes:
        name: what it shows.
        spans: the spans in which the value is not the usual one.
        words: the spans in words.
    """

    name: str
    spans: list[Span]
    words: str


def query_for(scope: str, now: float) -> HistoryQuery:
    """The query for the entries of the timeline of ``scope``."""
    kinds = tuple(kind for _, kinds, _ in _TRACKS for kind in kinds)
    return HistoryQuery(scope=scope, below=False, kinds=kinds, since=now - DAY_SECS, limit=MAX_ENTRIES)


def tracks_of(
    entries: Sequence[HistoryEntry], above: Iterable[tuple[str, Sequence[HistoryEntry]]],
    current: dict[str, str], now: float,
) -> list[Track]:  # fmt: skip
    """The tracks of a scope, without tracks that have no change.

    Args:
        entries: the answer to `query_for`, newest first.
        above: the ancestors of the scope, each with its entries.
        current: the current value of each track; the track of an ancestor is ``Gate of SCOPE``.
        now: the end of the timeline, seconds since the epoch.
    """
    tracks = [
        _track(name, entries, kinds, usual, value=current[name], now=now) for name, kinds, usual in _TRACKS
    ]
    for scope, theirs in above:
        name = f"Gate of {scope or 'the root'}"
        tracks.append(_track(name, theirs, ("pause", "resume"), ("open",), value=current[name], now=now))
    return [track for track in tracks if track.spans]


def _track(
    name: str,
    entries: Sequence[HistoryEntry],
    kinds: tuple[str, ...],
    usual: tuple[str, ...],
    *,
    value: str,
    now: float,
) -> Track:
    changes = [entry for entry in reversed(entries) if entry.kind in kinds]
    # If not all entries were read, the state before the oldest one read is unknown.
    begin = changes[0].at if changes and len(entries) >= MAX_ENTRIES else now - DAY_SECS
    value = changes[0].old if changes else value
    spans = []
    for entry in changes:
        spans.append(_span(begin, entry.at, value, now))
        begin, value = entry.at, entry.new
    spans.append(_span(begin, now, value, now))
    spans = [span for span in spans if span.value not in usual and span.end > span.begin]
    return Track(name, spans, _words(spans))


def _span(begin: float, end: float, value: str, now: float) -> Span:
    start = now - DAY_SECS
    begin, end = max(begin, start), max(end, start)
    x = (begin - start) / DAY_SECS * _WIDTH
    # A span shorter than two units would be invisible.
    width = max(2.0, (end - begin) / DAY_SECS * _WIDTH) if end > begin else 0.0
    return Span(begin, end, value, round(min(x, _WIDTH - 2), 1), round(width, 1))


def _words(spans: Iterable[Span]) -> str:
    totals: dict[str, tuple[int, float]] = {}
    for span in spans:
        times, secs = totals.get(span.value, (0, 0.0))
        totals[span.value] = (times + 1, secs + span.end - span.begin)
    parts = [
        f"{value} {count_words(times, 'time')}, {duration_words(secs)} in all"
        for value, (times, secs) in totals.items()
    ]
    return "; ".join(parts)
