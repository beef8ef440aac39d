"""Sidecars of a fleet without a web server: real controllers and stores in this process, on a real Redis."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.clock import SharedClock
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.scope import ROOT
from sidecar.gates.gate import Ending, ScopeGate, Waiter
from sidecar.runtime.fleet_controller import FleetController
from sidecar.store.redis import RedisSettings
from sidecar.store.redis.store import RedisStore


@asynccontextmanager
async def controllers(
    url: str, size: int, policy: Policy | None = None, **settings
) -> AsyncIterator[list[FleetController]]:
    """Start ``size`` controllers on the Redis at ``url``."""
    running: list[FleetController] = []
    try:
        for _ in range(size):
            clock = SharedClock()
            store = RedisStore(RedisSettings(url, **settings))
            store.on_time = clock.follow
            controller = FleetController(PolicyTable(policy or Policy()), store, clock=clock)
            try:
                await controller.start()
            except BaseException:
                await store.close()
                raise
            running.append(controller)
        yield running
    finally:
        for controller in running:
            await controller.stop()


class Requests:
    """Gate requests at several controllers; records when and where each passed."""

    def __init__(self) -> None:
        self.passed: list[tuple[float, FleetController]] = []

    def send(self, controller: FleetController, count: int, *, priority: int = 5, scope: str = ROOT) -> None:
        gate, path = controller.tree.find(scope)
        for _ in range(count):
            waiter = _Request(self, controller)
            gate.requests += 1
            if not gate.blocks:
                waiter.end(Ending.OPENED, gate)
            elif ending := controller.waiting_room.request(waiter, gate, path, 60.0, priority):
                waiter.end(ending, gate)

    def count(self, controller: FleetController | None = None) -> int:
        return sum(controller in (None, at) for _, at in self.passed)

    def worst_excess(self, rate: float) -> float:
        """The largest excess of passed requests over ``rate`` times the length, of all time windows."""
        level = worst = before = 0.0
        for at, _ in sorted(self.passed, key=lambda one: one[0]):
            level = max(0.0, level - (at - before) * rate) + 1
            worst, before = max(worst, level), at
        return worst


class _Request(Waiter):
    def __init__(self, requests: Requests, controller: FleetController) -> None:
        self.gate = None
        self._requests = requests
        self._controller = controller

    def end(self, ending: Ending, gate: ScopeGate) -> None:
        if ending is Ending.OPENED:
            self._requests.passed.append((time.monotonic(), self._controller))
