"""Garbage collection: each collection looks at few objects, and frozen objects are collected only if necessary."""

from __future__ import annotations

import asyncio
import gc
import math
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.runtime.garbage import (
    GarbageCollection,
    collection_paused,
    memory_limit_bytes,
    resident_bytes,
)
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


class Node:
    """Can be part of a cycle."""

    def __init__(self) -> None:
        self.itself = self


@contextmanager
def collecting(used: list[int], limit: float = math.inf) -> Iterator[GarbageCollection]:
    """A garbage collection of a process that uses ``used[0]`` bytes and may use ``limit`` bytes."""
    before = gc.get_threshold()
    loop = asyncio.new_event_loop()
    collection = GarbageCollection(loop, Failures(), lambda: used[0], limit)
    try:
        assert gc.get_threshold() != before
        yield collection
    finally:
        collection.stop()
        loop.close()
    assert gc.get_threshold() == before


def test_no_collection_looks_at_more_than_a_bounded_number_of_objects(generations: list[int]) -> None:
    looked_at = [0]

    def note(phase: str, info: dict) -> None:
        if phase == "start":
            looked_at.append(len(gc.get_objects()))

    with collecting([100 * MB]):
        gc.callbacks.append(note)
        try:
            kept = [[number] for number in range(200_000)]
        finally:
            gc.callbacks.remove(note)
        assert len(kept) == 200_000
        assert set(generations) == {0, 1, 2}
        assert max(looked_at) < 6_000
        assert gc.get_freeze_count() > 160_000


def test_cycles_that_end_in_the_young_or_middle_generation_are_collected(generations: list[int]) -> None:
    with collecting([100 * MB]):
        cycles = [Node() for _ in range(1_000)]
        watched = weakref.ref(cycles[0])
        cycles.clear()
        kept: list[list[int]] = []
        while watched() is not None:
            kept.append([0])
            assert len(kept) < 100_000
        assert 1 in generations


def test_frozen_objects_are_collected_only_when_the_process_has_grown(generations: list[int]) -> None:
    used = [100 * MB]
    with collecting(used) as collection:
        cycle = weakref.ref(Node())
        gc.freeze()
        generations.clear()
        for mb in (101, 400, 611):
            used[0] = mb * MB
            collection.check()
        assert 2 not in generations
        assert cycle() is not None
        used[0] = 613 * MB
        collection.check()
        assert 2 in generations
        assert cycle() is None
        generations.clear()
        collection.check()
        assert 2 not in generations


def test_a_process_near_the_limit_of_its_container_collects_after_each_growth_by_a_tenth(
    generations: list[int],
) -> None:
    used = [60 * MB]
    with collecting(used, 256 * MB) as collection:
        cycle = weakref.ref(Node())
        gc.freeze()
        generations.clear()
        for mb, collects in ((191, False), (193, True), (211, False), (213, True), (233, False), (235, True)):
            used[0] = mb * MB
            collection.check()
            assert (2 in generations) == collects, mb
            generations.clear()
        assert cycle() is None


@pytest.mark.parametrize(
    ("text", "limit"),
    [("268435456\n", 268_435_456.0), ("max\n", math.inf), ("", math.inf), (None, math.inf)],
)
def test_the_memory_limit_of_a_container_is_read(tmp_path: Path, text: str | None, limit: float) -> None:
    first, second = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    assert memory_limit_bytes((str(first), str(second))) == math.inf
    if text is not None:
        second.write_text(text)
    assert memory_limit_bytes((str(first), str(second))) == limit
    first.write_text("1024\n")
    assert memory_limit_bytes((str(first), str(second))) == 1024.0


def test_the_memory_of_the_process_is_measured() -> None:
    assert resident_bytes() > MB


def test_objects_created_during_a_gc_pause_are_frozen(generations: list[int]) -> None:
    with collecting([100 * MB]):
        generations.clear()
        frozen = gc.get_freeze_count()
        with collection_paused():
            kept = [[number] for number in range(20_000)]
        assert generations == []
        assert gc.isenabled()
        assert gc.get_freeze_count() >= frozen + len(kept)


def test_a_gc_pause_does_not_enable_a_disabled_collector() -> None:
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
        assert not gc.get_freeze_count()
    finally:
        gc.enable()
