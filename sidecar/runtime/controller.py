"""The controller: the one writer of all state.

Commands come in one at a time or many at once. The writer takes all commands that are pending, decides them
in turn in one transaction, has the store keep the transaction, applies it, wakes the waiters that it lets
through, and only then answers. Commands that arrive during a commit share the next one.

If the store fails, nothing of the batch happened and its commands are answered so. What time alone does
(holds that end, signals that expire) happens all the same: after a restart it would too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sidecar.clock import Clock
from sidecar.core.commands import (
    AcceptResolves,
    Command,
    CommandOutcome,
    Expire,
    Forget,
    ReceiveAlerts,
    ReconcileAlerts,
    RevertResolves,
    SetPolicies,
    ShiftTime,
)
from sidecar.core.errors import CoreError
from sidecar.core.events import CoreEvent
from sidecar.core.model import CoreState
from sidecar.core.policy import PolicyTable
from sidecar.core.scope_update import next_deadline
from sidecar.core.transaction import Transaction
from sidecar.core.values import Tombstone
from sidecar.gates.counters import Counters
from sidecar.gates.event_streams import EventStreams
from sidecar.gates.gate import Gate
from sidecar.gates.tree import GateTree, TreeUpdate
from sidecar.gates.waiting_room import WaitingRoom
from sidecar.store import Batch, Entry, HistoryQuery, Store, StoreUnavailable
from sidecar.supervision import RepeatingTimer, run_supervised

from .clock_steps import ClockSteps
from .event_log import EventLog
from .expiry_timer import ExpiryTimer
from .stored_scopes import valid_records

logger = logging.getLogger(__name__)

_TICK_SECS = 1.0
_MAX_OWED_EVENTS = 10_000

_AT_ONCE_ALERTS = 50
"""What is about more alerts is decided by a thread."""


class ShuttingDown(Exception):
    """A command that came too late."""


@dataclass(slots=True)
class _Pending:
    command: Command
    answer: asyncio.Future[CommandOutcome]
    actor: str = ""


class Controller:
    """Owns the core state, the tree of gates, the waiters and the counters.

    Args:
        policies: the config's.
        store: keeps the state.
        max_scopes: how many scopes may be known.
        max_signals: how many signals a scope may have.
        max_tombstones: how many ended alerts are remembered.
        scope_idle_secs: seconds after which a scope without signal, hold or waiter is forgotten.
        clock: tells the time.
    """

    def __init__(
        self,
        policies: PolicyTable,
        store: Store,
        *,
        max_scopes: int = 20_000,
        max_signals: int = 1_000,
        max_tombstones: int = 50_000,
        scope_idle_secs: float = 86_400.0,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.counters = Counters()
        self.loop = asyncio.get_running_loop()
        self.waiting_room = WaitingRoom(self.loop, self.counters)
        self.streams = EventStreams()
        self.on_reshape: Callable[[], None] = lambda: None
        self.on_turn: Callable[[], None] = lambda: None
        self._policies = policies
        self._store = store
        self._max_scopes = max_scopes
        self._max_signals = max_signals
        self._max_tombstones = max_tombstones
        self._scope_idle_secs = scope_idle_secs
        self._event_log = EventLog(self.counters, self.loop)
        self._pending: list[_Pending] = []
        self._wake = asyncio.Event()
        self._stopping = False
        # What time alone did while the store was down: it has to be kept as soon as it is up.
        self._owed_scopes: set[str] = set()
        self._owed_tombstones: dict[str, Tombstone | None] = {}
        self._owed_events: list[CoreEvent] = []
        self._beat_due = False

    async def start(self) -> None:
        """Load what was kept, let the time that has passed have its way, and begin to take commands.

        Raises:
            StoreError: the store cannot be read.
        """
        # Before the first look at the wall clock: whatever is set back after it is noticed.
        self._clock_steps = ClockSteps(self.clock)
        kept = await self._store.load(self.clock.now())
        records = valid_records(kept.records)
        # With the first commit the others are gone from the store.
        self._owed_scopes |= kept.records.keys() - records.keys()
        self._beat_due = bool(self._owed_scopes)
        self.core_state = CoreState(
            self._policies,
            records,
            kept.tombstones,
            self._max_scopes,
            self._max_signals,
            max_tombstones=self._max_tombstones,
            heard_watchdog=kept.heard_watchdog,
        )
        version = kept.version
        self.tree = GateTree(self._policies, version, self.waiting_room)
        self._expiry_timer = ExpiryTimer(self.loop, self.clock, self._time_is_up, self.counters.task_failures)
        now, wall = self.clock.monotonic(), self.clock.now()
        for gate in self.tree.update(self.core_state.records, now).closed:
            if gate.hold is not None:
                gate.closed_at = now - max(0.0, wall - gate.hold.since)
        self._plan(self.core_state.records)
        self._writer = self.loop.create_task(
            run_supervised("writer", self._write, self.counters.task_failures)
        )
        now = self.clock.now()
        if kept.seen_at is not None:
            self._clock_steps.stopped_at(kept.seen_at)
            fields = {"scopes": len(kept.records), "down_secs": round(max(0.0, now - kept.seen_at), 1)}
            logger.info("restored", extra={"fields": fields})
        await self.submit(Expire(tuple(self.core_state.records)))
        self._sweeper = self._every(self._sweep_secs, self._sweep, "sweeper")
        self._tick_due = self.loop.time() + _TICK_SECS
        self._ticker = self._every(_TICK_SECS, self._tick, "ticker")

    def _every(self, secs: float, call: Callable[[], None], name: str) -> RepeatingTimer:
        return RepeatingTimer(self.loop, secs, call, name=name, failures=self.counters.task_failures)

    async def stop(self) -> None:
        """Turn away whoever is parked, finish what was asked, and close the store."""
        self.waiting_room.shut_down(list(self.tree.gates.values()))
        self._stopping = True
        self._sweeper.stop()
        self._ticker.stop()
        self._expiry_timer.stop()
        self._wake.set()
        await self._writer
        self._event_log.flush()
        await self._store.close()

    def submit(self, command: Command, actor: str = "") -> asyncio.Future[CommandOutcome]:
        """Ask for ``command``, on behalf of ``actor``; the answer comes once it is durable and true.

        The answer may raise:
            CoreError: it was refused; nothing of it was done.
            StoreUnavailable: it could not be kept; nothing of it was done.
            ShuttingDown: it came too late.
        """
        answer: asyncio.Future[CommandOutcome] = self.loop.create_future()
        if self._stopping:
            answer.set_exception(ShuttingDown("the sidecar is shutting down"))
        else:
            self._pending.append(_Pending(command, answer, actor))
            self._wake.set()
        return answer

    def _order(self, command: Command) -> None:
        """Ask for ``command``; if it fails, time asks for it again."""
        self.submit(command).add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    async def history(self, query: HistoryQuery) -> list[Entry]:
        """The entries that ``query`` asks for, newest first. Raises `StoreUnavailable`."""
        return await self._store.history(query)

    # -- writing ----------------------------------------------------------------------------------

    async def _write(self) -> None:
        while self._pending or not self._stopping:
            if not self._pending:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch, self._pending = self._pending, []
            try:
                await self._write_batch(batch)
            except Exception as error:
                logger.exception("a batch of commands failed")
                for pending in batch:
                    _fail(pending, error)
                    if isinstance(pending.command, ShiftTime):
                        # Nothing was shifted: the step is noticed again.
                        self._clock_steps.give_back(pending.command.secs)
                    if isinstance(pending.command, Expire):
                        # A hold whose end was missed would never end.
                        self.loop.call_later(1.0, self._time_is_up, pending.command.scopes)

    async def _write_batch(self, batch: list[_Pending]) -> None:
        self._shift_time_first(batch)
        transaction = Transaction(self.core_state)
        decided = await self._decide(batch, transaction)
        try:
            await self._commit(transaction, decided)
        except StoreUnavailable as error:
            for pending, _ in decided:
                if not isinstance(pending.command, Expire | ShiftTime):
                    _fail(pending, error)
            transaction = Transaction(self.core_state)
            rest = [one for one, _ in decided if not one.answer.done()]
            self._shift_time_first(rest)
            decided = await self._decide(rest, transaction)
            self._owed_scopes |= transaction.records.keys()
            self._owed_tombstones |= transaction.tombstones
            self._owed_events += [event for _, outcome in decided for event in outcome.events]
            del self._owed_events[:-_MAX_OWED_EVENTS]
        self._apply(transaction, [outcome for _, outcome in decided])
        for pending, outcome in decided:
            if not pending.answer.done():
                pending.answer.set_result(outcome)

    async def _decide(
        self, batch: list[_Pending], transaction: Transaction
    ) -> list[tuple[_Pending, CommandOutcome]]:
        now = self.clock.now()
        if sum(_size(pending.command) for pending in batch) <= _AT_ONCE_ALERTS:
            decided, refused = _apply_commands(batch, transaction, now)
        else:
            # Only this writer changes what is decided from, and it waits; the loop goes on with its gates.
            decided, refused = await self.loop.run_in_executor(None, _apply_commands, batch, transaction, now)
        for pending, error in refused:
            _fail(pending, error)
        return decided

    async def _commit(self, transaction: Transaction, decided: list[tuple[_Pending, CommandOutcome]]) -> None:
        events = tuple(event for _, outcome in decided for event in outcome.events)
        forgotten = any(record is None for record in transaction.records.values())
        beat = self._beat_due or not self.counters.store_up
        heard = transaction.heard_watchdog
        heard_anew = heard != self.core_state.heard_watchdog
        if not (events or transaction.tombstones or transaction.rewritten or forgotten or heard_anew or beat):
            return
        owed = {scope: self.core_state.records.get(scope) for scope in self._owed_scopes}
        batch = Batch(
            {**owed, **transaction.records},
            {**self._owed_tombstones, **transaction.tombstones},
            (*self._owed_events, *events),
            frozenset(self._owed_scopes | transaction.rewritten),
            self.clock.now(),
            heard if heard_anew else None,
        )
        began = self.clock.monotonic()
        try:
            await self._store.commit(batch)
        except StoreUnavailable as error:
            if self.counters.store_up:
                logger.error("store_down", extra={"fields": {"error": str(error)}})
            self.counters.store_errors += 1
            self.counters.store_up = False
            raise
        if not self.counters.store_up:
            logger.warning("store_up")
        self.counters.store_up = True
        self._beat_due = False
        self._owed_scopes.clear()
        self._owed_tombstones.clear()
        self._owed_events.clear()
        self.counters.commits.observe(self.clock.monotonic() - began)

    def _apply(self, transaction: Transaction, outcomes: list[CommandOutcome]) -> None:
        now = self.clock.monotonic()
        repolicied = transaction.policies is not self.core_state.policies
        self.core_state.apply(transaction)
        if repolicied:
            self._policies = transaction.policies
            self._show(self.tree.set_policies(transaction.policies, now))
        update = self.tree.update(transaction.records, now)
        self._event_log.count(outcomes, self.tree, self.clock.now())
        self._show(update)
        self._plan(self.core_state.records if repolicied else transaction.records)
        self._event_log.log(outcomes)

    def _show(self, update: TreeUpdate) -> None:
        """Let the update be felt: first all gates know their place, then whoever it concerns is told."""
        if update.reshaped:
            self.on_reshape()
        for gate in update.closed:
            self.waiting_room.close(gate)
        for gate in update.opened:
            self.waiting_room.open(gate)
        for gate in update.changed:
            self.waiting_room.changed(gate)
        if update.changed:
            self.streams.tell(update.changed)
        if update.opened or update.closed or update.reshaped:
            self.on_turn()

    # -- time -------------------------------------------------------------------------------------

    def _plan(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            record = self.core_state.records.get(scope)
            due = None
            if record is not None:
                due = next_deadline(record, self.tree.gates[scope].policy)
            self._expiry_timer.put(scope, due)

    def _time_is_up(self, scopes: tuple[str, ...]) -> None:
        self._order(Expire(scopes))

    def _tick(self) -> None:
        """Once a second: notice a late loop, a clock that was set, and whether the store is up again."""
        self.counters.lags.append(max(0.0, self.loop.time() - self._tick_due))
        self._tick_due = self.loop.time() + _TICK_SECS
        # The writer shifts what was written before a step, before it decides anything.
        if self._clock_steps.is_due or not self.counters.store_up:
            self._order(Expire(()))

    def _shift_time_first(self, batch: list[_Pending]) -> None:
        """Where the clock was set back, shift what was written before, and nothing that is in ``batch``."""
        step = self._clock_steps.take()
        if step:
            batch.insert(0, _Pending(ShiftTime(step), self.loop.create_future()))

    @property
    def _sweep_secs(self) -> float:
        return min(60.0, max(1.0, self._scope_idle_secs / 10))

    def _sweep(self) -> None:
        now = self.clock.monotonic()
        idle = [gate.scope for gate in self.tree.gates.values() if self._is_idle(gate, now)]
        if idle and not self._stopping:
            self._order(Forget(tuple(idle)))
        elif not self._stopping:
            self._beat_due = True
            self._order(Expire(()))

    def _is_idle(self, gate: Gate, now: float) -> bool:
        if gate.waiting or not gate.record.is_empty:
            gate.active_at = now
        return now - gate.active_at >= self._scope_idle_secs


def _size(command: Command) -> int:
    """How many alerts ``command`` is about; what is about every scope counts as many."""
    match command:
        case ReceiveAlerts():
            return len(command.alerts)
        case ReconcileAlerts():
            return len(command.firing) + len(command.missing)
        case RevertResolves():
            return len(command.signals)
        case ShiftTime() | SetPolicies() | AcceptResolves():
            return _AT_ONCE_ALERTS + 1
        case _:
            return 0


def _apply_commands(
    batch: list[_Pending], transaction: Transaction, now: float
) -> tuple[list[tuple[_Pending, CommandOutcome]], list[tuple[_Pending, CoreError]]]:
    """Decide ``batch`` on ``transaction``: what each command comes to, and those that are refused."""
    decided, refused = [], []
    for pending in batch:
        try:
            outcome = transaction.apply_command(pending.command, now)
            decided.append((pending, outcome.by(pending.actor) if pending.actor else outcome))
        except CoreError as error:
            refused.append((pending, error))
    return decided, refused


def _fail(pending: _Pending, error: Exception) -> None:
    if not pending.answer.done():
        pending.answer.set_exception(error)
