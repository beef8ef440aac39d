"""The controller: the one writer of all state.

The writer takes all pending commands, decides them in order in one transaction, commits the transaction to
the store, applies it and wakes waiters. Only then does it complete the commands. Commands that arrive during
a commit share the next transaction.

A batch may affect ten thousand scopes and as many parked requests. Work that grows with the batch runs in
time slices; `gate_updates` says how the gates change.

If the store fails, the commands of the batch fail and change nothing. Changes by time alone (holds that end,
signals that expire) still apply, because they would also apply after a restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from functools import partial

from sidecar.clock import Clock
from sidecar.core.commands import Command, CommandOutcome, EndTrial, Expire, ForgetScopes, ShiftTime
from sidecar.core.deadlines import next_deadline
from sidecar.core.errors import CoreError
from sidecar.core.events import HistoryNoted
from sidecar.core.model import CoreState
from sidecar.core.policy import PolicyTable
from sidecar.core.scope import ROOT
from sidecar.core.values import ScopeRecord, Trial
from sidecar.gates.counters import Counters
from sidecar.gates.event_streams import EventStreams
from sidecar.gates.gate import ScopeGate
from sidecar.gates.tree import GateTree
from sidecar.gates.waiting_room import WaitingRoom
from sidecar.store import (
    HistoryEntry,
    HistoryQuery,
    Store,
    StoredState,
    StoreUnavailable,
    WatchdogNotice,
)
from sidecar.supervision import RepeatingTimer, run_supervised
from sidecar.time_slice import PendingInput, TimeSlice, release_in_pieces

from .batch_decider import BatchDecider
from .clock_steps import ClockSteps
from .command_queue import CommandQueue, ShuttingDown
from .commit_effects import CommitEffects, Records
from .event_log import EventLog
from .expiry_timer import ExpiryTimer
from .garbage import collection_paused
from .gate_updates import GatesBehind, GateUpdater
from .idle_scopes import IdleScopes
from .pending_commands import PendingCommand, fail, work_items
from .store_writer import StoreWriter, UnsavedChanges
from .stored_scopes import valid_records

logger = logging.getLogger(__name__)

_TICK_SECS = 1.0

_FORGOTTEN_AT_ONCE = 1_000
"""Idle scopes that one command forgets."""

_LARGE_BATCH = 500
"""During a batch with at least this many alerts or scopes, no garbage is collected."""

_SCHEDULED_AT_ONCE = 8
"""Scopes whose next change by time alone is scheduled in one step."""

_SLICE_SECS = 0.0015
"""Maximum seconds that a batch may hold the loop before other work runs."""

_MIN_SLICE_SECS = 0.0002
"""Minimum seconds that a batch holds the loop. Then it checks whether a client has sent something."""

_LOG_AFTER_SECS = 0.01
"""Delay of log lines, so that the responses to an event are sent first."""

_AGAIN_SECS = 1.0
"""Seconds after which failed work is tried again."""


class Controller:
    """Owns the core state, the tree of gates, the waiters and the counters.

    Args:
        policies: the policies of the config.
        store: keeps the state.
        max_scopes: maximum number of known scopes.
        max_signals: maximum number of signals of one scope.
        max_tombstones: maximum number of remembered ended alerts.
        scope_idle_secs: seconds after which a scope without signal, hold or waiter is forgotten.
        clock: the time source.

    Attributes:
        on_structure_change: called in the step in which paths get another gate, or policies change.
        on_gate_change: called after gates opened or closed, or paths changed their gate.
        on_leadership: called when this sidecar becomes the leader of its fleet, or stops being it.
        on_went_back: called after a shared store lost commits.
        on_alerts_ended: called with scope, record before and source of each alert signal that another sidecar
            ended other than by time.
        on_resolves_held: called when another sidecar received a resolve and did not accept it, because it was
            blind.
        on_watchdog: called with the name of the watchdog alert that sidecars of the fleet received, and how
            many seconds ago it was received firing and resolved; None: never.
        on_history: called after the history got new entries.
        on_store_down: called with the history note of a store that cannot be written. The note is stored when
            the store is back.
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
        self.waiting_room.admission.on_change = self._ramp_changed
        self.waiting_room.admission.on_trial_end = self._trial_ended
        self.streams = EventStreams(self.loop, self.counters.task_failures)
        self.on_structure_change: Callable[[], None] = lambda: None
        self.on_gate_change: Callable[[], None] = lambda: None
        self.on_leadership: Callable[[], None] = lambda: None
        self.on_went_back: Callable[[], None] = lambda: None
        self.on_alerts_ended: Callable[[list[tuple[str, ScopeRecord, str]]], None] = lambda _: None
        self.on_resolves_held: Callable[[], None] = lambda: None
        self.on_watchdog: Callable[[str, float | None, float | None], None] = lambda *_: None
        self.on_history: Callable[[], None] = lambda: None
        self.on_store_down: Callable[[HistoryNoted], None] = lambda _: None
        self._policies = policies
        self._store = store
        self._max_scopes = max_scopes
        self._max_signals = max_signals
        self._max_tombstones = max_tombstones
        self._scope_idle_secs = scope_idle_secs
        self._event_log = EventLog(self.counters, partial(self.loop.call_later, _LOG_AFTER_SECS))
        self._pending_input = PendingInput(self.loop)
        self._changed_ramps: dict[ScopeGate, None] = {}
        self._queue = CommandQueue(
            self.loop,
            prepare=self._prepare_for_batch,
            write=self._write_or_fail,
        )
        self._unsaved = UnsavedChanges()
        self._store_writer = StoreWriter(
            store,
            self._unsaved,
            self.counters,
            self.clock,
            on_history=lambda: self._call(self.on_history, "on_history"),
            on_store_down=self._note_store_down,
        )

    @property
    def is_leader(self) -> bool:
        """Whether this sidecar does the work that only one sidecar of a fleet should do."""
        return True

    async def share_watchdog(self, alertname: str, notice: WatchdogNotice) -> bool:  # noqa: ARG002 - a fleet's
        """Tell the fleet that the watchdog alert was received. Without a fleet this does nothing.

        Returns:
            False: the fleet knows that it is the late resolve of an alert that has fired again.
        """
        return True

    async def start(self) -> None:
        """Load the stored state, end what has expired since, and start to accept commands.

        Raises:
            StoreError: the store cannot be read.
        """
        # This must precede the first use of the wall clock, so that every later step back is detected.
        self._clock_steps = ClockSteps(self.clock)
        stored = await self._store.load(self.clock.now())
        records = valid_records(stored.records)
        self._remember_loaded(stored, records)
        self.core_state = CoreState(
            self._policies,
            records,
            stored.tombstones,
            self._max_scopes,
            self._max_signals,
            max_tombstones=self._max_tombstones,
            seen_watchdog=stored.seen_watchdog,
        )
        self._make_parts(stored)
        now, wall = self.clock.monotonic(), self.clock.now()
        shown = self._shown_records(self.core_state.records)
        for gate in self.tree.update(shown, now).closed:
            if gate.hold is not None:
                gate.set_state(gate.state._replace(closed_at=now - max(0.0, wall - gate.hold.since)))
        for _ in self._schedule_expiry(self.core_state.records):
            pass
        self._writer = self.loop.create_task(
            run_supervised("writer", self._queue.run, self.counters.task_failures)
        )
        now = self.clock.now()
        if stored.last_written_at is not None:
            self._clock_steps.set_last_seen(stored.last_written_at)
            fields = {
                "scopes": len(stored.records),
                "down_secs": round(max(0.0, now - stored.last_written_at), 1),
            }
            logger.info("restored", extra={"fields": fields})
        await self._expire_at_start()
        self._sweeper = self.loop.create_task(
            run_supervised("sweeper", self._sweep_forever, self.counters.task_failures)
        )
        self._tick_due = self.loop.time() + _TICK_SECS
        self._ticker = self._every(_TICK_SECS, self._tick, "ticker")

    def _make_parts(self, stored: StoredState) -> None:
        """Create the parts that need the core state, which was built from ``stored``."""
        self.tree = GateTree(self._policies, stored.version, self.waiting_room, stored.version_step)
        self._gate_updater = GateUpdater(
            self.tree,
            self.waiting_room,
            self.streams,
            self.counters.task_failures,
            on_structure_change=lambda: self._call(self.on_structure_change, "on_structure_change"),
            on_gate_change=lambda: self._call(self.on_gate_change, "on_gate_change"),
        )
        self._expiry_timer = ExpiryTimer(self.loop, self.clock, self._expire, self.counters.task_failures)
        self._effects = CommitEffects(
            self.core_state,
            self.tree,
            self._gate_updater,
            self._event_log,
            counters=self.counters,
            clock=self.clock,
            time_slice=self._time_slice,
            shown_records=self._shown_records,
            schedule_expiry=self._schedule_expiry,
        )
        self._decider = BatchDecider(
            self.core_state,
            self.tree,
            self.counters,
            self.clock,
            time_slice=self._time_slice,
            on_failed=self._try_again_later,
        )
        self._idle_scopes = IdleScopes(
            self.tree,
            self.clock,
            self._scope_idle_secs,
            time_slice=self._time_slice,
            forget=self._forget,
            on_none=self._write_heartbeat,
        )

    def _remember_loaded(self, stored: StoredState, records: dict[str, ScopeRecord]) -> None:
        """Record which parts of ``stored`` the first commit has to change.

        Args:
            stored: the state as it was read.
            records: the valid records in it.
        """
        # The first commit removes the other records from the store.
        self._unsaved.scopes |= stored.records.keys() - records.keys()
        self._store_writer.heartbeat_due = bool(self._unsaved.scopes)

    async def _expire_at_start(self) -> None:
        await self.submit(Expire(tuple(self.core_state.records)))

    def _every(self, secs: float, call: Callable[[], None], name: str) -> RepeatingTimer:
        return RepeatingTimer(self.loop, secs, call, name=name, failures=self.counters.task_failures)

    async def stop(self) -> None:
        """Reject parked requests, finish the submitted commands, and close the store."""
        self.waiting_room.shut_down(list(self.tree.gates.values()))
        self._queue.stop()
        self._sweeper.cancel()
        self._ticker.stop()
        self._expiry_timer.stop()
        await self._writer
        self._event_log.stop()
        try:
            await self.loop.run_in_executor(None, self._event_log.flush)
        finally:
            await self._store.close()

    def submit(self, command: Command, actor: str = "") -> asyncio.Future[CommandOutcome]:
        """Submit ``command`` on behalf of ``actor``. The result is set when it is durable and applied.

        The result may raise:
            CoreError: the command was refused and changed nothing.
            StoreUnavailable: the command could not be stored and changed nothing.
            ShuttingDown: the command came after the shutdown began.
        """
        return self._queue.submit(command, actor)

    async def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        """The entries that match ``query``, newest first. Raises `StoreUnavailable`."""
        return await self._store.history(query)

    @property
    def history_store(self) -> Store:
        """The store, for readers of the history. Only the controller commits."""
        return self._store

    # -- writing ----------------------------------------------------------------------------------

    async def _write_or_fail(self, batch: list[PendingCommand]) -> None:
        try:
            with collection_paused() if self._is_large(batch) else nullcontext():
                await self._write_batch(batch)
        except Exception as error:  # noqa: BLE001 - recorded; the next batch is still written
            self.counters.task_failures.record("writer")
            for pending in batch:
                fail(pending, error)
            if isinstance(error, GatesBehind):
                # The batch is durable and applied to the core state. Only the gates do not show it yet.
                self.loop.call_later(_AGAIN_SECS, self._expire, ())
                return
            for pending in batch:
                self._try_again_later(pending.command)

    def _is_large(self, batch: list[PendingCommand]) -> bool:
        known = len(self.core_state.records)
        return sum(work_items(pending.command, known) for pending in batch) >= _LARGE_BATCH

    def _try_again_later(self, command: Command) -> None:
        """Retry expiries later. Clients repeat their own commands."""
        if isinstance(command, ShiftTime):
            # No stored time was shifted, so the clock step is reported again.
            self._clock_steps.put_back(command.secs)
        if isinstance(command, Expire):
            # A hold whose end was missed would never end.
            self.loop.call_later(_AGAIN_SECS, self._expire, command.scopes)

    async def _prepare_for_batch(self) -> None:
        """Apply the pending changes of gates that no command causes."""
        if self._changed_ramps:
            gates, self._changed_ramps = self._changed_ramps, {}
            await self._gate_updater.show_ramps(gates, self._time_slice())

    async def _write_batch(self, batch: list[PendingCommand]) -> None:
        self._prepend_time_shift(batch)
        decided, transaction = await self._decider.decide(batch)
        outcomes = [outcome for _, outcome in decided]
        try:
            await self._store_writer.commit(self.core_state, transaction, outcomes)
        except StoreUnavailable as error:
            for pending, _ in decided:
                if not isinstance(pending.command, Expire | ShiftTime):
                    fail(pending, error)
            rest = [one for one, _ in decided if not one.answer.done()]
            self._prepend_time_shift(rest)
            decided, transaction = await self._decider.decide(rest)
            outcomes = [outcome for _, outcome in decided]
            self._unsaved.add(transaction, outcomes)
        await self._effects.apply(transaction, outcomes)
        for pending, outcome in decided:
            if not pending.answer.done():
                pending.answer.set_result(outcome)
        if len(transaction.records) >= _LARGE_BATCH:
            # Releasing the batch at once would block the event loop for milliseconds.
            spent: list[object] = [transaction]
            del transaction
            self.loop.run_in_executor(None, release_in_pieces, spent)

    def _note_store_down(self, error: str) -> None:
        note = HistoryNoted(ROOT, self.clock.now(), "store", "up", "down", "store", error)
        self._unsaved.events.append(note)
        self._call(lambda: self.on_store_down(note), "on_store_down")

    def _shown_records(self, records: Records) -> Records:
        """The records that the gates show for ``records``."""
        return records

    def _time_slice(self) -> TimeSlice:
        """The time slice of a batch, which the steps of the batch share."""
        return TimeSlice(_MIN_SLICE_SECS, _SLICE_SECS, self._pending_input)

    def _call(self, listener: Callable[[], None], name: str) -> None:
        try:
            listener()
        except Exception:  # noqa: BLE001 - recorded; parked requests are still answered
            self.counters.task_failures.record(name)

    def _ramp_changed(self, gate: ScopeGate) -> None:
        self._changed_ramps[gate] = None
        self._queue.wake.set()

    def _trial_ended(self, gate: ScopeGate, trial: Trial, failure: str) -> None:
        """The outcome of a trial is known."""
        self._queue.submit_and_forget(EndTrial(gate.scope, trial.since, failure))

    # -- time -------------------------------------------------------------------------------------

    def _schedule_expiry(self, scopes: Iterable[str]) -> Iterator[None]:
        """Schedule the next change by time alone of each of ``scopes``, a few per step."""
        for number, scope in enumerate(scopes, 1):
            gate = self.tree.gates.get(scope)
            due = None if gate is None else next_deadline(gate.record, gate.policy, self.clock.now())
            self._expiry_timer.schedule(scope, due)
            if number % _SCHEDULED_AT_ONCE == 0:
                yield

    def _expire(self, scopes: tuple[str, ...]) -> None:
        self._queue.submit_and_forget(Expire(scopes))

    def _tick(self) -> None:
        """Called once a second: detect a late loop, a clock that was set, and a store that is back."""
        self.counters.lags.append(max(0.0, self.loop.time() - self._tick_due))
        self._tick_due = self.loop.time() + _TICK_SECS
        # The writer shifts the stored times before it decides anything.
        if self._clock_steps.has_stepped or not self.counters.store_up:
            self._queue.submit_and_forget(Expire(()))

    def _prepend_time_shift(self, batch: list[PendingCommand]) -> None:
        """If the clock was set back, put a command first that shifts all earlier times."""
        step = self._clock_steps.take()
        if step:
            batch.insert(0, PendingCommand(ShiftTime(step), self.loop.create_future()))

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self._idle_scopes.interval_secs)
            await self._sweep()

    async def _sweep(self) -> None:
        await self._idle_scopes.sweep()

    def _write_heartbeat(self) -> None:
        if not self._queue.is_stopping:
            self._store_writer.heartbeat_due = True
            self._queue.submit_and_forget(Expire(()))

    async def _forget(self, idle: list[str]) -> None:
        """Forget the scopes of ``idle``, many at a time. The next sweep finds scopes that were not
        forgotten.
        """
        with suppress(CoreError, StoreUnavailable, ShuttingDown):
            for start in range(0, len(idle), _FORGOTTEN_AT_ONCE):
                await self.submit(ForgetScopes(tuple(idle[start : start + _FORGOTTEN_AT_ONCE])))
