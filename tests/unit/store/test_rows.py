"""Database rows have all of a record, and their texts are the JSON that `json.dumps` writes."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from sidecar.core.state import WellbeingState
from sidecar.core.values import (
    AdviceCause,
    Episode,
    Hold,
    HoldKind,
    LiftCause,
    Restriction,
    ScopeRecord,
    Signal,
    Trial,
)
from sidecar.store.rows import record_of, scope_row

ODD = 'quotes " and \\, a line\nbreak, é, \U0001f600, \x00, \ud800'
PLAIN = Hold(HoldKind.AUTO, "r", 1.5, None, "alert:1")
FULL = Hold(HoldKind.MANUAL, ODD, 1_764_310_000.123456, 1e300, ODD, ODD, AdviceCause.MUTED, 3)
EPISODE = Episode(
    0.1, WellbeingState.DISTRESSED, frozenset({"b", ODD, "a"}), True, 2.5, LiftCause.POLICY, True
)
SIGNALS = {"alert:1": Signal("alert:1", WellbeingState.DISTRESSED, "r", 1.5)}


@pytest.mark.parametrize(
    "record",
    [
        ScopeRecord(),
        ScopeRecord(
            WellbeingState.DISTRESSED, SIGNALS, PLAIN, FULL, EPISODE, Restriction(2.5, ODD, 1.0, ODD)
        ),
        ScopeRecord(auto=FULL, episode=Episode(3, WellbeingState.CONCERNED, frozenset())),
        ScopeRecord(trial=Trial(3, 1.0, 2.0, FULL)),
        ScopeRecord(auto=Hold(HoldKind.AUTO, "r", 0.0, float("inf"), "by")),
    ],
)
def test_a_record_is_read_back_as_it_was_written(record: ScopeRecord) -> None:
    scope, *row = scope_row("a/b", record)
    assert scope == "a/b"
    assert record_of(tuple(row), dict(record.signals)) == record
    for text in row[1:]:
        assert text is None or json.dumps(json.loads(text)) == text


def test_the_texts_have_every_member() -> None:
    *_, manual, episode, _, _ = scope_row("a", ScopeRecord(auto=PLAIN, manual=FULL, episode=EPISODE))
    assert list(json.loads(manual)) == [one.name for one in fields(Hold)]
    assert list(json.loads(episode)) == [one.name for one in fields(Episode)]
