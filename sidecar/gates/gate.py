"""The gate of one known scope: its state, its parked requests and its counters."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from sidecar.core.policy import Policy
from sidecar.core.state import WellbeingState
from sidecar.core.values import EMPTY, Hold, LiftCause, ScopeRecord

from .limits import ActiveLimit, GateLimit, Limits, rate_of, tightest

if TYPE_CHECKING:
    from .admission import Limiter
    from .staged_state import NextState
    from .tree_update import TreeNode


_NO_RESUMES = {cause.value: 0 for cause in LiftCause}


class GateState(NamedTuple):
    """The state of a gate. It is replaced as a whole, so no reader sees a partial change.

    It is a tuple: one command may create ten thousand, and a frozen dataclass takes four times as long.

    Attributes:
        record: the scope's record in the core.
        effective: the worst own state from this scope up to the root.
        nearest_hold: the scope's own hold, else the hold of the nearest ancestor that has one; None: no hold.
        held_by: the scope of ``nearest_hold``.
        closed: whether requests have to wait.
        version: grows with each change of the snapshot.
        closed_at: monotonic time when the gate closed.
        counted_at: ``closed_at``, or the later time at which this process started to count.
        paused_secs: seconds that the gate was closed, without the current pause.
        limits: the restrictions and trials of this scope and its ancestors.
        nearest_advice: the scope's own advised hold, else the nearest advised hold of an ancestor.
        advised_by: the scope of ``nearest_advice``.
        advised: whether requests would have to wait if the advised hold were a hold.
        advised_at: monotonic time when ``advised`` became true.
        advised_secs: seconds that requests would have had to wait, without the current advice.
        advised_limits: the restrictions of this scope and its ancestors that are advised only.
    """

    record: ScopeRecord = EMPTY
    effective: WellbeingState = WellbeingState.HEALTHY
    nearest_hold: Hold | None = None
    held_by: str | None = None
    closed: bool = False
    version: int = 0
    closed_at: float = 0.0
    counted_at: float = 0.0
    paused_secs: float = 0.0
    limits: Limits = ()
    nearest_advice: Hold | None = None
    advised_by: str | None = None
    advised: bool = False
    advised_at: float = 0.0
    advised_secs: float = 0.0
    advised_limits: Limits = ()

    @property
    def hold(self) -> Hold | None:
        """The hold that closes the gate; None while it is open."""
        return self.nearest_hold if self.closed else None

    @property
    def advice(self) -> Hold | None:
        """The advised hold that would close the gate; None: there is none."""
        return self.nearest_advice if self.advised else None


class ScopeGate:
    """The gate of one known scope. `GateTree` sets its state, `WaitingRoom` parks requests at it.

    Args:
        scope: its path; ``""`` is the root.
        node: its place in the tree; None: it is in no tree.
        policy: the policy of the scope.
        version: the version of its first state.
        version_step: the difference between successive versions; 1: the store is this sidecar's alone.

    Attributes:
        may_block: whether a request may have to wait. Requests read it on the hot path. While `following` is
            set, it may be true although the gate is open.
        following: the state that the gate gets next, if an update is in progress.
        waiters: parked gate requests, in order of arrival.
        watchers: parked watches.
        clients: the clients that report counts for this gate; the value is whether they hold waiters.
        limiters: the limiters of the scope itself, by kind of limit.
        ramp_per_sec: requests per second of the resume ramp that snapshots show; None: they show none.
        active_at: monotonic time when it last had a signal, a hold or a waiter.
        answer: the cached response of an open gate, set by the web server; None: render it again.
        answer_date: the ``Date`` line in ``answer``.
        answer_rest: the part of ``answer`` after the date; None: render it again.
    """

    __slots__ = (
        "_limiting", "_policy", "_state", "abandoned", "active_at", "advised_pauses", "answer", "answer_date",
        "answer_rest", "blocked", "clients", "failed", "following", "interventions", "limiters", "may_block",
        "node", "pauses", "ramp_per_sec", "rejected", "requests", "resumes", "scope", "succeeded",
        "timed_out", "version_step", "waited", "waiters", "waiting", "watchers",
    )  # fmt: skip

    def __init__(
        self, scope: str, node: TreeNode | None, policy: Policy, version: int, version_step: int = 1
    ) -> None:
        self.scope = scope
        self.version_step = version_step
        self.node = node
        self.following: NextState | None = None
        self._policy = policy
        self._state = GateState(version=version)
        self.may_block = False
        self.active_at = 0.0
        self.waiters: dict[Waiter, None] = {}
        self.watchers: dict[Waiter, None] = {}
        self.clients: dict[object, bool] = {}
        self.limiters: dict[type, ActiveLimit] = {}
        self._limiting: Limiter | None = None
        self.ramp_per_sec: float | None = None
        self.answer: bytes | None = None
        self.answer_date: object = None
        self.answer_rest: bytes | None = None
        self.requests = self.blocked = self.waited = 0
        self.timed_out = self.abandoned = self.rejected = self.waiting = 0
        self.succeeded = self.failed = 0
        self.interventions = 0
        self.pauses = {"auto": 0, "manual": 0, "trial_failed": 0}
        self.advised_pauses = 0
        self.resumes = dict(_NO_RESUMES)

    def set_state(self, state: GateState) -> None:
        """Replace the state, and drop the cached response."""
        self._state = state
        self.may_block = state.closed or self.is_restricted
        self.answer = self.answer_rest = None

    def stage(self, following: NextState) -> None:
        """Set the state that the gate gets when ``following`` becomes visible."""
        self.following = following
        if not following.keeps_response:
            # Requests read only `may_block`. They must not pass a gate that the next state closes.
            self.may_block = True
            self.answer = self.answer_rest = None

    def replace_state(self, following: NextState) -> None:
        """Set the state of ``following``. Only `StagedStates` calls it."""
        if following.state is not None:
            self._state = following.state
        if following.policy is not None:
            self._policy = following.policy
        # Set it in any case: an abandoned update may have set it to true.
        self.may_block = following.blocks
        if not following.keeps_response:
            self.answer = self.answer_rest = None

    def _settle(self) -> None:
        if self.following is not None:
            self.following.staged.settle(self)

    @property
    def state(self) -> GateState:
        """The current state."""
        if self.following is not None:
            self._settle()
        return self._state

    @property
    def policy(self) -> Policy:
        """The policy of the scope."""
        if self.following is not None:
            self._settle()
        return self._policy

    @property
    def limiting(self) -> Limiter | None:
        """The nearest limiter, of this scope or an ancestor; None: there is none."""
        if self.following is not None:
            self._settle()
        return self._limiting

    @limiting.setter
    def limiting(self, limiter: Limiter | None) -> None:
        self._limiting = limiter

    @property
    def closed(self) -> bool:
        """Whether requests have to wait."""
        return self.state.closed

    @property
    def blocks(self) -> bool:
        """Whether a request may have to wait: the gate is closed, restricted or on trial."""
        if self.following is not None:
            return self.closed or self.is_restricted
        return self.may_block

    @property
    def record(self) -> ScopeRecord:
        """The scope's record in the core."""
        return self.state.record

    @property
    def effective(self) -> WellbeingState:
        """The worst own state from this scope up to the root."""
        return self.state.effective

    @property
    def nearest_hold(self) -> Hold | None:
        """The scope's own hold, else the hold of the nearest ancestor that has one."""
        return self.state.nearest_hold

    @property
    def held_by(self) -> str | None:
        """The scope of ``nearest_hold``."""
        return self.state.held_by

    @property
    def version(self) -> int:
        """Grows with each change of the snapshot."""
        return self.state.version

    @property
    def hold(self) -> Hold | None:
        """The hold that closes the gate; None while it is open."""
        return self.state.hold

    @property
    def advice(self) -> Hold | None:
        """The advised hold that would close the gate; None: there is none."""
        return self.state.advice

    @property
    def advised_restriction(self) -> GateLimit | None:
        """The advised restriction with the lowest rate; None: there is none, or a pause is advised."""
        found = self.state.advised_limits
        return tightest(found) if found and self.policy.enabled and self.advice is None else None

    @property
    def paused_secs(self) -> float:
        """Seconds that the gate was closed, without the current pause."""
        return self.state.paused_secs

    @property
    def limits(self) -> Limits:
        """The restrictions and trials that the gate is under, the nearest first."""
        return self.state.limits if self.policy.enabled else ()

    @property
    def waits_for_operator(self) -> bool:
        """Whether the scope has recovered, but its policy requires an operator to lift the auto hold."""
        auto = self.record.auto
        if auto is None or auto.advised is not None or auto.failed_trials:
            return False
        return self.record.episode is None and self.policy.resume == "manual"

    @property
    def is_restricted(self) -> bool:
        """Whether the gate is neither open nor closed: under a restriction or on trial."""
        return not self.closed and bool(self.limits)

    @property
    def admit_per_sec(self) -> float | None:
        """Requests per second that a restriction or a ramp admits; None: not limited, or closed."""
        if self.closed:
            return None
        if self.limits:
            return rate_of(self.limits)
        return self.ramp_per_sec

    def starved(self, now: float) -> dict[int, float]:
        """The priorities that wait here while only higher ones pass, and for how many seconds they have."""
        limiters = [one.limiter for one in self.limiters.values()]
        if not self.limits and self.limiting is not None:
            # A resume ramp.
            limiters = [self.limiting]
        found: dict[int, float] = {}
        for limiter in limiters:
            for priority, secs in limiter.starved(now).items():
                found[priority] = max(secs, found.get(priority, 0.0))
        return found

    @property
    def parent(self) -> ScopeGate | None:
        """The gate of the nearest known ancestor; None for the root."""
        return None if self.node is None else self.node.gate_above()

    def ancestors(self) -> Iterator[ScopeGate]:
        """The known gates above, nearest first."""
        gate = self.parent
        while gate is not None:
            yield gate
            gate = gate.parent

    def paused_for(self, now: float) -> float:
        """Seconds that the gate has been closed, by monotonic ``now``; 0 while it is open."""
        return max(0.0, now - self.state.closed_at) if self.closed else 0.0

    def counted_pause(self, now: float) -> float:
        """Seconds of the current pause. They are not in ``paused_secs`` yet."""
        return max(0.0, now - self.state.counted_at) if self.closed else 0.0

    def advised_secs(self, now: float) -> float:
        """Seconds that requests would have had to wait by advice, up to monotonic ``now``."""
        state = self.state
        return state.advised_secs + (max(0.0, now - state.advised_at) if state.advised else 0.0)


class Ending(Enum):
    """How a wait ended."""

    OPENED = "the gate opened"
    CHANGED = "the snapshot changed"
    TIMED_OUT = "the wait timed out"
    TOO_MANY_WAITERS = "rejected: too many waiters"
    TOO_MANY_WATCHERS = "rejected: too many watches"
    SHUTTING_DOWN = "rejected: shutting down"
    REVOKED = "rejected: the client has lost access"


class Waiter:
    """The base of everything that can be parked. `WaitingRoom` owns these attributes.

    Attributes:
        gate: the gate where it is parked; None: it is not parked.
        account: the gate that counts it until it ends; None: a watch.
        path: the requested scope if it is unknown; None: it is the gate's scope.
        seen: the snapshot version that the client of a watch already has.
        watching: whether it waits for a change of the snapshot, not for the gate to open.
        parked_at: monotonic time when it was parked.
        tick: its bucket among the wait timeouts.
        priority: 0 to 9; higher priorities are admitted first if the rate is limited.
        limiter: where it is queued; None: nowhere.
        queue_id: its id there.
    """

    __slots__ = (
        "account",
        "gate",
        "limiter",
        "parked_at",
        "path",
        "priority",
        "queue_id",
        "seen",
        "tick",
        "watching",
    )  # fmt: skip

    gate: ScopeGate | None
    account: ScopeGate | None
    path: str | None
    seen: int
    watching: bool
    parked_at: float
    tick: int
    priority: int
    limiter: Limiter | None
    queue_id: int

    def end(self, ending: Ending, gate: ScopeGate) -> None:
        """Respond to the client. Called once, when the waiter is no longer parked.

        Args:
            ending: how the wait ended.
            gate: the gate where it was parked.
        """
        raise NotImplementedError
