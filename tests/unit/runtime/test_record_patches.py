"""A commit announces only the changes of a record with many signals."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from harness.shared_store import SharedData, SharedMemoryStore
from harness.virtual_time import VirtualClock, run_virtual
from sidecar.core.commands import ClaimState, Pause, Resume
from sidecar.core.policy import PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.values import ScopeRecord, Signal
from sidecar.runtime.fleet_controller import FleetController
from sidecar.runtime.record_patches import complete, patches_of
from sidecar.store import Batch, LostCommit, Position
from sidecar.store.redis.records import RecordTexts


def signals(*names: str, since: float = 1.0) -> dict[str, Signal]:
    return {name: Signal(f"agent:{name}", WellbeingState.CAUTIOUS, "x", since) for name in names}


BEFORE = ScopeRecord(WellbeingState.CAUTIOUS, signals(*"abcdefghij"))
AFTER = replace(
    BEFORE,
    signals={
        name: one
        for name, one in (BEFORE.signals | signals("b", since=2.0) | signals("new")).items()
        if name != "a"
    },
)


def patched(**options: object) -> dict:
    defaults = {"owed": (), "restored": {}}
    return patches_of({"team": BEFORE}, {"team": AFTER}, {"team": 7}, **(defaults | options))


def announced(texts: RecordTexts) -> str:
    """The announcement of the commit that changes the record."""
    patches = patched()
    batch = Batch({"team": AFTER, "gone": None}, {}, (), at=5.0, patches=patches)
    return texts.texts_of(batch).announced


def test_an_announcement_applied_to_the_previous_record_gives_the_new_record() -> None:
    text = announced(RecordTexts())
    assert json.loads(text)["records"]["team"]["signals"].keys() == {"b", "new"}
    change = RecordTexts().change_of(Position("e", 8, "t"), text)
    whole = complete(change, lambda scope: (7, BEFORE), ())
    assert whole is not None
    assert whole.records == {"team": AFTER, "gone": None}


def test_an_announcement_that_does_not_fit_is_not_applied() -> None:
    change = RecordTexts().change_of(Position("e", 8, "t"), announced(RecordTexts()))
    assert complete(change, lambda scope: (6, BEFORE), ()) is None
    assert complete(change, lambda scope: (7, None), ()) is None
    assert complete(change, lambda scope: (7, BEFORE), {"team"}) is None


def test_a_record_is_announced_whole_if_a_patch_is_not_safe_or_not_shorter() -> None:
    assert patched().keys() == {"team"}
    assert not patched(owed={"team"})
    assert not patched(restored={"team": LostCommit("e", 1)})
    few = replace(BEFORE, signals=signals(*"abc"))
    assert not patches_of({"team": few}, {"team": AFTER}, {"team": 7}, owed=(), restored={})
    renewed = replace(BEFORE, signals=signals(*"abcdefghij", since=3.0))
    assert not patches_of({"team": BEFORE}, {"team": renewed}, {"team": 7}, owed=(), restored={})
    assert not patches_of({"team": BEFORE}, {"team": AFTER}, {}, owed=(), restored={})


def test_members_of_a_newer_version_are_never_lost_by_a_patch() -> None:
    texts = RecordTexts()
    texts.record_of("team", {"signals": {}, "future": 1})
    assert announced(texts) == ""
    text = announced(RecordTexts())
    with pytest.raises(KeyError):
        texts.change_of(Position("e", 8, "t"), text)
    newer = text.replace('"state":', '"future":1,"state":', 1)
    with pytest.raises(KeyError):
        RecordTexts().change_of(Position("e", 8, "t"), newer)


@pytest.mark.parametrize("missed", [0, 1])
def test_a_sidecar_with_another_version_reads_the_record_from_the_log(missed: int) -> None:
    async def main() -> None:
        data = SharedData()
        clock = VirtualClock(asyncio.get_running_loop())
        stores = [SharedMemoryStore(data, number) for number in range(2)]
        one, two = (FleetController(PolicyTable(), store, clock=clock) for store in stores)
        for each in (one, two):
            await each.start()
        for number in range(12):
            await one.submit(ClaimState("team", f"agent:{number}", WellbeingState.CAUTIOUS))
        await asyncio.sleep(1.0)
        assert two.core_state.records == one.core_state.records
        two._replica._scopes["team"] -= missed
        reads: list[Position] = []
        read_log = stores[1].read_log
        stores[1].read_log = lambda position: reads.append(position) or read_log(position)
        await one.submit(Pause("team", "x", "me"))
        await asyncio.sleep(0.0)
        assert two.tree.gates["team"].closed or missed
        await asyncio.sleep(1.0)
        assert len(reads) == missed
        # The version is known again.
        await one.submit(Resume("team", "me"))
        await one.submit(ClaimState("team", "agent:3", WellbeingState.HEALTHY))
        await asyncio.sleep(1.0)
        assert len(reads) == missed
        assert two.core_state.records == one.core_state.records
        assert not two.tree.gates["team"].closed
        assert not sum(two.counters.task_failures.counts.values())
        assert not two._fleet.loads
        for each in (one, two):
            await each.stop()

    run_virtual(main)
