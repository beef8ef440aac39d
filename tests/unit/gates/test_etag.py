"""ETags of sidecars that share a store: a client may move from one to another."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.values import EMPTY, Hold, HoldKind, ScopeRecord
from sidecar.gates.counters import Counters
from sidecar.gates.etag import etag_of, is_current
from sidecar.gates.gate import ScopeGate
from sidecar.gates.snapshot import snapshot_of
from sidecar.gates.tree import GateTree
from sidecar.gates.waiting_room import WaitingRoom

PAUSED = ScopeRecord(manual=Hold(HoldKind.MANUAL, "x", 100.0, None, "me"))


def gate_of(number: int, *records: ScopeRecord, step: int = 1 << 12) -> ScopeGate:
    """The gate of a scope at sidecar ``number``, which has shown ``records``."""

    async def main() -> ScopeGate:
        room = WaitingRoom(asyncio.get_running_loop(), Counters())
        tree = GateTree(PolicyTable(Policy()), (1 << 30) * step + number, room, step)
        for record in (EMPTY, *records):
            tree.update({"team": record}, 1.0)
        return tree.gates["team"]

    return asyncio.run(main())


def tag_of(gate: ScopeGate) -> str:
    return etag_of(gate, snapshot_of(gate))


def test_a_tag_of_another_sidecar_with_the_same_snapshot_is_current() -> None:
    here, there = gate_of(1, PAUSED), gate_of(2, EMPTY, PAUSED)
    assert here.version != there.version
    assert is_current([tag_of(there)], here, None)
    assert is_current(['"1"', f" W/{tag_of(there)}"], here, None)


def test_a_tag_of_another_sidecar_with_another_snapshot_is_not_current() -> None:
    later = replace(PAUSED, manual=Hold(HoldKind.MANUAL, "x", 101.0, None, "me"))
    assert not is_current([tag_of(gate_of(2))], gate_of(1, PAUSED), None)
    assert not is_current([tag_of(gate_of(2, PAUSED))], gate_of(1, later), None)


def test_an_older_tag_of_the_same_sidecar_is_never_current() -> None:
    before, after = gate_of(1), gate_of(1, PAUSED, EMPTY)
    assert replace(snapshot_of(before), version=0) == replace(snapshot_of(after), version=0)
    assert not is_current([tag_of(before)], after, None)
    assert is_current([tag_of(after)], after, None)


def test_without_a_fleet_the_tag_is_the_version() -> None:
    gate = gate_of(0, PAUSED, step=1)
    assert tag_of(gate) == f'"{gate.version}"'
    assert is_current([tag_of(gate)], gate, None)
    assert not is_current([tag_of(gate_of(3, PAUSED))], gate, None)


def test_an_invalid_tag_is_not_current() -> None:
    gate = gate_of(1)
    for text in ("", '"', '""', "-", '"-"', "x-y", f"{gate.version}", '"²-00000000"'):
        assert not is_current([text], gate, None), text
    assert is_current(["*"], gate, None)


def test_a_tag_that_no_sidecar_sends_is_not_current() -> None:
    gate = gate_of(1)
    digest = tag_of(gate_of(2)).partition("-")[2].strip('"')
    others = ("", '"', '""', "-", '"-"', f'"{"9" * 5000}-{digest}"', f'"x-{digest}"', f'"-{digest}"')
    assert not any(is_current([tag], gate, None) for tag in others)
