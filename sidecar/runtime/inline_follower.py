"""The fast path for commits of other sidecars: the gates change in the step that receives the commit.

So a pause closes the gates without a task switch, and before any other work. If a thousand sidecars share a
few cores, the last gate closes as soon as the last sidecar has read the message. Soon after, the writer
applies the commit to the core state, and does what follows from it (parked requests, event streams, timers,
listeners); at once if a request waits for it. `commit_follower` handles all other commits: large ones,
commits that affect many gates, and commits that arrive while the writer works.

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

_SMALL_COMMIT = 16_384
"""Bytes of the longest commit on the fast path. It takes up to a millisecond."""

_MOST_STEPS = 32
"""Steps that the change of the gates may take: up to 256 gates, a millisecond."""

_FOLLOW_UP_SECS = 0.05
"""Seconds until the core state follows the gates, if no request and no stream waits for the change."""

_MOST_SHOWN = 64
"""With this many waiting commits, the core state follows at once."""


class _Shown(NamedTuple):
    """A commit that has arrived, and that the core state does not have yet.

    Attributes:
        change: the commit.
        update: the change of the gates; None: they do not show the commit yet.
    """

    change: Change
    update: TreeUpdate | None


class InlineFollower(CommitFollower):
    """A `CommitFollower` that shows small commits while they are received. The arguments are those of
    `CommitFollower`.
    """

    def __init__(self, policies: PolicyTable, store: SharedStore, **settings: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(policies, store, **settings)
        self._shown_commits: list[_Shown] = []
        self._follow_up_timer: asyncio.TimerHandle | None = None
        store.on_commit = self._show_at_once

    async def _prepare_for_batch(self) -> None:
        await self._follow_up()
        await super()._prepare_for_batch()

    @property
    def _newest(self) -> Position:
        """The last commit that the gates may already show."""
        return self._shown_commits[-1].change.position if self._shown_commits else self._replica.position

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
        try:
            change = commit.read()
        except StoreError:
            # The writer reads it again, and reports the error.
            return False
        update = self._change_gates_at_once(change)
        self._shown_commits.append(_Shown(change, update))
        if update is None or self._is_awaited(update) or len(self._shown_commits) > _MOST_SHOWN:
            self._queue.wake.set()
        elif len(self._shown_commits) == 1:
            secs = _FOLLOW_UP_SECS if self._turn is None else self._turn.follow_up_secs
            self._follow_up_timer = self.loop.call_later(secs, self._queue.wake.set)
        self._note_turn(commit)
        return True

    def _change_gates_at_once(self, change: Change) -> TreeUpdate | None:
        """Show ``change`` at the gates. Returns how they have changed; None: they have not changed yet."""
        if self._replica.owed or None in change.records.values():
            # Then the new states of the gates depend on the core state, which only the writer reads.
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
        """Apply the commits that were shown at once, and do what follows from them."""
        if not self._shown_commits:
            return
        if self._follow_up_timer is not None:
            self._follow_up_timer.cancel()
            self._follow_up_timer = None
        shown, self._shown_commits = self._shown_commits, []
        delta = StateDelta(self.core_state)
        ended: list[tuple[str, ScopeRecord, str]] = []
        outcomes: list[CommandOutcome] = []
        changes: list[Change] = []
        try:
            for one in shown:
                ended += self._put(one.change, delta)
                changes.append(one.change)
            self.core_state.apply(delta)
            outcomes = self._count_changes(changes)
        except Exception:  # noqa: BLE001 - recorded; the parked requests must be woken all the same
            self.counters.task_failures.record("fleet_follower")
            # The loaded state has what is missing.
            self._load_due = self._load_due or len(changes) < len(shown)
        hidden = [one.change for one in shown if one.update is None]
        if hidden:
            records = {scope: delta.record(scope) for change in hidden for scope in change.records}
            update = TreeUpdate(self._shown_records(records), self.clock.monotonic())
            await self._effects.change_gates(update, [])
        updates = [one.update for one in shown if one.update is not None]
        if updates or outcomes:
            update = merge_changes(updates, self.clock.monotonic())
            await self._effects.gates_changed(update, outcomes)
        self._tell(changes, ended)
