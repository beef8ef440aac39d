"""Combines a record that the store has lost with the record that it has instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .scope_update import worst
from .values import ScopeRecord, Tombstone


def merge_lost(
    lost: ScopeRecord, stored: ScopeRecord | None, tombstones: Mapping[str, Tombstone]
) -> ScopeRecord:
    """``stored``, with the holds and signals of ``lost`` that it does not have.

    Both may contain acknowledged decisions, so every hold of either one stays.

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
        if source not in signals and not (tombstone and tombstone.ended_at >= signal.since):
            signals[source] = signal
    if signals == stored.signals and stored.manual == (stored.manual or lost.manual):
        return stored
    return replace(
        stored,
        # A scope whose policy is not enabled stays healthy.
        state=worst(signals.values()) if stored.state or lost.state else stored.state,
        signals=signals,
        auto=stored.auto or lost.auto,
        manual=stored.manual or lost.manual,
        episode=stored.episode or lost.episode,
    )
