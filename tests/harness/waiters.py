"""A waiting request that records how its wait ended."""

from __future__ import annotations

from sidecar.gates.gate import Ending, ScopeGate, Waiter


class RecordingWaiter(Waiter):
    """A waiter; ``endings`` has how its waits ended, in order."""

    def __init__(self) -> None:
        self.gate = None
        self.endings: list[Ending] = []

    def end(self, ending: Ending, gate: ScopeGate) -> None:
        """Record ``ending``."""
        self.endings.append(ending)
