"""A tree of gates in simulated time, with waiting requests and clients."""

from __future__ import annotations

import itertools
import random

from harness.simulated_loop import Loop
from sidecar.core.policy import Policy, PolicyTable
from sidecar.core.scope import ROOT
from sidecar.core.values import Hold, HoldKind, Restriction, ScopeRecord
from sidecar.gates.admission_control import ClientDemand
from sidecar.gates.counters import Counters
from sidecar.gates.gate import Ending, ScopeGate, Waiter
from sidecar.gates.tree import GateTree
from sidecar.gates.tree_update import TreeUpdate
from sidecar.gates.waiting_room import WaitingRoom

HOLD = Hold(HoldKind.MANUAL, "x", 0.0, None, "op")
_IDS = itertools.count()
RANDOM = random.Random(1)


class SimulatedGates:
    """A tree of gates in simulated time."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.loop = Loop()
        self.counters = Counters()
        self.room = WaitingRoom(self.loop, self.counters)
        self.tree = GateTree(PolicyTable(policy or Policy(wait_timeout_secs=1e6)), 0, self.room)
        self.admitted: list[tuple[float, str]] = []
        self.changes: list[ScopeGate] = []
        self.trials: list[str] = []
        self.room.admission.on_change = self._show_ramp
        self.room.admission.on_trial_end = lambda gate, trial, why: self.trials.append(why)

    def _show_ramp(self, gate: ScopeGate) -> None:
        if self.tree.show_ramp(gate):
            self.changes.append(gate)

    def update(self, **records: ScopeRecord) -> None:
        """Set new records of scopes. In the names, "__" stands for "/", and "root" for the root."""
        named = {name.replace("__", "/") if name != "root" else ROOT: one for name, one in records.items()}
        move_waiters(self.room, self.tree.update(named, self.loop.now))

    def restrict(self, rate: float | None, scope: str = "root") -> None:
        restriction = None if rate is None else Restriction(rate, "slow", 0.0, "agent:x")
        self.update(**{scope: ScopeRecord(restriction=restriction)})

    def ask(self, scope: str = ROOT, priority: int = 5, wait: float = 1e6) -> SimulatedWaiter:
        waiter = SimulatedWaiter(self, scope)
        gate, path = self.tree.find(scope)
        gate.requests += 1
        if not gate.blocks:
            waiter.end(Ending.OPENED, gate)
        elif (ending := self.room.request(waiter, gate, path, wait, priority)) is not None:
            waiter.end(ending, gate)
        return waiter

    def count(self, scope: str = "") -> int:
        return sum(1 for _, at in self.admitted if at.startswith(scope))

    def worst_excess(self, rate: float, scope: str = "", since: float = 0.0) -> float:
        """The largest excess of admitted requests over ``rate`` times the length, of all time windows."""
        level = worst = before = 0.0
        for at, where in sorted(self.admitted):
            if where.startswith(scope) and at >= since:
                level = max(0.0, level - (at - before) * rate) + 1
                worst, before = max(worst, level), at
        return worst

    def check_conservation(self) -> None:
        for gate in self.tree.gates.values():
            ended = gate.waited + gate.timed_out + gate.abandoned + gate.rejected
            assert gate.blocked == ended + gate.waiting, gate.scope


class SimulatedWaiter(Waiter):
    def __init__(self, sim: SimulatedGates, scope: str = ROOT) -> None:
        self.gate = None
        self.sim = sim
        self.scope = scope
        self.ended: list[Ending] = []

    def end(self, ending: Ending, gate: ScopeGate) -> None:
        self.ended.append(ending)
        if ending is Ending.OPENED:
            self.sim.admitted.append((self.sim.loop.now, self.scope))


class SimulatedClient:
    """A client-side gate: requests a share while it has waiters, and admits as many as granted a moment
    later."""

    def __init__(
        self, sim: SimulatedGates, waiting: int, scope: str = ROOT, pause: float = 0.05, priority: int = 5
    ):
        self.sim, self.waiting, self.scope, self.pause = sim, waiting, scope, pause
        self.priority = priority
        self.name = f"c{next(_IDS)}"
        self.admitted = 0
        self.dead = False
        self.trial = ""
        self.demand: ClientDemand | None = None
        self.ask()

    def add(self, count: int) -> None:
        idle = not self.waiting
        self.waiting += count
        if idle and not self.dead:
            self.ask()

    def ask(self) -> None:
        if self.dead or not self.waiting or self.demand is not None:
            return
        gate, _ = self.sim.tree.find(self.scope)
        waiting = [0] * 10
        waiting[self.priority] = self.waiting
        self.demand = ClientDemand(self.name, waiting, gate, self.answered)
        if not self.sim.room.admission.demand(self.demand):
            self.answered()

    def answered(self) -> None:
        demand, self.demand = self.demand, None
        if self.dead or demand is None:
            return
        assert 0 <= demand.granted <= self.waiting
        self.waiting -= demand.granted
        self.admitted += demand.granted
        self.trial = demand.trial
        self.sim.admitted += [(self.sim.loop.now, self.scope)] * demand.granted
        # Random as in the client package, so that not all clients send requests at the same time.
        self.sim.loop.call_later(self.pause * RANDOM.uniform(0.4, 1.6), self.ask)

    def die(self) -> None:
        self.dead = True
        if self.demand is not None:
            self.sim.room.admission.withdraw(self.demand)


def move_waiters(room: WaitingRoom, update: TreeUpdate) -> None:
    """Hold back the requests of the gates that ``update`` has closed, and release those of the opened ones."""
    for gate in update.closed:
        for _ in room.hold_back(gate):
            pass
    for gate in update.opened:
        for _ in room.release(gate):
            pass
