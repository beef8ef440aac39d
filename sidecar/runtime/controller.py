"""The controller: the one writer of all state.

The writer takes all pending commands, decides them in order in one transaction, commits the transaction to
the store, applies it and wakes waiters. Only then does it complete the commands. Commands that arrive during
a commit share the next transaction.

A batch may affect ten thousand scopes and as many parked requests. Everything that grows with a batch runs in
time slices; `gate_updates` says how the gates change.

If the store fails, the commands of the batch fail and change nothing. Changes by time alone (holds that end,
signals that expire) still apply, because they would also apply after a restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import chain

from sidecar.clock import Clock
from sidecar.core.commands import Command, CommandOutcome, EndTrial, Expire, ForgetScopes, ShiftTime
from sidecar.core.errors import CoreError
from sidecar.core.events import CoreEvent, HistoryNoted
from sidecar.core.model import CoreState, StateDelta
from sidecar.core.policy import PolicyTable
from sidecar.core.scope import ROOT
from sidecar.core.scope_update import next_deadline
from sidecar.core.transaction import Transaction
from sidecar.core.values import ScopeRecord, Tombstone, Trial
from sidecar.gates.counters import Counters
from sidecar.gates.event_streams import EventStreams
from sidecar.gates.gate import ScopeGate
from sidecar.gates.tree import GateTree, TreeUpdate
from sidecar.gates.waiting_room import WaitingRoom
from sidecar.store import (
    Batch,
    HistoryEntry,
    HistoryQuery,
    Store,
    StoredState,
    StoreUnavailable,
    WatchdogNotice,
)
from sidecar.supervision import RepeatingTimer, run_supervised, supervised_steps
from sidecar.time_slice import PendingInput, TimeSlice, release_in_pieces, run_in_slices

from .clock_steps import ClockSteps
from .event_log import EventLog
from .expiry_timer import ExpiryTimer
from .garbage import collection_paused
from .gate_updates import GatesBehind, GateUpdater
from .pending_commands import DecisionFailed, PendingCommand, apply_command, fail, work_items
from .stored_scopes import valid_records

logger = logging.getLogger(__name__)

_TICK_SECS = 1.0
_MAX_UNSAVED_EVENTS = 10_000

_MAX_INLINE = 16
"""A command with more alerts or scopes is decided in a thread. One alert takes up to 100 microseconds."""

_FORGOTTEN_AT_ONCE = 1_000
"""Idle scopes that one command forgets."""

_LARGE_BATCH = 500
"""During a batch with as many alerts or scopes, no garbage is collected."""

_SLICE_SECS = 0.0015
"""Seconds that a batch may hold the loop at most before other work runs."""

_MIN_SLICE_SECS = 0.0002
"""Seconds that it holds the loop at least, and after which it checks whether a client has sent something."""

_LOG_AFTER_SECS = 0.001
"""The responses to events go before their lines in the log."""

_AGAIN_SECS = 1.0
"""Seconds after which failed work is tried again."""


class ShuttingDown(Exception):
    """The command arrived after the shutdown began."""


class Controller:
    """Owns the core state, the tree of gates, the waiters and the counters.

    Args:
        policies: the policies of the config.
        store: keeps the state.
        max_scopes: the most known scopes.
        max_signals: the most signals of one scope.
        max_tombstones: the most remembered ended alerts.
        scope_idle_secs: seconds after which a scope without signal, hold or waiter is forgotten.
        clock: the time source.

    Attributes:
        on_structure_change: called in the step in which paths change their gate, or policies change.
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
        self.waiting_room.admission.on_change = self._ramp_ended
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
        self._pending: list[PendingCommand] = []
        self._ended_ramps: dict[ScopeGate, None] = {}
        self._wake = asyncio.Event()
        self._stopping = False
        # Changes by time alone while the store was down: they have to be stored as soon as it is up.
        self._unsaved_scopes: set[str] = set()
        self._unsaved_tombstones: dict[str, Tombstone | None] = {}
        self._unsaved_events: list[CoreEvent] = []
        self._heartbeat_due = False

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
        # Before the first use of the wall clock, so that every later step back is detected.
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
        version = stored.version
        self.tree = GateTree(self._policies, version, self.waiting_room, stored.version_step)
        self._gate_updater = GateUpdater(
            self.tree,
            self.waiting_room,
            self.streams,
            self.counters.task_failures,
            on_structure_change=lambda: self._call(self.on_structure_change, "on_structure_change"),
            on_gate_change=lambda: self._call(self.on_gate_change, "on_gate_change"),
        )
        self._expiry_timer = ExpiryTimer(self.loop, self.clock, self._expire, self.counters.task_failures)
        now, wall = self.clock.monotonic(), self.clock.now()
        shown = self._shown_records(self.core_state.records)
        for gate in self.tree.update(shown, now).closed:
            if gate.hold is not None:
                gate.set_state(gate.state._replace(closed_at=now - max(0.0, wall - gate.hold.since)))
        for _ in self._schedule_expiry(self.core_state.records):
            pass
        self._writer = self.loop.create_task(
            run_supervised("writer", self._write, self.counters.task_failures)
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

    def _remember_loaded(self, stored: StoredState, records: dict[str, ScopeRecord]) -> None:
        """Remember which parts of ``stored`` the first commit has to change.

        Args:
            stored: the state as it was read.
            records: the valid records in it.
        """
        # The first commit removes the other records from the store.
        self._unsaved_scopes |= stored.records.keys() - records.keys()
        self._heartbeat_due = bool(self._unsaved_scopes)

    async def _expire_at_start(self) -> None:
        await self.submit(Expire(tuple(self.core_state.records)))

    def _every(self, secs: float, call: Callable[[], None], name: str) -> RepeatingTimer:
        return RepeatingTimer(self.loop, secs, call, name=name, failures=self.counters.task_failures)

    async def stop(self) -> None:
        """Reject parked requests, finish the submitted commands, and close the store."""
        self.waiting_room.shut_down(list(self.tree.gates.values()))
        self._stopping = True
        self._sweeper.cancel()
        self._ticker.stop()
        self._expiry_timer.stop()
        self._wake.set()
        await self._writer
        await self.loop.run_in_executor(None, self._event_log.flush)
        await self._store.close()

    def submit(self, command: Command, actor: str = "") -> asyncio.Future[CommandOutcome]:
        """Submit ``command`` on behalf of ``actor``. The result is set when it is durable and applied.

        The result may raise:
            CoreError: the command was refused and changed nothing.
            StoreUnavailable: the command could not be stored and changed nothing.
            ShuttingDown: the command came after the shutdown began.
        """
        answer: asyncio.Future[CommandOutcome] = self.loop.create_future()
        if self._stopping:
            answer.set_exception(ShuttingDown("the sidecar is shutting down"))
        else:
            self._pending.append(PendingCommand(command, answer, actor))
            self._wake.set()
        return answer

    def _submit_and_forget(self, command: Command) -> None:
        """Submit ``command`` without waiting for its result. If it fails, a timer submits it again."""
        self.submit(command).add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    async def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        """The entries that match ``query``, newest first. Raises `StoreUnavailable`."""
        return await self._store.history(query)

    @property
    def history_store(self) -> Store:
        """The store, for readers of the history. Only the controller commits."""
        return self._store

    # -- writing ----------------------------------------------------------------------------------

    async def _write(self) -> None:
        while self._pending or not self._stopping:
            self._wake.clear()
            await self._prepare_for_batch()
            if not self._pending:
                await self._wait_for_work()
                continue
            batch, self._pending = self._pending, []
            await self._write_or_fail(batch)
            # Who submitted ten thousand alerts releases them in pieces. So nothing of them must be left here.
            del batch

    async def _write_or_fail(self, batch: list[PendingCommand]) -> None:
        try:
            with collection_paused() if self._is_large(batch) else nullcontext():
                await self._write_batch(batch)
        except Exception as error:  # noqa: BLE001 - recorded; the next batch is still written
            self.counters.task_failures.record("writer")
            for pending in batch:
                fail(pending, error)
            if isinstance(error, GatesBehind):
                # The batch is applied and durable. Only the gates do not show it yet.
                self.loop.call_later(_AGAIN_SECS, self._expire, ())
                return
            for pending in batch:
                self._try_again_later(pending.command)

    async def _wait_for_work(self) -> None:
        await self._wake.wait()

    def _is_large(self, batch: list[PendingCommand]) -> bool:
        known = len(self.core_state.records)
        return sum(work_items(pending.command, known) for pending in batch) >= _LARGE_BATCH

    def _try_again_later(self, command: Command) -> None:
        """Retry changes by time alone later. A client repeats its own command."""
        if isinstance(command, ShiftTime):
            # Nothing was shifted, so the step is reported again.
            self._clock_steps.put_back(command.secs)
        if isinstance(command, Expire):
            # A hold whose end was missed would never end.
            self.loop.call_later(_AGAIN_SECS, self._expire, command.scopes)

    async def _prepare_for_batch(self) -> None:
        """Apply changes to the gates that are not commands."""
        if self._ended_ramps:
            await self._publish_ended_ramps()

    async def _write_batch(self, batch: list[PendingCommand]) -> None:
        self._prepend_time_shift(batch)
        decided, transaction = await self._decide(batch)
        try:
            await self._commit(transaction, decided)
        except StoreUnavailable as error:
            for pending, _ in decided:
                if not isinstance(pending.command, Expire | ShiftTime):
                    fail(pending, error)
            rest = [one for one, _ in decided if not one.answer.done()]
            self._prepend_time_shift(rest)
            decided, transaction = await self._decide(rest)
            self._unsaved_scopes |= transaction.records.keys()
            self._unsaved_tombstones |= transaction.tombstones
            self._unsaved_events += [event for _, outcome in decided for event in outcome.events]
            del self._unsaved_events[:-_MAX_UNSAVED_EVENTS]
        await self._apply(transaction, [outcome for _, outcome in decided])
        for pending, outcome in decided:
            if not pending.answer.done():
                pending.answer.set_result(outcome)
        if len(transaction.records) >= _LARGE_BATCH:
            # The event loop would take milliseconds to release it.
            spent: list[object] = [transaction]
            del transaction
            self.loop.run_in_executor(None, release_in_pieces, spent)

    async def _decide(
        self, batch: list[PendingCommand]
    ) -> tuple[list[tuple[PendingCommand, CommandOutcome]], Transaction]:
        """Decide ``batch``.

        A command that raises an unexpected exception fails alone. Its changes are discarded with the
        transaction, and the other commands are decided in a new one.
        """
        while True:
            transaction = Transaction(self.core_state)
            try:
                return await self._decide_in(batch, transaction), transaction
            except DecisionFailed as failed:
                if isinstance(failed.pending.command, ShiftTime):
                    # Otherwise the others would be decided on times that are not shifted.
                    raise
                self.counters.task_failures.record("writer")
                # In place: otherwise the caller would try it again if a later step fails.
                batch.remove(failed.pending)
                fail(failed.pending, failed.error)
                self._try_again_later(failed.pending.command)

    async def _decide_in(
        self, batch: list[PendingCommand], transaction: Transaction
    ) -> list[tuple[PendingCommand, CommandOutcome]]:
        now = self.clock.now()
        known = len(self.core_state.records)
        for pending in batch:
            if isinstance(pending.command, ForgetScopes):
                pending.command = replace(
                    pending.command, scopes=self._without_waiters(pending.command.scopes)
                )
        decided: list[tuple[PendingCommand, CommandOutcome]] = []
        refused: list[tuple[PendingCommand, CoreError]] = []
        time_slice = self._time_slice()
        # Only this writer changes the state that decisions read, and it waits here. The loop serves gates.
        for pending in batch:
            one = partial(apply_command, pending, transaction, now)
            if work_items(pending.command, known) <= _MAX_INLINE:
                outcome = one()
            else:
                outcome = await self.loop.run_in_executor(None, one)
            if isinstance(outcome, CoreError):
                refused.append((pending, outcome))
            else:
                decided.append((pending, outcome))
            if pending is not batch[-1] and time_slice.expired:
                await time_slice.yield_to_others()
        for pending, error in refused:
            fail(pending, error)
        return decided

    async def _commit(
        self, transaction: Transaction, decided: list[tuple[PendingCommand, CommandOutcome]]
    ) -> None:
        parts = [outcome.events for _, outcome in decided if outcome.events]
        # Not copied if there is one: it may be long.
        events = parts[0] if len(parts) == 1 else tuple(chain.from_iterable(parts))
        forgotten = transaction.forgets
        beat = self._heartbeat_due or not self.counters.store_up
        heard = transaction.seen_watchdog
        newly_seen = heard != self.core_state.seen_watchdog
        if not (events or transaction.tombstones or transaction.rewritten or forgotten or newly_seen or beat):
            return
        unsaved = {scope: self.core_state.records.get(scope) for scope in self._unsaved_scopes}
        if not self.counters.store_up:
            back = HistoryNoted(ROOT, self.clock.now(), "store", "down", "up", "store", "commits succeed")
            events = (*events, back)
        batch = Batch(
            {**unsaved, **transaction.records} if unsaved else transaction.records,
            {**self._unsaved_tombstones, **transaction.tombstones}
            if self._unsaved_tombstones
            else transaction.tombstones,
            (*self._unsaved_events, *events) if self._unsaved_events else events,
            frozenset(self._unsaved_scopes | transaction.rewritten),
            self.clock.now(),
            heard if newly_seen else None,
        )
        began = self.clock.monotonic()
        try:
            await self._store.commit(batch)
        except StoreUnavailable as error:
            if self.counters.store_up:
                logger.error("store_down", extra={"fields": {"error": str(error)}})
                self._note_store_down(str(error))
            self.counters.store_errors += 1
            self.counters.store_up = False
            raise
        if not self.counters.store_up:
            logger.warning("store_up")
        self.counters.store_up = True
        self._heartbeat_due = False
        self._unsaved_scopes.clear()
        self._unsaved_tombstones.clear()
        self._unsaved_events.clear()
        self.counters.commits.observe(self.clock.monotonic() - began)
        if batch.events:
            self._call(self.on_history, "on_history")

    def _note_store_down(self, error: str) -> None:
        note = HistoryNoted(ROOT, self.clock.now(), "store", "up", "down", "store", error)
        self._unsaved_events.append(note)
        self._call(lambda: self.on_store_down(note), "on_store_down")

    async def _apply(self, delta: StateDelta, outcomes: list[CommandOutcome]) -> None:
        """Apply a durable transaction. Raises `GatesBehind`."""
        policies = delta.policies
        policies_changed = policies is not self.core_state.policies
        time_slice = self._time_slice()
        # Only the writer decides, and it waits here.
        await run_in_slices(self.core_state.apply_in_steps(delta), time_slice)
        await self._change_gates(
            TreeUpdate(
                self._shown_records(delta.records),
                self.clock.monotonic(),
                policies if policies_changed else None,
            ),
            outcomes,
            time_slice,
        )

    async def _change_gates(
        self, update: TreeUpdate, outcomes: list[CommandOutcome], time_slice: TimeSlice
    ) -> None:
        """Change the gates by ``update``, notify the parked requests, and count and log the outcomes."""
        concerned = update.records
        with ExitStack() as pauses:

            def pause_collection() -> None:
                pauses.enter_context(collection_paused())

            update = await self._gate_updater.apply(update, self._full_update, time_slice, pause_collection)
            await self._after_gates_changed(update, concerned, outcomes, time_slice, pause_collection)

    async def _after_gates_changed(
        self,
        update: TreeUpdate,
        concerned: Iterable[str],
        outcomes: list[CommandOutcome],
        time_slice: TimeSlice,
        on_large: Callable[[], None] = lambda: None,
    ) -> None:
        """Do what follows from ``update``, which has changed the gates.

        Args:
            update: the update.
            concerned: the scopes whose record has changed.
            outcomes: what was decided, to count and to log.
            time_slice: when it has run out, other work runs.
            on_large: called once if many requests are concerned.
        """
        await self._gate_updater.notify(update, time_slice, on_large)
        counted = self._event_log.count(outcomes, self.tree, self.clock.now())
        await run_in_slices(self._supervised("event_log", counted), time_slice)
        if update.policies is not None:
            concerned = self.core_state.records
        await run_in_slices(self._supervised("expiry_timer", self._schedule_expiry(concerned)), time_slice)
        try:
            self._event_log.log(outcomes)
        except Exception:  # noqa: BLE001 - recorded; the history has the events
            self.counters.task_failures.record("event_log")
        await run_in_slices(update.release(), time_slice)

    def _shown_records(self, records: Mapping[str, ScopeRecord | None]) -> Mapping[str, ScopeRecord | None]:
        """The records that the gates show for ``records``."""
        return records

    def _time_slice(self) -> TimeSlice:
        """The time slice of a batch, which the steps of the batch share."""
        return TimeSlice(_MIN_SLICE_SECS, _SLICE_SECS, self._pending_input)

    def _full_update(self) -> TreeUpdate:
        """The update that derives all gates from all records."""
        records = self.core_state.records
        forgotten = [scope for scope in self.tree.gates if scope not in records]
        return TreeUpdate(
            self._shown_records({**records, **dict.fromkeys(forgotten)}),
            self.clock.monotonic(),
            self.core_state.policies,
        )

    def _supervised(self, name: str, steps: Iterable[None]) -> Iterator[None]:
        return supervised_steps(name, steps, self.counters.task_failures)

    def _call(self, listener: Callable[[], None], name: str) -> None:
        try:
            listener()
        except Exception:  # noqa: BLE001 - recorded; parked requests are still answered
            self.counters.task_failures.record(name)

    def _ramp_ended(self, gate: ScopeGate) -> None:
        self._ended_ramps[gate] = None
        self._wake.set()

    async def _publish_ended_ramps(self) -> None:
        """Publish that ramps have ended, with a new version of each snapshot."""
        gates, self._ended_ramps = self._ended_ramps, {}
        time_slice = self._time_slice()
        for gate in gates:
            if self.tree.gates.get(gate.scope) is gate:
                self.tree.renew_version(gate)
                await run_in_slices(self.waiting_room.notify_watchers(gate), time_slice)

    def _trial_ended(self, gate: ScopeGate, trial: Trial, failure: str) -> None:
        """The outcome of a trial is known."""
        self._submit_and_forget(EndTrial(gate.scope, trial.since, failure))

    def _without_waiters(self, scopes: Iterable[str]) -> tuple[str, ...]:
        """``scopes`` without scopes at which requests were parked since they were found idle."""
        gates = self.tree.gates
        return tuple(scope for scope in scopes if scope in gates and not gates[scope].waiting)

    # -- time -------------------------------------------------------------------------------------

    def _schedule_expiry(self, scopes: Iterable[str]) -> Iterator[None]:
        """Schedule the next change by time alone of each of ``scopes``, one per step."""
        for scope in scopes:
            gate = self.tree.gates.get(scope)
            due = None if gate is None else next_deadline(gate.record, gate.policy, self.clock.now())
            self._expiry_timer.schedule(scope, due)
            yield

    def _expire(self, scopes: tuple[str, ...]) -> None:
        self._submit_and_forget(Expire(scopes))

    def _tick(self) -> None:
        """Once a second: detect a late loop, a clock that was set, and a store that is up again."""
        self.counters.lags.append(max(0.0, self.loop.time() - self._tick_due))
        self._tick_due = self.loop.time() + _TICK_SECS
        # The writer shifts the stored times before it decides anything.
        if self._clock_steps.has_stepped or not self.counters.store_up:
            self._submit_and_forget(Expire(()))

    def _prepend_time_shift(self, batch: list[PendingCommand]) -> None:
        """If the clock was set back, put a command first that shifts all earlier times."""
        step = self._clock_steps.take()
        if step:
            batch.insert(0, PendingCommand(ShiftTime(step), self.loop.create_future()))

    @property
    def _sweep_secs(self) -> float:
        return min(60.0, max(1.0, self._scope_idle_secs / 10))

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_secs)
            await self._sweep()

    async def _sweep(self) -> None:
        """Forget the scopes that have been idle for long enough."""
        idle = []
        time_slice = self._time_slice()
        for gate in list(self.tree.gates.values()):
            if self._is_idle(gate, self.clock.monotonic()):
                idle.append(gate.scope)
            if time_slice.expired:
                await time_slice.yield_to_others()
        if idle:
            await self._forget(idle)
        elif not self._stopping:
            self._heartbeat_due = True
            self._submit_and_forget(Expire(()))

    async def _forget(self, idle: list[str]) -> None:
        """Forget the scopes of ``idle``, many at a time. The next sweep finds those that could not be."""
        with suppress(CoreError, StoreUnavailable, ShuttingDown):
            for start in range(0, len(idle), _FORGOTTEN_AT_ONCE):
                await self.submit(ForgetScopes(tuple(idle[start : start + _FORGOTTEN_AT_ONCE])))

    def _is_idle(self, gate: ScopeGate, now: float) -> bool:
        if gate.waiting or not gate.record.is_empty:
            gate.active_at = now
        return now - gate.active_at >= self._scope_idle_secs
