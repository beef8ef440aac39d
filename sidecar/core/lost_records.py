"""Merges a record that the store has lost with the record that the store has now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .scope_update import worst
from .values import Hold, ScopeRecord, Signal, Tombstone


def merge_lost(
    lost: ScopeRecord, stored: ScopeRecord | None, tombstones: Mapping[str, Tombstone]
) -> ScopeRecord:
    """``stored`` with the holds and signals that only ``lost`` has.

    Both may contain acknowledged decisions, so every hold of either one stays. Of two signals of one source,
    the newer one stays. Of two holds of operators, the hold that ends later stays.

    Args:
        lost: the record that was applied here and that the store no longer has.
        stored: the record of the store; None: it has none.
        tombstones: the ended alerts; their signals do not come back.
    """
    if stored is None or stored == ScopeRecord():
        return lost
    signals = dict(stored.signals)
    for source, signal in lost.signals.items():
        tombstone = tombstones.get(source)
        if source in signals:
            signals[source] = _newer(signals[source], signal)
        elif not (tombstone and tombstone.ended_at >= signal.since):
            signals[source] = signal
    manual = _longer(stored.manual, lost.manual)
    if signals == stored.signals and stored.manual == manual:
        return stored
    return replace(
        stored,
        # A scope whose policy is not enabled stays healthy.
        state=worst(signals.values()) if stored.state or lost.state else stored.state,
        signals=signals,
        auto=stored.auto or lost.auto,
        manual=manual,
        episode=stored.episode or lost.episode,
    )


def _newer(one: Signal, other: Signal) -> Signal:
    """The newer of two signals of one source; if the order is not known, the signal with the worse state."""
    if one.since != other.since:
        return max(one, other, key=lambda signal: signal.since)
    if one.expires_at is not None and other.expires_at is not None and one.expires_at != other.expires_at:
        return one if one.expires_at > other.expires_at else other
    return max(one, other, key=lambda signal: signal.state)


def _longer(one: Hold | None, other: Hold | None) -> Hold | None:
    """The hold that ends later."""
    if one is None or other is None:
        return one or other
    if one.until is None or (other.until is not None and one.until >= other.until):
        return one
    return other
