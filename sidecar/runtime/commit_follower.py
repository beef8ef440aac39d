"""The reading part of a fleet's controller: applies the commits of other sidecars, and shows them at the
gates.

Commits of others are not decided, counted or logged again. They arrive as messages. Missing commits are read
from the log; if that is not possible, the whole state is loaded again.

A change by time alone (a hold that ends, a signal that expires) follows from the record and the time. So each
sidecar shows it at its gates at once, whether the store can be reached or not. The record itself changes when
the change is committed.

Rules of this file: the core state has only committed changes. Only the gates may be ahead of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from sidecar.core.commands import CommandOutcome, Expire
from sidecar.core.deadlines import next_deadline
from sidecar.core.model import StateDelta
from sidecar.core.policy import PolicyTable
from sidecar.core.scope_update import ScopeUpdate
from sidecar.core.values import EMPTY, ScopeRecord
from sidecar.gates.counters import FleetCounters
from sidecar.gates.tree_update import TreeUpdate
from sidecar.store import (
    Change,
    LoggedCommit,
    Outdated,
    SharedStore,
    StoredState,
    StoreError,
    StoreUnavailable,
)

from .arrived_commits import ArrivedCommits
from .commit_effects import Records
from .controller import Controller
from .record_patches import complete
from .replica import Replica
from .turns import Turn
from .unanswered import UnansweredCommits

logger = logging.getLogger(__name__)

_MESSAGE_WAIT_SECS = 0.1
"""Seconds to wait for the message of a commit that is needed. Then the commit is read from the log."""

_FILL_AGAIN_SECS = 1.0
"""Seconds until the log is read again, if an own commit was applied before others that are still missing."""

OTHERS_WAIT_SECS = (1.0, 2.0)
"""Seconds after which a sidecar that is not the leader commits changes by time, or records that the store
lost."""

_LARGE_COMMIT = 65_536
"""A longer commit is converted in a thread."""


class CommitFollower(Controller):
    """A `Controller` that applies the commits of the other sidecars of its fleet.

    Args:
        policies: the policies of the config.
        store: the shared store.
        settings: as of `Controller`.
    """

    def __init__(self, policies: PolicyTable, store: SharedStore, **settings: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(policies, store, **settings)
        self._shared = store
        self._fleet = self.counters.fleet = FleetCounters(store.status.sidecar_id)
        self._arrived = ArrivedCommits(store, lambda: self._replica.position, self._has_arrived)
        # Scopes whose gates have to show an expiry.
        self._due: set[str] = set()
        # A commit could not be applied, and then the state could not be loaded.
        self._load_due = False
        self._restore_at: float | None = None
        # When to read the commits that precede an own commit that was applied early.
        self._fill_at = 0.0
        # Set while the writer waits for its turn to change a key.
        self._turn: Turn | None = None
        self._unanswered = UnansweredCommits()
        # The token of the last commit with history notes, and how many it contains.
        self._sent_notes = ("", 0)

    def _remember_loaded(self, stored: StoredState, records: dict[str, ScopeRecord]) -> None:
        self._replica = Replica(stored)
        self._fleet.last_known = stored.is_last_known
        self.counters.store_up = self._shared.status.up
        if stored.is_last_known:
            fields = {"scopes": len(records), "error": self._shared.status.error}
            logger.error("started_from_last_known", extra={"fields": fields})

    async def _prepare_for_batch(self) -> None:
        await super()._prepare_for_batch()
        if self._load_due and self._shared.status.up:
            self._load_due = not await self._load_again(went_back=False)
        if self._arrived:
            await self._apply_arrived()
        await self._show_due()
        if self._replica.early_to and self.loop.time() >= self._fill_at and self._shared.status.up:
            # The heartbeat does not notice the missing commits, because the store has no newer commit than
            # our own.
            self._fill_at = self.loop.time() + _FILL_AGAIN_SECS
            before = self._replica.position
            with suppress(StoreUnavailable):
                await self._read_log(self._replica.early_to)
                # If the log does not have the missing commits, the store may have lost our own commit, too.
                self._load_due |= bool(self._replica.early_to) and self._replica.position == before

    def _has_arrived(self, item: LoggedCommit | Outdated) -> None:
        if isinstance(item, LoggedCommit):
            self._note_turn(item)
        self._queue.wake.set()

    def _note_turn(self, commit: LoggedCommit) -> None:
        """Count ``commit`` for the turn of this sidecar. When its turn has come, the writer continues."""
        if self._turn is not None:
            self._turn.note(commit, self.loop.time())
            if self._turn.ahead <= 0:
                self._queue.wake.set()

    # -- commits of others --------------------------------------------------------------------------

    async def _apply_arrived(self, until: int | None = None) -> None:
        """Apply the arrived commits up to the commit ``until``; None: all."""
        try:
            commits = []
            for item in self._arrived.take(until):
                if isinstance(item, Outdated):
                    await self._load_again(went_back=item.went_back)
                else:
                    commits.append(item)
            await self._apply_commits(commits)
        except Exception:  # noqa: BLE001 - recorded; the next commit or load corrects it
            self.counters.task_failures.record("fleet_follower")
        finally:
            self._arrived.read_on()

    async def _apply_commits(self, commits: Iterable[LoggedCommit]) -> None:
        """Apply the new ones of ``commits`` in order. If that fails, load the state again."""
        try:
            complete = await self._try_to_apply(commits)
        except Exception:  # noqa: BLE001 - recorded; the loaded state corrects it
            self.counters.task_failures.record("fleet_follower")
            complete = False
        if not complete:
            # If the load fails, perhaps no later commit triggers another attempt. So the controller tries
            # again once a second.
            self._load_due = True
            self._load_due = not await self._load_again(went_back=False)

    async def _try_to_apply(self, commits: Iterable[LoggedCommit]) -> bool:
        """Apply the new ones of ``commits``. Returns False if a commit is missing or not valid."""
        time_slice = self._time_slice()
        delta = StateDelta(self.core_state)
        changes: list[Change] = []
        ended: list[tuple[str, ScopeRecord, str]] = []
        complete = True
        for commit in commits:
            if self._replica.is_known(commit.position):
                continue
            is_next = self._replica.is_next(commit.position)
            if is_next and self._replica.is_early(commit.position):
                if not self._replica.pass_early(commit.position):
                    complete = False
                    break
                self._fleet.applied = commit.position.seq
                continue
            change = await self._read(commit, delta) if is_next else None
            if change is None:
                complete = False
                break
            ended += self._put(change, delta)
            changes.append(change)
            if time_slice.expired:
                await time_slice.yield_to_others()
        if changes:
            await self._show_changes(changes, delta, ended)
        return complete

    def _put(self, change: Change, delta: StateDelta) -> list[tuple[str, ScopeRecord, str]]:
        """Put ``change`` into ``delta``.

        Returns:
            Scope, record before and source of each alert signal that ended.
        """
        ended = [(scope, delta.record(scope) or EMPTY, source) for scope, source in change.ended]
        self._replica.apply(self.core_state, change, delta)
        self._fleet.applied = change.position.seq
        return ended

    async def _read(self, commit: LoggedCommit, delta: StateDelta) -> Change | None:
        """The change of ``commit``, which follows the commits in ``delta``; None: it cannot be read."""

        def base_of(scope: str) -> tuple[int, ScopeRecord | None]:
            return self._replica.version_of(scope), delta.record(scope)

        try:
            if commit.size > _LARGE_COMMIT:
                change = await self.loop.run_in_executor(None, commit.read)
            else:
                change = commit.read()
        except StoreError as error:
            if not commit.has_patches:
                logger.error("commit_not_valid", extra={"fields": {"error": str(error)}})
                return None
        else:
            whole = complete(change, base_of, self._replica.owed)
            if whole is not None:
                return whole
        return await self._read_whole(commit, delta)

    async def _read_whole(self, announced: LoggedCommit, delta: StateDelta) -> Change | None:
        """The change of the commit that was ``announced`` with patches that do not fit, from the log."""
        try:
            found = await self._shared.read_log(self._replica.position)
        except StoreUnavailable as error:
            logger.warning("log_not_read", extra={"fields": {"error": str(error)}})
            return None
        if isinstance(found, Outdated) or not found or found[0].position != announced.position:
            return None
        return await self._read(found[0], delta)

    async def _show_changes(
        self, changes: list[Change], delta: StateDelta, ended: list[tuple[str, ScopeRecord, str]]
    ) -> None:
        """Apply ``delta``, which the ``changes`` made, and call the listeners.

        Args:
            changes: the commits.
            delta: all changes of the commits.
            ended: scope, record before and source of each alert signal that ended.
        """
        outcomes = self._count_changes(changes)
        await self._effects.apply(delta, outcomes)
        self._tell(changes, ended)

    def _count_changes(self, changes: list[Change]) -> list[CommandOutcome]:
        """Count ``changes``. Returns the outcomes of our own commits among them whose answer was lost."""
        self._fleet.changes += len(changes)
        return [one for change in changes for one in self._take_unanswered(change.position.token)]

    def _tell(self, changes: list[Change], ended: list[tuple[str, ScopeRecord, str]]) -> None:
        """Call the listeners after ``changes``, which have ended the alert signals in ``ended``."""
        self._call(self.on_history, "on_history")
        if ended:
            self.on_alerts_ended(ended)
        if any(_has_held_resolves(change) for change in changes):
            self.on_resolves_held()
        self._plan_restoration()

    async def _reach(self, seq: int) -> None:
        """Apply the commits up to ``seq``. Commits that do not arrive are read from the log.

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
        self._queue.wake.set()

    async def _read_log(self, seq: int) -> None:
        """Read the next commits from the log, and apply them up to ``seq``. Raises `StoreUnavailable`."""
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
            other_epoch = stored.position.epoch != self._replica.position.epoch
            went_back = other_epoch or self._replica.has_lost_early(stored)
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
        await self._effects.apply(delta, outcomes)
        self._plan_restoration()
        if went_back:
            self.on_went_back()
        return True

    # -- own commits whose response was lost --------------------------------------------------------

    def _take_unanswered(self, token: str) -> list[CommandOutcome]:
        """The outcomes, not counted yet, of the own commit with ``token``, if its response was lost."""
        self._forget_notes(token)
        return self._unanswered.take(token)

    def _forget_notes(self, token: str) -> None:
        """Drop the notes that the commit with ``token`` has stored."""
        sent, count = self._sent_notes
        if token == sent:
            del self._unsaved.events[:count]
            self._sent_notes = ("", 0)

    # -- records that the store lost ----------------------------------------------------------------

    def _plan_restoration(self) -> None:
        """Write lost records again: the leader at once, another sidecar later if they are still lost."""
        self._fleet.owed = len(self._replica.owed) + len(self._replica.owed_tombstones)
        if not self._fleet.owed:
            self._restore_at = None
        elif self._restore_at is None:
            wait = 0.0 if self.is_leader else random.uniform(*OTHERS_WAIT_SECS)  # noqa: S311 - no secret
            self._restore_at = self.loop.time() + wait
            self.loop.call_later(wait, self._queue.submit_and_forget, Expire(()))

    # -- time ---------------------------------------------------------------------------------------

    def _shown_records(self, records: Records) -> Records:
        now = self.clock.now()
        return {scope: record and self._shown(scope, record, now) for scope, record in records.items()}

    def _shown(self, scope: str, record: ScopeRecord, now: float) -> ScopeRecord:
        """``record`` after its expiries, even if they are not committed."""
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

    async def _show_due(self) -> None:
        if self._due:
            due, self._due = self._due, set()
            records = {
                scope: self.core_state.records[scope] for scope in due if scope in self.core_state.records
            }
            await self._effects.change_gates(
                TreeUpdate(self._shown_records(records), self.clock.monotonic()), []
            )


def _has_held_resolves(change: Change) -> bool:
    """Whether ``change`` has signals whose resolve was received and not accepted."""
    changed = {**change.records, **{scope: patch.record for scope, patch in change.patches.items()}}
    records = (record for record in changed.values() if record is not None)
    return any(signal.ended_at is not None for record in records for signal in record.signals.values())
