"""The controller of a sidecar that shares its store with others.

Decisions are replicated, not commands: a command is decided here, on the state that this sidecar has applied,
and committed only if the versions that it read are still current. If not, the newer commits are applied and
the command is decided again. Commits of others are applied without being decided, counted or logged again.

A change by time alone (a hold that ends, a signal that expires) follows from the record and the time. So each
sidecar shows it at its gates at once, whether the store can be reached or not. The record itself changes when
the change is committed: by the leader at once, or by another sidecar if none did within a jittered second.

Rules of this file: the core state has only committed changes. Only the gates may be ahead of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping
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
from sidecar.core.scope_update import ScopeUpdate, next_deadline
from sidecar.core.transaction import Transaction
from sidecar.core.values import EMPTY, ScopeRecord
from sidecar.gates.counters import FleetCounters
from sidecar.gates.tree import TreeUpdate
from sidecar.store import (
    Batch,
    Change,
    CommitResult,
    Committed,
    Conflict,
    LoggedCommit,
    Outdated,
    Position,
    SharedStore,
    StoredState,
    StoreError,
    StoreUnavailable,
    WatchdogNotice,
)
from sidecar.supervision import RepeatingTimer, end_task, run_supervised

from .arrived_commits import ArrivedCommits
from .controller import Controller
from .pending_commands import PendingCommand, fail
from .rate_leases import RateLeases
from .replica import Replica
from .unanswered import UnansweredCommits

logger = logging.getLogger(__name__)

_MAX_TRY_SECS = 5.0
"""Seconds for which a batch is decided again after conflicts."""

_FIRST_WAIT_SECS = 0.002
_MAX_WAIT_SECS = 0.05
_MESSAGE_WAIT_SECS = 0.1
"""Seconds without a commit that is needed and that the store has. Then it is read from the log."""

_OTHERS_WAIT_SECS = (1.0, 2.0)
"""Seconds after which a sidecar that is not the leader commits changes by time, or records that the store
lost."""

_SAVE_SECS = 2.0
_LARGE_BATCH = 1_000
_LARGE_COMMIT = 65_536
"""A longer commit is converted in a thread."""


class FleetController(Controller):
    """A `Controller` on a store that several sidecars share.

    Args:
        policies: the policies of the config.
        store: the shared store.
        settings: as of `Controller`.
    """

    def __init__(self, policies: PolicyTable, store: SharedStore, **settings: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(policies, store, **settings)
        self._shared = store
        self._fleet = self.counters.fleet = FleetCounters(store.status.sidecar_id)
        self._arrived = ArrivedCommits(store, lambda: self._replica.position, self._wake.set)
        # Scopes whose gates have to show a change by time.
        self._due: set[str] = set()
        self._due_added = asyncio.Event()
        # Scopes whose change by time is not committed yet.
        self._overdue: set[str] = set()
        # A commit could not be applied, and then the state could not be loaded.
        self._load_due = False
        self._offer_at: float | None = None
        self._saved_seq = -1
        self._unanswered = UnansweredCommits()
        # The token of the last commit with history notes, and how many it contains.
        self._sent_notes = ("", 0)
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

    def _remember_loaded(self, stored: StoredState, records: dict[str, ScopeRecord]) -> None:
        self._replica = Replica(stored)
        self._fleet.last_known = stored.is_last_known
        self.counters.store_up = self._shared.status.up
        if stored.is_last_known:
            fields = {"scopes": len(records), "error": self._shared.status.error}
            logger.error("started_from_last_known", extra={"fields": fields})

    async def _expire_at_start(self) -> None:
        self._due |= self.core_state.records.keys()
        self._overdue |= {
            scope for scope in self.core_state.records if self._is_overdue(scope, self.clock.now())
        }
        with suppress(StoreUnavailable):
            await self.submit(Expire(tuple(self.core_state.records)))

    # -- commits of others -------------------------------------------------------------------------

    async def _beat_forever(self) -> None:
        while True:
            await self._shared.beat()
            heard = self._shared.status.watchdog
            if heard is not None:
                self.on_watchdog(heard.alertname, heard.firing_ago(), heard.resolved_ago())
            await asyncio.sleep(self._shared.beat_secs * random.uniform(0.8, 1.0))  # noqa: S311 - no secret

    async def share_watchdog(self, alertname: str, notice: WatchdogNotice) -> bool:
        """Tell the fleet that the watchdog alert was received."""
        try:
            return await self._shared.share_watchdog(alertname, notice)
        except StoreUnavailable:
            return True

    async def _prepare_for_batch(self) -> None:
        await super()._prepare_for_batch()
        if self._load_due and self._shared.status.up:
            self._load_due = not await self._load_again(went_back=False)
        if self._arrived:
            await self._apply_arrived()
        await self._show_due()

    async def _apply_arrived(self, until: int | None = None) -> None:
        """Apply what has arrived, up to the commit ``until``; None: all."""
        try:
            commits = []
            for item in self._arrived.take(until):
                if isinstance(item, Outdated):
                    await self._load_again(went_back=item.went_back)
                else:
                    commits.append(item)
            await self._apply_commits(commits)
        except Exception:  # noqa: BLE001 - recorded; the next commit or load makes it good
            self.counters.task_failures.record("fleet_follower")
        finally:
            self._arrived.read_on()

    async def _apply_commits(self, commits: Iterable[LoggedCommit]) -> None:
        """Apply those ``commits`` that are new, in their order. If that fails, load the state again."""
        try:
            complete = await self._try_to_apply(commits)
        except Exception:  # noqa: BLE001 - recorded; the loaded state makes it good
            self.counters.task_failures.record("fleet_follower")
            complete = False
        if not complete:
            # If that fails, perhaps no later commit comes. So `_tick` makes the next attempts.
            self._load_due = True
            self._load_due = not await self._load_again(went_back=False)

    async def _try_to_apply(self, commits: Iterable[LoggedCommit]) -> bool:
        """Apply those ``commits`` that are new. Returns whether none is missing or not valid."""
        time_slice = self._time_slice()
        delta = StateDelta(self.core_state)
        changes: list[Change] = []
        ended: list[tuple[str, ScopeRecord, str]] = []
        complete = True
        for commit in commits:
            if self._replica.is_known(commit.position):
                continue
            change = await self._read(commit) if self._replica.is_next(commit.position) else None
            if change is None:
                complete = False
                break
            ended += [(scope, delta.record(scope) or EMPTY, source) for scope, source in change.ended]
            self._replica.apply(self.core_state, change, delta)
            changes.append(change)
            if time_slice.expired:
                await time_slice.yield_to_others()
        if changes:
            await self._show_changes(changes, delta, ended)
        return complete

    async def _read(self, commit: LoggedCommit) -> Change | None:
        """The change of ``commit``; None: its text is not valid."""
        try:
            if commit.size > _LARGE_COMMIT:
                return await self.loop.run_in_executor(None, commit.read)
            return commit.read()
        except StoreError as error:
            logger.error("commit_not_valid", extra={"fields": {"error": str(error)}})
            return None

    async def _show_changes(
        self, changes: list[Change], delta: StateDelta, ended: list[tuple[str, ScopeRecord, str]]
    ) -> None:
        """Apply ``delta``, which the ``changes`` made, and call the listeners.

        Args:
            changes: the commits.
            delta: all that they change.
            ended: scope, record before and source of each alert signal that ended.
        """
        outcomes = [one for change in changes for one in self._take_unanswered(change.position.token)]
        self._fleet.changes += len(changes)
        self._fleet.applied = self._replica.position.seq
        await self._apply(delta, outcomes)
        self._call(self.on_history, "on_history")
        if ended:
            self.on_alerts_ended(ended)
        if any(_has_held_resolves(change) for change in changes):
            self.on_resolves_held()
        self._plan_offer()

    async def _reach(self, seq: int) -> None:
        """Apply the commits up to ``seq``: as they arrive, or from the log if they do not.

        Raises:
            StoreUnavailable: they cannot be read.
        """
        epoch = self._replica.position.epoch
        while self._replica.position.epoch == epoch and self._replica.position.seq < seq:
            before = self._replica.position
            self._arrived.changed.clear()
            await self._apply_arrived(seq)
            await self._show_due()
            if self._replica.position != before:
                continue
            try:
                async with asyncio.timeout(_MESSAGE_WAIT_SECS):
                    await self._arrived.changed.wait()
            except TimeoutError:
                await self._read_log(seq)
                if self._replica.position == before:
                    raise StoreUnavailable(
                        "what other sidecars have changed cannot be read: try again"
                    ) from None
        self._wake.set()

    async def _read_log(self, seq: int) -> None:
        """Read the next commits from the log, and apply those up to ``seq``. Raises `StoreUnavailable`."""
        found = await self._shared.read_log(self._replica.position)
        if isinstance(found, Outdated):
            await self._load_again(went_back=found.went_back)
        else:
            await self._apply_commits(one for one in found if one.position.seq <= seq)

    async def _load_again(self, *, went_back: bool) -> bool:
        """Load the state, and show it. Returns whether the store had it."""
        try:
            stored = await self._store.load(self.clock.now())
        except StoreError as error:
            logger.error("load_failed", extra={"fields": {"error": str(error)}})
            self._arrived.load_failed = True
            return False
        self._arrived.load_failed = False
        if not isinstance(stored, StoredState) or stored.is_last_known:
            return False
        if not went_back:
            went_back = stored.position.epoch != self._replica.position.epoch
        before = self._replica.position
        delta = self._replica.rebase(self.core_state, stored, went_back=went_back)
        outcomes = [one for token in stored.tokens.values() for one in self._take_unanswered(token)]
        self._fleet.loads += 1
        self._fleet.applied = stored.position.seq
        fields: dict[str, object] = {
            "had_commit": before.seq,
            "store_has_commit": stored.position.seq,
            "scopes": len(stored.records),
        }
        if went_back:
            self._fleet.went_back += 1
            fields["lost_records"] = len(self._replica.owed)
            logger.error("store_went_back", extra={"fields": fields})
        else:
            logger.warning("loaded_again", extra={"fields": fields})
        await self._apply(delta, outcomes)
        self._plan_offer()
        if went_back:
            self.on_went_back()
        return True

    def _take_unanswered(self, token: str) -> list[CommandOutcome]:
        """The outcomes of the own commit with ``token``, if its answer was lost: count and log them now."""
        self._forget_notes(token)
        return self._unanswered.take(token)

    def _forget_notes(self, token: str) -> None:
        """Forget the notes that the commit with ``token`` has stored."""
        sent, count = self._sent_notes
        if token == sent:
            del self._unsaved_events[:count]
            self._sent_notes = ("", 0)

    # -- offering again what the store lost ----------------------------------------------------------

    def _plan_offer(self) -> None:
        """Write lost records again: the leader at once, other sidecars only if none has done so meanwhile."""
        self._fleet.owed = len(self._replica.owed) + len(self._replica.owed_tombstones)
        if not self._fleet.owed:
            self._offer_at = None
        elif self._offer_at is None:
            wait = 0.0 if self.is_leader else random.uniform(*_OTHERS_WAIT_SECS)  # noqa: S311 - no secret
            self._offer_at = self.loop.time() + wait
            self.loop.call_later(wait, self._submit_and_forget, Expire(()))

    @property
    def _offering(self) -> bool:
        return self._offer_at is not None and self.loop.time() >= self._offer_at - 0.001

    # -- deciding and committing ---------------------------------------------------------------------

    async def _write_batch(self, batch: list[PendingCommand]) -> None:
        give_up_at = self.loop.time() + _MAX_TRY_SECS
        wait = _FIRST_WAIT_SECS
        while batch:
            decided, transaction = await self._decide(batch)
            try:
                result = await self._commit_shared(transaction, decided)
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
        if isinstance(result, Conflict):
            await self._reach(result.seq)
        else:
            await self._load_again(went_back=result.went_back)

    async def _commit_shared(
        self, transaction: Transaction, decided: list[tuple[PendingCommand, CommandOutcome]]
    ) -> CommitResult:
        """Commit ``transaction``, and apply it if it was stored."""
        outcomes = [outcome for _, outcome in decided]
        batch = await self._make_batch(transaction, decided)
        result: CommitResult = Committed(self._replica.position)
        delta: StateDelta = transaction
        heard = self.core_state.seen_watchdog
        if batch is not None:
            self._sent_notes = (batch.token, len(self._unsaved_events))
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
        if delta.seen_watchdog == heard:
            # Another sidecar may have received it meanwhile.
            delta.seen_watchdog = self.core_state.seen_watchdog
        await self._apply(delta, outcomes)
        if batch is not None:
            self._forget_notes(batch.token)
            self._call(self.on_history, "on_history")
        self._overdue -= transaction.records.keys()
        self._plan_offer()
        return result

    async def _include(self, batch: Batch, position: Position, transaction: Transaction) -> StateDelta:
        """Apply the commits before ``position``, where ``batch`` was stored, and record it.

        Returns:
            What remains to be applied.

        Raises:
            StoreUnavailable: the commits cannot be read, or the store lost ``batch`` meanwhile.
        """
        await self._reach(position.seq - 1)
        delta: StateDelta = transaction
        if self._replica.is_next(position):
            self._replica.record_commit(batch, position)
        elif self._replica.has(position):
            # The state was loaded meanwhile, and contains the commit.
            delta = StateDelta(self.core_state)
            delta.policies = transaction.policies
        else:
            raise StoreUnavailable("the store lost commits: try again")
        self._fleet.applied = self._replica.position.seq
        self._fleet.offered += sum(offer.is_original for offer in batch.offers.values())
        return delta

    async def _make_batch(
        self, transaction: Transaction, decided: list[tuple[PendingCommand, CommandOutcome]]
    ) -> Batch | None:
        decisions = (event for _, outcome in decided for event in outcome.events)
        events = (*self._unsaved_events, *decisions)
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
            offering=self._offering,
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

    # -- time --------------------------------------------------------------------------------------

    def _shown_records(self, records: Mapping[str, ScopeRecord | None]) -> Mapping[str, ScopeRecord | None]:
        now = self.clock.now()
        return {scope: record and self._shown(scope, record, now) for scope, record in records.items()}

    def _shown(self, scope: str, record: ScopeRecord, now: float) -> ScopeRecord:
        """``record`` with its changes by time, committed or not."""
        policy = self.core_state.policies.policy_for(scope)
        due = next_deadline(record, policy, self.clock.now())
        if due is None or due > now:
            return record
        return ScopeUpdate(scope, record, policy, now).finish()

    def _is_overdue(self, scope: str, now: float) -> bool:
        record = self.core_state.records.get(scope)
        if record is None:
            return False
        due = next_deadline(record, self.core_state.policies.policy_for(scope), self.clock.now())
        return due is not None and due <= now

    def _expire(self, scopes: tuple[str, ...]) -> None:
        """Show the changes by time in ``scopes``, and get them committed."""
        self._due.update(scopes)
        self._due_added.set()
        self._arrived.changed.set()
        self._wake.set()
        if self.is_leader and self._shared.status.up:
            self._submit_and_forget(Expire(scopes))
        else:
            self._overdue.update(scopes)
            wait = random.uniform(*_OTHERS_WAIT_SECS)  # noqa: S311 - no secret
            self.loop.call_later(wait, self._commit_overdue)

    async def _show_due(self) -> None:
        if self._due:
            due, self._due = self._due, set()
            records = {
                scope: self.core_state.records[scope] for scope in due if scope in self.core_state.records
            }
            await self._change_gates(
                TreeUpdate(self._shown_records(records), self.clock.monotonic()), [], self._time_slice()
            )

    def _commit_overdue(self) -> None:
        """Commit the changes by time that no sidecar has committed yet."""
        if self._shared.status.up and not self._stopping:
            now = self.clock.now()
            overdue = tuple(scope for scope in self._overdue if self._is_overdue(scope, now))
            self._overdue.clear()
            if overdue:
                self._submit_and_forget(Expire(overdue))

    def _tick(self) -> None:
        super()._tick()
        self._status_changed()
        if self._overdue and self.is_leader:
            self._commit_overdue()
        if self._load_due:
            self._wake.set()

    def _prepend_time_shift(self, batch: list[PendingCommand]) -> None:
        """Times follow the clock of the store, which does not depend on this machine's clock."""

    async def _sweep(self) -> None:
        if self.is_leader and self._shared.status.up:
            await super()._sweep()

    # -- status ------------------------------------------------------------------------------------

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
                if self._unsaved_events:
                    self._unsaved_events.append(
                        HistoryNoted(ROOT, self.clock.now(), "store", "down", "up", "store", "Redis answers")
                    )
                    self._submit_and_forget(Expire(()))
                self.loop.call_later(random.uniform(0, 1), self._commit_overdue)  # noqa: S311 - no secret
            else:
                logger.error("store_down", extra={"fields": {"error": status.error}})
                if was_leader:
                    # One sidecar tells it: the one whose hooks run.
                    self._note_store_down(status.error)
        if fleet.leader != was_leader:
            name = "leader_since" if fleet.leader else "leader_no_more"
            logger.info(name, extra={"fields": {"term": fleet.term}})
            self.on_leadership()

    def _save(self) -> None:
        """Keep the state in the local file, if it has changed."""
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
                offers=dict(self._replica.offers),
            )
        )


def _has_held_resolves(change: Change) -> bool:
    """Whether ``change`` has signals whose resolve was received and not accepted."""
    records = (record for record in change.records.values() if record is not None)
    return any(signal.ended_at is not None for record in records for signal in record.signals.values())
