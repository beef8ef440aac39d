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

from sidecar.core.commands import Command, Forget, Lapse
from sidecar.core.errors import CoreError
from sidecar.core.policy import PolicyTable
from sidecar.core.transition import next_deadline
from sidecar.core.world import Draft, Outcome, World
from sidecar.store import Batch, Store, StoreUnavailable

from .agenda import Agenda
from .clock import Clock
from .counters import Counters
from .gate import Gate
from .journal import Journal
from .parking import Parking
from .tree import Tree, Update

logger = logging.getLogger(__name__)


class ShuttingDown(Exception):
    """A command that came too late."""


@dataclass(slots=True)
class _Pending:
    command: Command
    answer: asyncio.Future[Outcome]


class Controller:
    """Owns the world, the tree of gates, the waiters and the counters.

    Args:
        policies: the config's.
        store: keeps the world.
        max_scopes: how many scopes may be known.
        max_waiters: how many requests may be parked at once.
        scope_idle_secs: seconds after which a scope without signal, hold or waiter is forgotten.
        clock: tells the time.
    """

    def __init__(
        self,
        policies: PolicyTable,
        store: Store,
        *,
        max_scopes: int = 20_000,
        max_waiters: int = 20_000,
        scope_idle_secs: float = 86_400.0,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.counters = Counters()
        self.loop = asyncio.get_running_loop()
        self.parking = Parking(self.loop, self.counters, max_waiters)
        self.on_reshape: Callable[[], None] = lambda: None
        self._policies = policies
        self._store = store
        self._max_scopes = max_scopes
        self._scope_idle_secs = scope_idle_secs
        self._journal = Journal(self.counters)
        self._pending: list[_Pending] = []
        self._wake = asyncio.Event()
        self._stopping = False

    async def start(self) -> None:
        """Load what was kept, let the time that has passed have its way, and begin to take commands.

        Raises:
            StoreError: the store cannot be read.
        """
        kept = await self._store.load()
        self.world = World(self._policies, kept.records, kept.tombstones, self._max_scopes)
        version = max(kept.version, int(self.clock.now() * 1e6))
        self.tree = Tree(self._policies, version, self.parking)
        self._agenda = Agenda(self.loop, self.clock, self._time_is_up)
        now, wall = self.clock.monotonic(), self.clock.now()
        for gate in self.tree.update(self.world.records, now).closed:
            if gate.hold is not None:
                gate.closed_at = now - max(0.0, wall - gate.hold.since)
        self._plan(self.world.records)
        self._writer = self.loop.create_task(self._write())
        await self.submit(Lapse(tuple(self.world.records)))
        self._sweeper = self.loop.call_later(self._sweep_secs, self._sweep)

    async def stop(self) -> None:
        """Turn away whoever is parked, finish what was asked, and close the store."""
        self.parking.shut_down(list(self.tree.gates.values()))
        self._stopping = True
        self._sweeper.cancel()
        self._agenda.stop()
        self._wake.set()
        await self._writer
        await self._store.close()

    def submit(self, command: Command) -> asyncio.Future[Outcome]:
        """Ask for ``command``; the answer comes once it is durable and true.

        The answer may raise:
            CoreError: it was refused; nothing of it was done.
            StoreUnavailable: it could not be kept; nothing of it was done.
            ShuttingDown: it came too late.
        """
        answer: asyncio.Future[Outcome] = self.loop.create_future()
        if self._stopping:
            answer.set_exception(ShuttingDown("the sidecar is shutting down"))
        else:
            self._pending.append(_Pending(command, answer))
            self._wake.set()
        return answer

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
        draft = self.world.draft()
        decided = self._decide(batch, draft)
        try:
            await self._commit(draft, decided)
        except StoreUnavailable as error:
            for pending, _ in decided:
                if not isinstance(pending.command, Lapse):
                    _fail(pending, error)
            draft = self.world.draft()
            decided = self._decide([one for one, _ in decided if isinstance(one.command, Lapse)], draft)
        self._apply(draft, [outcome for _, outcome in decided])
        for pending, outcome in decided:
            if not pending.answer.done():
                pending.answer.set_result(outcome)

    def _decide(self, batch: list[_Pending], draft: Draft) -> list[tuple[_Pending, Outcome]]:
        decided = []
        now = self.clock.now()
        for pending in batch:
            try:
                decided.append((pending, draft.perform(pending.command, now)))
            except CoreError as error:
                _fail(pending, error)
        return decided

    async def _commit(self, draft: Draft, decided: list[tuple[_Pending, Outcome]]) -> None:
        changes = tuple(change for _, outcome in decided for change in outcome.changes)
        if not (changes or draft.tombstones or any(record is None for record in draft.records.values())):
            return
        began = self.clock.monotonic()
        try:
            await self._store.commit(Batch(draft.records, draft.tombstones, changes))
        except StoreUnavailable as error:
            if self.counters.store_up:
                logger.error("store_down", extra={"fields": {"error": str(error)}})
            self.counters.store_errors += 1
            self.counters.store_up = False
            raise
        if not self.counters.store_up:
            logger.warning("store_up")
        self.counters.store_up = True
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

    # -- time -------------------------------------------------------------------------------------

    def _plan(self, scopes: Iterable[str]) -> None:
        for scope in scopes:
            record = self.world.records.get(scope)
            due = None
            if record is not None:
                due = next_deadline(record, self.tree.gates[scope].policy)
            self._agenda.put(scope, due)

    def _time_is_up(self, scopes: tuple[str, ...]) -> None:
        self.submit(Lapse(scopes))

    @property
    def _sweep_secs(self) -> float:
        return min(60.0, max(1.0, self._scope_idle_secs / 10))

    def _sweep(self) -> None:
        now = self.clock.monotonic()
        idle = [gate.scope for gate in self.tree.gates.values() if self._is_idle(gate, now)]
        if idle and not self._stopping:
            self.submit(Forget(tuple(idle)))
        self._sweeper = self.loop.call_later(self._sweep_secs, self._sweep)

    def _is_idle(self, gate: Gate, now: float) -> bool:
        if gate.waiting or not gate.record.is_empty:
            gate.active_at = now
        return now - gate.active_at >= self._scope_idle_secs


def _fail(pending: _Pending, error: Exception) -> None:
    if not pending.answer.done():
        pending.answer.set_exception(error)
