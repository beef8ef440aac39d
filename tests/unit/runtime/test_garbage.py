"""Garbage collection: the oldest generation is collected only when the process has grown."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from sidecar.runtime.garbage import GarbageCollection, collection_paused, resident_bytes
from sidecar.supervision import Failures

MB = 1_048_576


@pytest.fixture
def generations() -> Iterator[list[int]]:
    seen: list[int] = []

    def note(phase: str, info: dict) -> None:
        if phase == "stop":
            seen.append(info["generation"])

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.unfreeze()


def test_the_oldest_generation_is_collected_only_when_the_process_has_grown(generations: list[int]) -> None:
    used = [100 * MB]
    loop = asyncio.new_event_loop()
    collection = GarbageCollection(loop, Failures(), lambda: used[0])
    try:
        generations.clear()
        kept = [[number] for number in range(200_000)]
        assert len(kept) == 200_000
        assert set(generations) == {0, 1}, "young ones as usual, the oldest not"
        generations.clear()
        for mb in (120, 199, 227):
            used[0] = mb * MB
            collection.check()
        assert 2 not in generations
        used[0] = 229 * MB
        collection.check()
        assert generations.count(2) == 1
        collection.check()
        assert generations.count(2) == 1
    finally:
        before = gc.get_threshold()
        collection.stop()
        loop.close()
    assert gc.get_threshold() != before


def test_the_memory_of_the_process_is_measured() -> None:
    assert resident_bytes() > MB


class Node:
    """Can be part of a cycle."""

    def __init__(self) -> None:
        self.itself = self


def test_objects_created_during_a_gc_pause_are_collected_only_by_a_full_collection(
    generations: list[int],
) -> None:
    used = [100 * MB]
    loop = asyncio.new_event_loop()
    collection = GarbageCollection(loop, Failures(), lambda: used[0])
    try:
        generations.clear()
        with collection_paused():
            cycle = weakref.ref(Node())
            kept = [[number] for number in range(20_000)]
        assert generations == []
        assert gc.isenabled()
        kept += [[number] for number in range(20_000)]
        assert set(generations) == {0, 1}
        assert cycle() is not None
        used[0] = 300 * MB
        collection.check()
        assert cycle() is None
    finally:
        collection.stop()
        loop.close()


def test_a_gc_pause_does_not_enable_a_disabled_collector() -> None:
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
        assert not gc.get_freeze_count()
    finally:
        gc.enable()
