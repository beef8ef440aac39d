"""A record that the store has lost is merged with the record that the store has now."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from sidecar.core.lost_records import merge_lost
from sidecar.core.state import WellbeingState
from sidecar.core.values import Hold, HoldKind, ScopeRecord, Signal, Tombstone

CLAIM = Signal("agent:a", WellbeingState.CONCERNED, "", since=100.0, expires_at=200.0)


def record(signal: Signal) -> ScopeRecord:
    return ScopeRecord(state=signal.state, signals={signal.source: signal})


@pytest.mark.parametrize(
    "newer",
    [
        replace(CLAIM, since=101.0, expires_at=None, state=WellbeingState.CAUTIOUS),
        replace(CLAIM, expires_at=201.0, state=WellbeingState.CAUTIOUS),
        replace(CLAIM, state=WellbeingState.DISTRESSED),
        replace(CLAIM, expires_at=None, state=WellbeingState.DISTRESSED),
    ],
)
def test_the_newer_or_worse_claim_of_a_source_stays(newer: Signal) -> None:
    for lost, stored in ((CLAIM, newer), (newer, CLAIM)):
        merged = merge_lost(record(lost), record(stored), {})
        assert merged == record(newer)


def test_a_lost_alert_that_has_ended_does_not_come_back() -> None:
    alert = replace(CLAIM, source="alert:x")
    ended = {"alert:x": Tombstone(150.0, 300.0)}
    assert merge_lost(record(alert), record(CLAIM), ended) == record(CLAIM)
    assert merge_lost(record(alert), record(CLAIM), {}).signals == {"alert:x": alert, "agent:a": CLAIM}


def test_the_operators_hold_that_ends_later_stays() -> None:
    holds = [Hold(HoldKind.MANUAL, "x", 100.0, until, "me") for until in (130.0, 160.0, None)]
    records = [ScopeRecord(manual=hold) for hold in holds]
    for shorter, longer in combinations(records, 2):
        assert merge_lost(shorter, longer, {}) == longer
        assert merge_lost(longer, shorter, {}) == longer
        assert merge_lost(longer, record(CLAIM), {}).manual == longer.manual
