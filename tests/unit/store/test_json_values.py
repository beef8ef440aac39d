"""Values survive a round trip through JSON; members that a newer version added are written back unchanged."""

from __future__ import annotations

import dataclasses
import json

from sidecar.core.state import WellbeingState
from sidecar.core.values import Episode, Hold, HoldKind, LiftCause, ScopeRecord, Signal
from sidecar.store import LostCommit
from sidecar.store.json_values import decode, encode
from sidecar.store.redis.records import RecordTexts

HOLD = Hold(HoldKind.MANUAL, "why", 1_800_000_000.123456, None, "me")
RECORD = ScopeRecord(
    state=WellbeingState.DISTRESSED,
    signals={"alert:f": Signal("alert:f", WellbeingState.DISTRESSED, "\ud800 é", 1.5, 2.5, alertname="A")},
    manual=HOLD,
    episode=Episode(1.0, WellbeingState.DISTRESSED, frozenset({"a", "b"}), True, 2.0, LiftCause.MAX_PAUSE),
)


def test_a_record_is_stored_without_loss_of_precision() -> None:
    assert decode(ScopeRecord, json.loads(json.dumps(encode(RECORD)))) == RECORD


def test_every_attribute_of_a_record_can_be_stored() -> None:
    for kind in (ScopeRecord, Signal, Hold, Episode):
        for field in dataclasses.fields(kind):
            assert decode(kind, encode(_sample(kind))) is not None, field.name


def _sample(kind: type) -> object:
    found = {ScopeRecord: RECORD, Signal: RECORD.signals["alert:f"], Hold: HOLD, Episode: RECORD.episode}
    return found[kind]


def test_signals_that_a_commit_repeats_are_not_converted_again() -> None:
    texts = RecordTexts()
    signals = {f"agent:{n}": Signal(f"agent:{n}", WellbeingState.CAUTIOUS, "x", 1.0) for n in range(20)}

    def read(record: ScopeRecord) -> ScopeRecord:
        return texts.record_of("team", json.loads(json.dumps(texts.members_of("team", record, None))))[0]

    first = read(dataclasses.replace(RECORD, signals=signals))
    del signals["agent:3"]
    signals["agent:4"] = Signal("agent:4", WellbeingState.CONCERNED, "y", 2.0)
    wanted = dataclasses.replace(RECORD, signals=signals)
    second = read(wanted)
    assert second == wanted
    kept = [source for source, signal in second.signals.items() if signal is first.signals[source]]
    assert len(kept) == 18


def test_unknown_members_are_written_back() -> None:
    texts = RecordTexts()
    members = texts.members_of("team", RECORD, LostCommit("e", 5))
    members["new"] = [1]
    members["manual"]["colour"] = "red"
    members["signals"]["alert:f"]["weight"] = 7
    record, lost_commit = texts.record_of("team", json.loads(json.dumps(members)))
    assert record == RECORD
    assert lost_commit == LostCommit("e", 5)
    again = texts.members_of("team", record, None)
    assert again["new"] == [1]
    assert again["manual"]["colour"] == "red"
    assert again["signals"]["alert:f"]["weight"] == 7
