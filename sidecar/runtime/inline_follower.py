"""The fast path for commits of other sidecars: the gates change in the step that receives the commit.

So a pause closes the gates without a task switch, and before any other work. If a thousand sidecars share a
few cores, the last gate closes as soon as the last sidecar has read the message. Soon after, the writer
applies the commit to the core state, and applies its other effects (parked requests, event streams, timers,
listeners). If a request waits for the commit, the writer does this at once. `commit_follower` handles all
other commits: large ones, commits that affect many gates, and commits that arrive while the writer works.

Rules of this file: only the writer changes the state. So the fast path is used only while the writer is idle
and has no work waiting. The writer applies the commits of the fast path before any other work.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from sidecar.core.commands import CommandOutcome
from sidecar.core.model import StateDelta
from sidecar.core.policy import PolicyTable
from sidecar.core.values import ScopeRecord
from sidecar.gates.tree_update import TreeUpdate, merge_changes
from sidecar.store import Change, LoggedCommit, Position, SharedStore, StoreError

from .commit_follower import CommitFollower
from .record_patches import complete

_SMALL_COMMIT = 16_384
"""Bytes of the longest commit on the fast path. It takes up to a millisecond."""

_MOST_STEPS = 32
"""Steps that the change of the gates may take: up to 256 gates, a millisecond."""

_FOLLOW_UP_SECS = 0.15
"""Seconds until the core state follows the gates, if no request and no stream waits for the change."""

_QUIET_SECS = 0.005
"""Seconds until a commit that changes no gate is applied."""

_BETWEEN_SECS = 0.05
"""Seconds between two such times. So if many commits arrive, many are applied at once."""

_MOST_TAKEN = 128
"""So many commits are not left for later."""


class _Taken(NamedTuple):
    """A commit that has arrived, and that the core state does not have yet.

    Attributes:
        commit: the commit.
        change: what it changes; None: its text is converted later.
        update: the change of the gates; None: they do not show the commit yet.
    """

    commit: LoggedCommit
    change: Change | None = None
    update: TreeUpdate | None = None


class InlineFollower(CommitFollower):
    """A `CommitFollower` that shows small commits while they are received. The arguments are those of
    `CommitFollower`.
    """

    def __init__(self, policies: PolicyTable, store: SharedStore, **settings: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(policies, store, **settings)
        self._taken: list[_Taken] = []
        # The versions and the records that the converted commits among them have changed.
        self._ahead: dict[str, tuple[int, ScopeRecord | None]] = {}
        self._follow_up_timer: asyncio.TimerHandle | None = None
        self._followed_up_at = 0.0
        store.on_commit = self._show_at_once

    async def _prepare_for_batch(self) -> None:
        await self._follow_up()
        await super()._prepare_for_batch()

    @property
    def _newest(self) -> Position:
        """The last commit that the gates may already show."""
        return self._taken[-1].commit.position if self._taken else self._replica.position

    def _show_at_once(self, commit: LoggedCommit) -> bool:
        """Show ``commit``, which has arrived, at the gates. Returns whether it was taken, to be applied
        later.
        """
        position, newest = commit.position, self._newest
        if position.epoch != newest.epoch or position.seq <= newest.seq:
            return self._replica.is_known(position)
        if (
            position.seq != newest.seq + 1
            or not self._queue.is_waiting
            or self._queue.wake.is_set()
            or self._load_due
            or self._replica.is_early(position)
            or commit.size > _SMALL_COMMIT
        ):
            return False
        room = self.waiting_room
        if commit.is_quiet and not (room.reassigning or room.has_parked or len(self.streams)):
            self._take(_Taken(commit), is_awaited=False)
            return True
        try:
            change = complete(commit.read(), self._base_of, self._replica.owed)
        except StoreError:
            # The writer reads the commit again, and reports the error.
            return False
        if change is None:
            # The writer reads the commit from the log.
            return False
        update = self._change_gates_at_once(change)
        for scope, record in change.records.items():
            self._ahead[scope] = position.seq, record
        self._take(_Taken(commit, change, update), is_awaited=update is None or self._is_awaited(update))
        return True

    def _take(self, taken: _Taken, *, is_awaited: bool) -> None:
        """Keep ``taken`` until the writer applies it. If a request waits for it, wake the writer at once."""
        self._taken.append(taken)
        if is_awaited or len(self._taken) > _MOST_TAKEN:
            self._queue.wake.set()
        elif self._follow_up_timer is None:
            self._follow_up_timer = self.loop.call_later(self._wait_secs(taken), self._queue.wake.set)
        self._note_turn(taken.commit)

    def _wait_secs(self, taken: _Taken) -> float:
        if self._turn is not None:
            return self._turn.follow_up_secs
        if taken.change is not None:
            return _FOLLOW_UP_SECS
        return max(_QUIET_SECS, self._followed_up_at + _BETWEEN_SECS - self.loop.time())

    def _base_of(self, scope: str) -> tuple[int, ScopeRecord | None]:
        """The version and the record of ``scope`` after the taken and converted commits.

        If a taken commit is not converted, the version is older than the base of a later patch.
        """
        ahead = self._ahead.get(scope)
        return ahead or (self._replica.version_of(scope), self.core_state.records.get(scope))

    def _change_gates_at_once(self, change: Change) -> TreeUpdate | None:
        """Show ``change`` at the gates. Returns how they have changed; None: they have not changed yet."""
        if self._replica.owed or None in change.records.values():
            # In this case the new states of the gates depend on the core state, which only the writer reads.
            return None
        try:
            update = TreeUpdate(self._shown_records(change.records), self.clock.monotonic())
        except Exception:  # noqa: BLE001 - recorded; the writer tries it again
            self.counters.task_failures.record("gate_tree")
            return None
        return update if self._gate_updater.apply_at_once(update, _MOST_STEPS) else None

    def _is_awaited(self, update: TreeUpdate) -> bool:
        """Whether a parked request, a watch or an event stream may wait for ``update``."""
        room = self.waiting_room
        return (
            room.reassigning
            or len(self.streams) > 0
            or (room.has_parked and any(gate.waiters or gate.watchers for gate in update.changed))
        )

    async def _follow_up(self) -> None:
        """Apply the taken commits and their other effects."""
        if not self._taken:
            return
        if self._follow_up_timer is not None:
            self._follow_up_timer.cancel()
            self._follow_up_timer = None
        self._followed_up_at = self.loop.time()
        taken, self._taken = self._taken, []
        self._ahead = {}
        delta = StateDelta(self.core_state)
        ended: list[tuple[str, ScopeRecord, str]] = []
        outcomes: list[CommandOutcome] = []
        changes: list[Change] = []
        try:
            for one in taken:
                change = one.change or await self._read(one.commit, delta)
                if change is None:
                    self._load_due = True
                    break
                ended += self._put(change, delta)
                changes.append(change)
            self.core_state.apply(delta)
            outcomes = self._count_changes(changes)
        except Exception:  # noqa: BLE001 - recorded; the parked requests must be woken all the same
            self.counters.task_failures.record("fleet_follower")
            # The loaded state contains the missing commits.
            self._load_due = self._load_due or len(changes) < len(taken)
        hidden = [change for change, one in zip(changes, taken, strict=False) if one.update is None]
        if hidden:
            records = {scope: delta.record(scope) for change in hidden for scope in change.records}
            update = TreeUpdate(self._shown_records(records), self.clock.monotonic())
            await self._effects.change_gates(update, [])
        updates = [one.update for one in taken if one.update is not None]
        if updates or outcomes:
            update = merge_changes(updates, self.clock.monotonic())
            await self._effects.gates_changed(update, outcomes)
        self._tell(changes, ended)
