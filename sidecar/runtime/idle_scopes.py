"""Forgets scopes that have been idle for long enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sidecar.clock import Clock
from sidecar.gates.gate import ScopeGate
from sidecar.gates.tree import GateTree
from sidecar.time_slice import TimeSlice


class IdleScopes:
    """Looks for idle scopes at regular intervals.

    A scope is idle while it has no signal, no hold and no parked request.

    Args:
        tree: the gates.
        clock: the time source.
        idle_secs: seconds after which an idle scope is forgotten.
        time_slice: returns a new time slice.
        forget: forgets scopes. The next sweep finds scopes that could not be forgotten.
        on_none: called if no scope has been idle for long enough.
    """

    def __init__(
        self,
        tree: GateTree,
        clock: Clock,
        idle_secs: float,
        *,
        time_slice: Callable[[], TimeSlice],
        forget: Callable[[list[str]], Awaitable[None]],
        on_none: Callable[[], None],
    ) -> None:
        self._tree = tree
        self._clock = clock
        self._idle_secs = idle_secs
        self._time_slice = time_slice
        self._forget = forget
        self._on_none = on_none

    @property
    def interval_secs(self) -> float:
        """Seconds between two sweeps."""
        return min(60.0, max(1.0, self._idle_secs / 10))

    async def sweep(self) -> None:
        """Forget the scopes that have been idle for long enough."""
        idle = []
        time_slice = self._time_slice()
        for gate in list(self._tree.gates.values()):
            if self._is_idle(gate, self._clock.monotonic()):
                idle.append(gate.scope)
            if time_slice.expired:
                await time_slice.yield_to_others()
        if idle:
            await self._forget(idle)
        else:
            self._on_none()

    def _is_idle(self, gate: ScopeGate, now: float) -> bool:
        if gate.waiting or not gate.record.is_empty:
            gate.active_at = now
        return now - gate.active_at >= self._idle_secs
