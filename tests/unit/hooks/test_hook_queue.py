"""The queue of a hook is ordered and bounded, and does not drop the event that is being sent."""

from __future__ import annotations

import asyncio

from sidecar.hooks.events import HookEvent
from sidecar.hooks.queue import HookQueue
from sidecar.store import HistoryEntry


def event(number: int) -> HookEvent:
    return HookEvent("pause", HistoryEntry(number, 0.0, "a", "pause", "open", "closed", "operator", ""))


def drain(queue: HookQueue) -> list[int]:
    found = []
    while queue.first is not None:
        found.append(queue.first.entry.id)
        queue.remove_first()
    return found


def test_the_oldest_events_above_the_limit_are_dropped() -> None:
    queue = HookQueue(3)
    assert [queue.put(event(number)) for number in range(5)] == [0, 0, 0, 1, 1]
    assert drain(queue) == [2, 3, 4]


def test_the_event_in_delivery_is_kept() -> None:
    queue = HookQueue(2)
    queue.put(event(0))
    queue.sending = True
    assert [queue.put(event(number)) for number in (1, 2, 3)] == [0, 0, 1]
    assert drain(queue) == [0, 2, 3]


def test_a_lower_limit_drops_events_at_once() -> None:
    queue = HookQueue(5)
    for number in range(5):
        queue.put(event(number))
    assert queue.limit(1) == 4
    assert drain(queue) == [4]


def test_a_waiting_delivery_gets_the_next_event() -> None:
    async def test() -> None:
        queue = HookQueue(5)
        waiting = asyncio.ensure_future(queue.wait())
        await asyncio.sleep(0)
        queue.put(event(1))
        queue.put(event(2))
        assert (await waiting).entry.id == 1
        assert (await queue.wait()).entry.id == 1

    asyncio.run(test())
