"""What is parked: a gate request or a watch, whatever connection it came by."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .gate import Gate


class Ending(Enum):
    """How a wait ended, as its connection is told."""

    OPENED = "the gate opened"
    CHANGED = "the snapshot changed"
    TIMED_OUT = "the wait ran out"
    TOO_MANY_WAITERS = "turned away: too many waiters"
    TOO_MANY_WATCHERS = "turned away: too many watches"
    SHUTTING_DOWN = "turned away: shutting down"


class Waiter:
    """A base for whatever can be parked. `Parking` owns these attributes.

    Attributes:
        gate: where it is parked; None: it is not parked.
        account: the gate that counted it, to its end.
        path: the unnamed scope it asked for; None: the gate's own.
        watching: parked until the snapshot changes, not until the gate opens.
        parked_at: monotonic time when it was parked.
        tick: its place among the deadlines.
    """

    __slots__ = ("account", "gate", "parked_at", "path", "tick", "watching")

    gate: Gate | None
    account: Gate | None
    path: str | None
    watching: bool
    parked_at: float
    tick: int

    def end(self, ending: Ending, gate: Gate) -> None:
        """Answer whoever waits. Called once; the waiter is no longer parked.

        Args:
            ending: how the wait ended.
            gate: where it was parked.
        """
        raise NotImplementedError
