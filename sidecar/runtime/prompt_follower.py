"""The short way of a commit of another sidecar: it is applied in the step in which it is received.

So a pause closes the gates without a switch to another task. What follows from the change (parked requests,
event streams, timers, listeners) is left to the writer. Commits that are large, that concern many gates, or
that arrive while the writer works, go the way of `commit_follower`.

Rules of this file: only the writer changes the state. So this way is open only while the writer waits for
work, and no work waits for the writer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sidecar.core.commands import CommandOutcome
from sidecar.core.model import StateDelta
from sidecar.core.policy import PolicyTable
from sidecar.core.values import ScopeRecord
from sidecar.gates.tree import TreeUpdate
from sidecar.store import Change, LoggedCommit, SharedStore, StoreError

from .commit_follower import CommitFollower

_SMALL_COMMIT = 4_096
"""Bytes of the longest commit that goes this way."""

_MOST_STEPS = 32
"""Steps that the change of the gates may take: up to 256 gates, a millisecond."""


class _Applied(NamedTuple):
    """A commit that was applied at once.

    Attributes:
        change: the commit.
        delta: what it changed.
        ended: scope, record before and source of each alert signal that ended.
        update: the change of the gates; None: they do not show the commit yet.
    """

    change: Change
    delta: StateDelta
    ended: list[tuple[str, ScopeRecord, str]]
    update: TreeUpdate | None


class PromptFollower(CommitFollower):
    """A `CommitFollower` that applies small commits while they are received. The arguments are those of
    `CommitFollower`.
    """

    def __init__(self, policies: PolicyTable, store: SharedStore, **settings: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(policies, store, **settings)
        self._applied: _Applied | None = None
        store.on_commit = self._apply_at_once

    async def _prepare_for_batch(self) -> None:
        if self._applied is not None:
            applied, self._applied = self._applied, None
            await self._follow_up(applied)
        await super()._prepare_for_batch()

    def _apply_at_once(self, commit: LoggedCommit) -> bool:
        """Apply ``commit``, which has arrived, if that is possible now. Returns whether it is applied."""
        if self._replica.is_known(commit.position):
            return True
        if (
            not self._queue.is_waiting
            or self._queue.wake.is_set()
            or self._load_due
            or commit.size > _SMALL_COMMIT
            or not self._replica.is_next(commit.position)
        ):
            return False
        try:
            change = commit.read()
        except StoreError:
            # The writer reads it again, and reports it.
            return False
        self._queue.wake.set()
        delta = StateDelta(self.core_state)
        try:
            ended = self._put(change, delta)
        except Exception:  # noqa: BLE001 - recorded; the loaded state corrects it
            self.counters.task_failures.record("fleet_follower")
            self._load_due = True
            return True
        self.core_state.apply(delta)
        self._applied = _Applied(change, delta, ended, self._show_at_once(delta))
        return True

    def _show_at_once(self, delta: StateDelta) -> TreeUpdate | None:
        """Show ``delta`` at the gates. Returns how they have changed; None: they have not changed yet."""
        try:
            update = TreeUpdate(self._shown_records(delta.records), self.clock.monotonic())
        except Exception:  # noqa: BLE001 - recorded; the writer tries it again
            self.counters.task_failures.record("gate_tree")
            return None
        return update if self._gate_updater.apply_at_once(update, _MOST_STEPS) else None

    async def _follow_up(self, applied: _Applied) -> None:
        """Do what follows from a commit that was applied at once."""
        changes, update = [applied.change], applied.update
        outcomes: list[CommandOutcome] = []
        try:
            outcomes = self._count_changes(changes)
        except Exception:  # noqa: BLE001 - recorded; the parked requests must be woken all the same
            self.counters.task_failures.record("fleet_follower")
        if update is None:
            update = TreeUpdate(self._shown_records(applied.delta.records), self.clock.monotonic())
            await self._effects.change_gates(update, outcomes)
        else:
            await self._effects.gates_changed(update, outcomes)
        self._tell(changes, applied.ended)
