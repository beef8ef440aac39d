"""The controller of a sidecar that shares its store with others.

Decisions are replicated, not commands: a command is decided here, on the state that this sidecar has applied,
and committed only if the versions that it read are still current. If not, the newer commits are applied and
the command is decided again. `commit_follower` applies the commits of others.

A change by time alone (a hold that ends, a signal that expires) is committed by the leader at once, or by
another sidecar if none did within a jittered second.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

from sidecar.core.commands import (
    AcceptResolves,
    CommandOutcome,
    Expire,
    ReconcileAlerts,
    RevertResolves,
)
from sidecar.core.events import HistoryNoted
from sidecar.core.model import StateDelta
from sidecar.core.policy import PolicyTable
from sidecar.core.scope import ROOT
from sidecar.core.transaction import Transaction
from sidecar.store import (
    Batch,
    CommitResult,
    Committed,
    Conflict,
    Outdated,
    Position,
    SharedStore,
    StoredState,
    StoreUnavailable,
    WatchdogNotice,
)
from sidecar.supervision import RepeatingTimer, end_task, run_supervised

from .commit_follower import OTHERS_WAIT_SECS
from .inline_follower import InlineFollower
from .pending_commands import PendingCommand, fail
from .rate_leases import RateLeases
from .turns import Turn

logger = logging.getLogger(__name__)

_MAX_TRY_SECS = 10.0
"""Seconds for which a batch is decided again after conflicts."""

_FIRST_WAIT_SECS = 0.002
_MAX_WAIT_SECS = 0.15
"""Maximum wait between two attempts of a sidecar whose turn it was."""
_FILL_SECS = 1.0
"""Seconds after which the commits before an own one are read from the log, if they did not arrive."""

_SAVE_SECS = 2.0
_LARGE_BATCH = 1_000


class FleetController(InlineFollower):
    """A `Controller` on a store that several sidecars share. The arguments are those of `CommitFollower`."""

    def __init__(self, policies: PolicyTable, store: SharedStore, **settings: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(policies, store, **settings)
        self._due_added = asyncio.Event()
        # Scopes with an expiry that is not committed yet.
        self._overdue: set[str] = set()
        self._saved_seq = -1
        store.on_status = self._status_changed
        self.waiting_room.admission.shared = True

    @property
    def is_leader(self) -> bool:
        """Whether this sidecar is the leader of the fleet."""
        return self._fleet.leader

    async def start(self) -> None:
        """Load the state, show expiries since then at the gates, and start to follow the fleet.

        Raises:
            StoreError: the store cannot be used, and there is no last known state.
        """
        await super().start()
        failures = self.counters.task_failures
        self._leases = RateLeases(self.loop, self.waiting_room.admission, self._shared, failures)
        self._follower = self.loop.create_task(
            run_supervised("fleet_follower", self._arrived.follow, self.counters.task_failures)
        )
        self._heart = self.loop.create_task(
            run_supervised("fleet_heartbeat", self._beat_forever, self.counters.task_failures)
        )
        self._saver = RepeatingTimer(
            self.loop, _SAVE_SECS, self._save, name="last_known", failures=self.counters.task_failures
        )
        self._status_changed()

    async def stop(self) -> None:
        """Stop following, finish the submitted commands, and close the store."""
        self._saver.stop()
        await end_task(self._follower)
        await end_task(self._heart)
        self._leases.stop()
        await super().stop()

    async def _expire_at_start(self) -> None:
        now = self.clock.now()
        overdue = {scope for scope in self.core_state.records if self._is_overdue(scope, now)}
        self._due |= overdue
        self._overdue |= overdue
        with suppress(StoreUnavailable):
            await self.submit(Expire(tuple(self.core_state.records)))

    # -- the heartbeat ------------------------------------------------------------------------------

    async def _beat_forever(self) -> None:
        while True:
            await self._shared.beat()
            receipt = self._shared.status.watchdog
            if receipt is not None:
                self.on_watchdog(receipt.alertname, receipt.firing_ago(), receipt.resolved_ago())
            await asyncio.sleep(self._shared.beat_secs * random.uniform(0.8, 1.0))  # noqa: S311 - no secret

    async def share_watchdog(self, alertname: str, notice: WatchdogNotice) -> bool:
        """Tell the fleet that the watchdog alert was received."""
        try:
            return await self._shared.share_watchdog(alertname, notice)
        except StoreUnavailable:
            return True

    # -- deciding and committing --------------------------------------------------------------------

    @property
    def _restoring(self) -> bool:
        return self._restore_at is not None and self.loop.time() >= self._restore_at - 0.001

    async def _write_batch(self, batch: list[PendingCommand]) -> None:
        give_up_at = self.loop.time() + _MAX_TRY_SECS
        wait, turn = _FIRST_WAIT_SECS, ""
        while batch:
            decided, transaction = await self._decider.decide(batch)
            try:
                result = await self._commit_shared(transaction, decided, turn)
                if not isinstance(result, Committed):
                    await self._catch_up(result, give_up_at)
            except StoreUnavailable as error:
                for pending, _ in decided:
                    fail(pending, error)
                    if isinstance(pending.command, Expire):
                        self._overdue.update(pending.command.scopes)
                return
            if isinstance(result, Committed):
                for pending, outcome in decided:
                    if not pending.answer.done():
                        pending.answer.set_result(outcome)
                return
            batch = [pending for pending, _ in decided if not pending.answer.done()]
            if isinstance(result, Conflict) and result.key and not turn:
                turn = result.key
            else:
                # Another sidecar committed first although it was our turn, or the state was loaded again.
                turn = result.key if isinstance(result, Conflict) else ""
                await asyncio.sleep(random.uniform(0, wait))  # noqa: S311 - no secret
                wait = min(2 * wait, _MAX_WAIT_SECS)

    async def _catch_up(self, result: Conflict | Outdated, give_up_at: float) -> None:
        """Apply the commits that are newer than the decision.

        Raises `StoreUnavailable` after the time ``give_up_at``.
        """
        self._fleet.conflicts += 1
        if self.loop.time() > give_up_at:
            raise StoreUnavailable(
                "other sidecars kept changing the same scopes: nothing was changed, try again"
            )
        if isinstance(result, Outdated):
            await self._load_again(went_back=result.went_back)
            return
        self._turn = Turn(result, self.loop.time())
        try:
            await self._reach(result.seq)
            await self._wait_for_turn(self._turn, give_up_at)
        finally:
            self._turn = None

    async def _wait_for_turn(self, turn: Turn, give_up_at: float) -> None:
        """Wait until it is our turn, or until ``give_up_at``. Meanwhile apply what other sidecars commit."""
        while turn.ahead > 0 and self.loop.time() < give_up_at:
            self._queue.wake.clear()
            await self._prepare_for_batch()
            if turn.ahead <= 0:
                break
            try:
                async with asyncio.timeout_at(min(turn.silent_at, give_up_at)):
                    await self._queue.wait()
            except TimeoutError:
                turn.check_silence(self.loop.time())
        await self._prepare_for_batch()
        # Apply the commits that have arrived meanwhile.
        self._queue.wake.set()

    async def _commit_shared(
        self, transaction: Transaction, decided: list[tuple[PendingCommand, CommandOutcome]], turn: str
    ) -> CommitResult:
        """Commit ``transaction``, and apply it if it was stored. ``turn``: the key of the last conflict."""
        outcomes = [outcome for _, outcome in decided]
        batch = await self._make_batch(transaction, decided, turn)
        result: CommitResult = Committed(self._replica.position)
        delta: StateDelta = transaction
        seen_before = self.core_state.seen_watchdog
        if batch is not None:
            self._sent_notes = (batch.token, len(self._unsaved.events))
            try:
                result = await self._commit_batch(batch)
                if isinstance(result, Committed) and result.position != self._replica.position:
                    delta = await self._include(batch, result.position, transaction)
            except StoreUnavailable:
                if batch.writes:
                    self._unanswered.add(batch.token, outcomes)
                raise
        if not isinstance(result, Committed):
            return result
        if delta.seen_watchdog == seen_before:
            # Another sidecar may have received the watchdog alert meanwhile.
            delta.seen_watchdog = self.core_state.seen_watchdog
        self._overdue -= transaction.records.keys()
        await self._effects.apply(delta, outcomes)
        if batch is not None:
            self._forget_notes(batch.token)
            self._call(self.on_history, "on_history")
        self._plan_restoration()
        return result

    async def _include(self, batch: Batch, position: Position, transaction: Transaction) -> StateDelta:
        """Apply the commits before ``position``, where ``batch`` was stored, and record it.

        Returns:
            What remains to be applied.

        Raises:
            StoreUnavailable: the commits cannot be read, or the store lost ``batch`` meanwhile.
        """
        delta: StateDelta = transaction
        if self._replica.may_precede(batch, position):
            # The preceding commits do not affect this commit, so the client does not wait for them.
            self._replica.record_early(batch, position)
            self._fill_at = self.loop.time() + _FILL_SECS
            return delta
        await self._reach(position.seq - 1)
        if self._replica.is_next(position):
            self._replica.record_commit(batch, position)
        elif self._replica.has(position):
            # The state was loaded meanwhile, and contains the commit.
            delta = StateDelta(self.core_state)
            delta.policies = transaction.policies
        else:
            raise StoreUnavailable("the store lost commits: try again")
        self._fleet.applied = self._replica.position.seq
        self._fleet.offered += sum(lost_commit.is_original for lost_commit in batch.restored.values())
        return delta

    async def _make_batch(
        self, transaction: Transaction, decided: list[tuple[PendingCommand, CommandOutcome]], turn: str
    ) -> Batch | None:
        decisions = (event for _, outcome in decided for event in outcome.events)
        events = (*self._unsaved.events, *decisions)
        for_leader = (ReconcileAlerts, AcceptResolves, RevertResolves)
        only_leader = any(isinstance(pending.command, for_leader) for pending, _ in decided)
        make_batch = partial(
            self._replica.batch,
            self.core_state,
            transaction,
            events,
            at=self.clock.now(),
            token=uuid4().hex[:16],
            term=self._fleet.term if only_leader else None,
            restoring=self._restoring,
            turn=turn,
        )
        if len(transaction.records) > _LARGE_BATCH:
            return await self.loop.run_in_executor(None, make_batch)
        return make_batch()

    async def _commit_batch(self, batch: Batch) -> CommitResult:
        """Commit ``batch``. Meanwhile the gates show changes by time."""
        if not self._shared.status.up:
            raise StoreUnavailable(self._shared.status.error)
        began = self.clock.monotonic()
        commit = self.loop.create_task(self._shared_commit(batch))
        while not commit.done():
            self._due_added.clear()
            await self._show_due()
            added = self.loop.create_task(self._due_added.wait())
            await asyncio.wait({commit, added}, return_when=asyncio.FIRST_COMPLETED)
            added.cancel()
        try:
            result = commit.result()
        except StoreUnavailable:
            self.counters.store_errors += 1
            self._status_changed()
            raise
        self.counters.commits.observe(self.clock.monotonic() - began)
        return result

    async def _shared_commit(self, batch: Batch) -> CommitResult:
        result = await self._store.commit(batch)
        return result or Committed(batch.position)

    # -- time ---------------------------------------------------------------------------------------

    def _expire(self, scopes: tuple[str, ...]) -> None:
        """Show the changes by time in ``scopes``, and request their commit."""
        self._due.update(scopes)
        self._due_added.set()
        self._arrived.changed.set()
        self._queue.wake.set()
        if self.is_leader and self._shared.status.up:
            self._queue.submit_and_forget(Expire(scopes))
        else:
            self._commit_later(scopes)

    def _commit_later(self, scopes: Iterable[str]) -> None:
        """Request the commit of the changes by time in ``scopes``, unless another sidecar commits them
        first.
        """
        self._overdue.update(scopes)
        wait = random.uniform(*OTHERS_WAIT_SECS)  # noqa: S311 - no secret
        self.loop.call_later(wait, self._commit_overdue)

    def _schedule_expiry(self, scopes: Iterable[str]) -> Iterator[None]:
        scopes = tuple(scopes)
        yield from super()._schedule_expiry(scopes)
        # The timer follows the gates. A commit that took long may bring a record whose deadline has passed:
        # the gate shows the change at once, so the timer has nothing left to do.
        overdue = []
        for scope in scopes:
            if scope not in self._overdue and self._is_overdue(scope, self.clock.now()):
                overdue.append(scope)
            yield
        if overdue:
            self._commit_later(overdue)

    def _commit_overdue(self) -> None:
        """Commit the changes by time that no sidecar has committed yet."""
        if self._shared.status.up and not self._queue.is_stopping:
            now = self.clock.now()
            overdue = tuple(scope for scope in self._overdue if self._is_overdue(scope, now))
            self._overdue.clear()
            if overdue:
                self._queue.submit_and_forget(Expire(overdue))

    def _tick(self) -> None:
        super()._tick()
        self._status_changed()
        if self._overdue and self.is_leader:
            self._commit_overdue()
        if self._load_due or (self._replica.early_to and self.loop.time() >= self._fill_at):
            self._queue.wake.set()
        if self._restoring and self._shared.status.up and not self._queue.is_stopping:
            # Redis was down when the note should have been written.
            self._queue.submit_and_forget(Expire(()))

    def _prepend_time_shift(self, batch: list[PendingCommand]) -> None:
        """Times follow the clock of the store, which does not depend on this machine's clock."""

    async def _sweep(self) -> None:
        if self.is_leader and self._shared.status.up:
            await super()._sweep()

    # -- status -------------------------------------------------------------------------------------

    def _status_changed(self) -> None:
        status, fleet = self._shared.status, self._fleet
        was_leader = fleet.leader
        fleet.leader, fleet.leader_id, fleet.term = status.leader, status.leader_id, status.term
        fleet.known, fleet.lag_secs = max(status.known_seq, fleet.applied), status.lag_secs
        fleet.clock_offset_secs = status.clock_offset_secs
        if status.up != self.counters.store_up:
            self.counters.store_up = status.up
            if status.up:
                fleet.last_known = False
                logger.warning("store_up")
                if self._unsaved.events:
                    self._unsaved.events.append(
                        HistoryNoted(ROOT, self.clock.now(), "store", "down", "up", "store", "Redis answers")
                    )
                    self._queue.submit_and_forget(Expire(()))
                self.loop.call_later(random.uniform(0, 1), self._commit_overdue)  # noqa: S311 - no secret
            else:
                logger.error("store_down", extra={"fields": {"error": status.error}})
                if was_leader:
                    # Only the leader reports it, because only the leader's hooks run.
                    self._note_store_down(status.error)
        if fleet.leader != was_leader:
            name = "leader_since" if fleet.leader else "leader_no_more"
            logger.info(name, extra={"fields": {"term": fleet.term}})
            self.on_leadership()

    def _save(self) -> None:
        """Write the state to the local file, if it has changed."""
        position = self._replica.position
        if position.seq == self._saved_seq or not self._shared.status.up:
            return
        self._saved_seq = position.seq
        versions = self._replica.versions
        self._shared.keep_last_known(
            StoredState(
                dict(self.core_state.records),
                dict(self.core_state.tombstones),
                last_written_at=self.clock.now(),
                seen_watchdog=self.core_state.seen_watchdog,
                position=position,
                versions=replace(versions, scopes=dict(versions.scopes), sources=dict(versions.sources)),
                restored=dict(self._replica.restored),
            )
        )
