"""The controller: the one writer of all state.

Commands come in one at a time or many at once. The writer takes all that wait, decides them in turn
on one draft, has the store keep the draft, applies it, wakes whoever it lets through, and only then
answers. While a commit is under way further commands gather, so that many cost one commit.

If the store fails, nothing of the batch happened and its commands are told so; what time alone does
(holds that end, signals that expire) happens all the same: after a restart it would too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sidecar.core.changes import Change
from sidecar.core.commands import Command, Forget, Lapse, Notify, Reconcile, ShiftTime
from sidecar.core.draft import Draft, Outcome
from sidecar.core.errors import CoreError
from sidecar.core.policy import PolicyTable
from sidecar.core.transition import next_deadline
from sidecar.core.values import Tombstone
from sidecar.core.world import World
from sidecar.store import Batch, Entry, HistoryQuery, Store, StoreUnavailable

from .agenda import Agenda
from .clock import Clock
from .counters import Counters
from .gate import Gate
from .journal import Journal
from .parking import Parking
from .streams import Streams
from .tree import Tree, Update

logger = logging.getLogger(__name__)

_TICK_SECS = 1.0
_STEP_SECS = 1.5
"""A clock that moved by more than this between two ticks was set."""

_MAX_OWED_CHANGES = 10_000

_AT_ONCE_ALERTS = 50
"""What is about more alerts is decided by a thread."""


class ShuttingDown(Exception):
    """A command that came too late."""


@dataclass(slots=True)
class _Pending:
    command: Command
    answer: asyncio.Future[Outcome]
    actor: str = ""


class Controller:
    """Owns the world, the tree of gates, the waiters and the counters.

    Args:
        policies: the config's.
        store: keeps the world.
        max_scopes: how many scopes may be known.
        max_signals: how many signals a scope may have.
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
        scope_idle_secs: float = 86_400.0,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.counters = Counters()
        self.loop = asyncio.get_running_loop()
        self.parking = Parking(self.loop, self.counters)
        self.streams = Streams()
        self.on_reshape: Callable[[], None] = lambda: None
        self.on_turn: Callable[[], None] = lambda: None
        self._policies = policies
        self._store = store
        self._max_scopes = max_scopes
        self._max_signals = max_signals
        self._scope_idle_secs = scope_idle_secs
        self._journal = Journal(self.counters, self.loop)
        self._pending: list[_Pending] = []
        self._wake = asyncio.Event()
        self._stopping = False
        # What time alone did while the store was down: it has to be kept as soon as it is up.
        self._owed_scopes: set[str] = set()
        self._owed_tombstones: dict[str, Tombstone | None] = {}
        self._owed_changes: list[Change] = []
        self._beat_due = False

    async def start(self) -> None:
        """Load what was kept, let the time that has passed have its way, and begin to take commands.

        Raises:
            StoreError: the store cannot be read.
        """
        kept = await self._store.load(self.clock.now())
        self.world = World(self._policies, kept.records, kept.tombstones, self._max_scopes, self._max_signals)
        version = kept.version
        self.tree = Tree(self._policies, version, self.parking)
        self._agenda = Agenda(self.loop, self.clock, self._time_is_up)
        now, wall = self.clock.monotonic(), self.clock.now()
        for gate in self.tree.update(self.world.records, now).closed:
            if gate.hold is not None:
                gate.closed_at = now - max(0.0, wall - gate.hold.since)
        self._plan(self.world.records)
        self._writer = self.loop.create_task(self._write())
        now = self.clock.now()
        if kept.seen_at is not None:
            if kept.seen_at > now + _STEP_SECS:
                self._clock_went_back(now - kept.seen_at)
            fields = {"scopes": len(kept.records), "down_secs": round(max(0.0, now - kept.seen_at), 1)}
            logger.info("restored", extra={"fields": fields})
        await self.submit(Lapse(tuple(self.world.records)))
        self._sweeper = self.loop.call_later(self._sweep_secs, self._sweep)
        self._drift = self.clock.now() - self.clock.monotonic()
        self._tick_due = self.loop.time() + _TICK_SECS
        self._ticker = self.loop.call_later(_TICK_SECS, self._tick)

    async def stop(self) -> None:
        """Turn away whoever is parked, finish what was asked, and close the store."""
        self.parking.shut_down(list(self.tree.gates.values()))
        self._stopping = True
        self._sweeper.cancel()
        self._ticker.cancel()
        self._agenda.stop()
        self._wake.set()
        await self._writer
        self._journal.flush()
        await self._store.close()

    def submit(self, command: Command, actor: str = "") -> asyncio.Future[Outcome]:
        """Ask for ``command``, on behalf of ``actor``; the answer comes once it is durable and true.

        The answer may raise:
            CoreError: it was refused; nothing of it was done.
            StoreUnavailable: it could not be kept; nothing of it was done.
            ShuttingDown: it came too late.
        """
        answer: asyncio.Future[Outcome] = self.loop.create_future()
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
                    if isinstance(pending.command, Lapse):
                        # A hold whose end was missed would never end.
                        self.loop.call_later(1.0, self._time_is_up, pending.command.scopes)

    async def _write_batch(self, batch: list[_Pending]) -> None:
        draft = Draft(self.world)
        decided = await self._decide(batch, draft)
        try:
            await self._commit(draft, decided)
        except StoreUnavailable as error:
            for pending, _ in decided:
                if not isinstance(pending.command, Lapse | ShiftTime):
                    _fail(pending, error)
            draft = Draft(self.world)
            decided = await self._decide([one for one, _ in decided if not one.answer.done()], draft)
            self._owed_scopes |= draft.records.keys()
            self._owed_tombstones |= draft.tombstones
            self._owed_changes += [change for _, outcome in decided for change in outcome.changes]
            del self._owed_changes[:-_MAX_OWED_CHANGES]
        self._apply(draft, [outcome for _, outcome in decided])
        for pending, outcome in decided:
            if not pending.answer.done():
                pending.answer.set_result(outcome)

    async def _decide(self, batch: list[_Pending], draft: Draft) -> list[tuple[_Pending, Outcome]]:
        now = self.clock.now()
        if sum(_size(pending.command) for pending in batch) <= _AT_ONCE_ALERTS:
            decided, refused = _perform(batch, draft, now)
        else:
            # Only this writer changes what is decided from, and it waits; the loop goes on with its gates.
            decided, refused = await self.loop.run_in_executor(None, _perform, batch, draft, now)
        for pending, error in refused:
            _fail(pending, error)
        return decided

    async def _commit(self, draft: Draft, decided: list[tuple[_Pending, Outcome]]) -> None:
        changes = tuple(change for _, outcome in decided for change in outcome.changes)
        forgotten = any(record is None for record in draft.records.values())
        beat = self._beat_due or not self.counters.store_up
        if not (changes or draft.tombstones or draft.rewritten or forgotten or beat):
            return
        owed = {scope: self.world.records.get(scope) for scope in self._owed_scopes}
        batch = Batch(
            {**owed, **draft.records},
            {**self._owed_tombstones, **draft.tombstones},
            (*self._owed_changes, *changes),
            frozenset(self._owed_scopes | draft.rewritten),
            self.clock.now(),
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
        self._owed_changes.clear()
        self.counters.commits.observe(self.clock.monotonic() - began)

    def _apply(self, draft: Draft, outcomes: list[Outcome]) -> None:
        now = self.clock.monotonic()
        repolicied = draft.policies is not self.world.policies
        self.world.apply(draft)
        if repolicied:
            self._policies = draft.policies
            self._show(self.tree.set_policies(draft.policies, now))
        update = self.tree.update(draft.records, now)
        self._journal.count(outcomes, self.tree, self.clock.now())
        self._show(update)
        self._plan(self.world.records if repolicied else draft.records)
        self._journal.log(outcomes)

    def _show(self, update: Update) -> None:
        """Let the update be felt: first all gates know their place, then whoever it concerns is told."""
        if update.reshaped:
            self.on_reshape()
        for gate in update.closed:
            self.parking.close(gate)
        for gate in update.opened:
            self.parking.open(gate)
        for gate in update.changed:
            self.parking.changed(gate)
        if update.changed:
            self.streams.tell(update.changed)
        if update.opened or update.closed or update.reshaped:
            self.on_turn()

    # -- time -------------------------------------------------------------------------------------

    def _plan(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            record = self.world.records.get(scope)
            due = None
            if record is not None:
                due = next_deadline(record, self.tree.gates[scope].policy)
            self._agenda.put(scope, due)

    def _time_is_up(self, scopes: tuple[str, ...]) -> None:
        self._order(Lapse(scopes))

    def _tick(self) -> None:
        """Once a second: notice a late loop, a clock that was set, and whether the store is up again."""
        self.counters.lags.append(max(0.0, self.loop.time() - self._tick_due))
        drift = self.clock.now() - self.clock.monotonic()
        step, self._drift = drift - self._drift, drift
        if step < -_STEP_SECS:
            self._clock_went_back(step)
        elif step > _STEP_SECS:
            # Time that a sleeping machine did not see has passed all the same: what was due then is due.
            logger.warning("clock_went_forward", extra={"fields": {"secs": round(step, 3)}})
        if not self.counters.store_up:
            self._order(Lapse(()))
        self._tick_due = self.loop.time() + _TICK_SECS
        self._ticker = self.loop.call_later(_TICK_SECS, self._tick)

    def _clock_went_back(self, secs: float) -> None:
        logger.warning("clock_went_back", extra={"fields": {"secs": round(-secs, 3)}})
        self._order(ShiftTime(secs))

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
            self._order(Lapse(()))
        self._sweeper = self.loop.call_later(self._sweep_secs, self._sweep)

    def _is_idle(self, gate: Gate, now: float) -> bool:
        if gate.waiting or not gate.record.is_empty:
            gate.active_at = now
        return now - gate.active_at >= self._scope_idle_secs


def _size(command: Command) -> int:
    """How many alerts ``command`` is about."""
    if isinstance(command, Notify):
        return len(command.alerts)
    return len(command.firing) + len(command.gone) if isinstance(command, Reconcile) else 0


def _perform(
    batch: list[_Pending], draft: Draft, now: float
) -> tuple[list[tuple[_Pending, Outcome]], list[tuple[_Pending, CoreError]]]:
    """Decide ``batch`` on ``draft``: what each command comes to, and those that are refused."""
    decided, refused = [], []
    for pending in batch:
        try:
            outcome = draft.perform(pending.command, now)
            decided.append((pending, outcome.by(pending.actor) if pending.actor else outcome))
        except CoreError as error:
            refused.append((pending, error))
    return decided, refused


def _fail(pending: _Pending, error: Exception) -> None:
    if not pending.answer.done():
        pending.answer.set_exception(error)
