"""A known scope at run time: its gate, who waits at it, and what it has counted."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from sidecar.core.policy import Policy
from sidecar.core.state import WellbeingState
from sidecar.core.values import EMPTY, Hold, LiftCause, ScopeRecord


class Gate:
    """The gate of one known scope. `GateTree` sets what it derives, `WaitingRoom` who is parked.

    Attributes:
        scope: its path; ``""`` is the root.
        parent: the gate of the nearest known ancestor; None for the root.
        children: the gates whose parent it is.
        record: what the core knows of it.
        policy: what counts for it.
        effective: the worst own state from here to the root.
        line_hold: the hold that closes the line from here to the root: this scope's own, else the
            nearest ancestor's; None without any.
        held_by: whose hold ``line_hold`` is.
        closed: whether requests have to wait.
        closed_at: monotonic time since when it is closed.
        counted_at: the same, but not before this process began to count.
        version: grows with each change of the snapshot.
        waiters: parked gate requests, first come first.
        watchers: parked watches.
        clients_waiting: clients that reported requests which wait there.
        active_at: monotonic time when it last had a signal, a hold or a waiter.
        shown: what the current version shows.
        answer: a place for the web to keep the rendered answer of an open gate; None: render anew.
        answer_date: what ``answer`` was rendered with.
        answer_rest: what of it comes after the date; None: render anew.
    """

    __slots__ = (
        "abandoned", "active_at", "answer", "answer_date", "answer_rest", "blocked", "children",
        "clients_waiting", "closed", "closed_at", "counted_at", "effective", "held_by", "interventions",
        "line_hold", "parent", "paused_secs", "pauses", "policy", "record", "rejected", "requests",
        "resumes", "scope", "shown", "timed_out", "version", "waited", "waiters", "waiting", "watchers",
    )  # fmt: skip

    def __init__(self, scope: str, parent: Gate | None, policy: Policy, version: int) -> None:
        self.scope = scope
        self.parent = parent
        self.children: dict[str, Gate] = {}
        self.record: ScopeRecord = EMPTY
        self.policy = policy
        self.effective = WellbeingState.HEALTHY
        self.line_hold: Hold | None = None
        self.held_by: str | None = None
        self.closed = False
        self.closed_at = 0.0
        self.counted_at = 0.0
        self.active_at = 0.0
        self.version = version
        self.shown: object = None
        self.waiters: dict[Waiter, None] = {}
        self.watchers: dict[Waiter, None] = {}
        self.clients_waiting = 0
        self.answer: bytes | None = None
        self.answer_date: object = None
        self.answer_rest: bytes | None = None
        self.requests = self.blocked = self.waited = 0
        self.timed_out = self.abandoned = self.rejected = self.waiting = 0
        self.interventions = 0
        self.pauses = {"auto": 0, "manual": 0}
        self.resumes = {cause.value: 0 for cause in LiftCause}
        self.paused_secs = 0.0

    @property
    def hold(self) -> Hold | None:
        """The hold that closes the gate; None while it is open."""
        return self.line_hold if self.closed else None

    @property
    def ramp_per_sec(self) -> float:
        """The policy's ramp, shared by all who let waiters through, here or in clients; 0: all at once."""
        return self.policy.resume_ramp_per_sec / max(1, self.clients_waiting + bool(self.waiters))

    def ancestors(self) -> Iterator[Gate]:
        """The known gates above, nearest first."""
        gate = self.parent
        while gate is not None:
            yield gate
            gate = gate.parent

    def paused_for(self, now: float) -> float:
        """Seconds the gate has been closed, by monotonic ``now``; 0 while it is open."""
        return max(0.0, now - self.closed_at) if self.closed else 0.0

    def counted_pause(self, now: float) -> float:
        """Seconds of the pause that runs which are not yet in ``paused_secs``."""
        return max(0.0, now - self.counted_at) if self.closed else 0.0


class Ending(Enum):
    """How a wait ended, as its connection is told."""

    OPENED = "the gate opened"
    CHANGED = "the snapshot changed"
    TIMED_OUT = "the wait ran out"
    TOO_MANY_WAITERS = "turned away: too many waiters"
    TOO_MANY_WATCHERS = "turned away: too many watches"
    SHUTTING_DOWN = "turned away: shutting down"
    REVOKED = "turned away: the client may not wait here any more"


class Waiter:
    """A base for whatever can be parked. `WaitingRoom` owns these attributes.

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
