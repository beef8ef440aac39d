"""Decides a batch of submitted commands, in order, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from sidecar.clock import Clock
from sidecar.core.commands import Command, CommandOutcome, ForgetScopes, ShiftTime
from sidecar.core.errors import CoreError
from sidecar.core.model import CoreState
from sidecar.core.transaction import Transaction
from sidecar.gates.counters import Counters
from sidecar.gates.tree import GateTree
from sidecar.time_slice import TimeSlice

from .pending_commands import PendingCommand, fail, work_items

_MAX_INLINE = 16
"""A command with more alerts or scopes is decided in a thread. One alert takes up to 100 microseconds."""


class BatchDecider:
    """Decides commands on the core state. The gates are served meanwhile.

    Args:
        core_state: the state that decisions read. Only the writer changes it.
        tree: the gates.
        counters: counts commands that raise an unexpected exception.
        clock: the time source.
        time_slice: returns a new time slice of a batch.
        on_failed: called with each command that raised an unexpected exception.
    """

    def __init__(
        self,
        core_state: CoreState,
        tree: GateTree,
        counters: Counters,
        clock: Clock,
        *,
        time_slice: Callable[[], TimeSlice],
        on_failed: Callable[[Command], None],
    ) -> None:
        self._core_state = core_state
        self._tree = tree
        self._counters = counters
        self._clock = clock
        self._time_slice = time_slice
        self._on_failed = on_failed

    async def decide(
        self, batch: list[PendingCommand]
    ) -> tuple[list[tuple[PendingCommand, CommandOutcome]], Transaction]:
        """Decide ``batch``. A refused command gets its error as its result.

        A command that raises an unexpected exception fails alone. Its changes are discarded with the
        transaction, and the other commands are decided in a new one.

        Returns:
            The commands that were not refused, with their outcomes, and the transaction.
        """
        while True:
            transaction = Transaction(self._core_state)
            try:
                return await self._decide_in(batch, transaction), transaction
            except _DecisionFailed as failed:
                if isinstance(failed.pending.command, ShiftTime):
                    # The batch fails, because the other commands would be decided on unshifted times.
                    raise
                self._counters.task_failures.record("writer")
                # Remove the command in place. Otherwise the caller would retry it if a later step fails.
                batch.remove(failed.pending)
                fail(failed.pending, failed.error)
                self._on_failed(failed.pending.command)

    async def _decide_in(
        self, batch: list[PendingCommand], transaction: Transaction
    ) -> list[tuple[PendingCommand, CommandOutcome]]:
        now = self._clock.now()
        known = len(self._core_state.records)
        for pending in batch:
            if isinstance(pending.command, ForgetScopes):
                pending.command = replace(
                    pending.command, scopes=self._without_waiters(pending.command.scopes)
                )
        decided: list[tuple[PendingCommand, CommandOutcome]] = []
        refused: list[tuple[PendingCommand, CoreError]] = []
        time_slice = self._time_slice()
        # Only the writer changes the state that decisions read, and the writer waits here. Meanwhile the
        # loop serves gates.
        for pending in batch:
            one = partial(_apply_command, pending, transaction, now)
            if work_items(pending.command, known) <= _MAX_INLINE:
                outcome = one()
            else:
                outcome = await asyncio.get_running_loop().run_in_executor(None, one)
            if isinstance(outcome, CoreError):
                refused.append((pending, outcome))
            else:
                decided.append((pending, outcome))
            if pending is not batch[-1] and time_slice.expired:
                await time_slice.yield_to_others()
        for pending, error in refused:
            fail(pending, error)
        return decided

    def _without_waiters(self, scopes: Iterable[str]) -> tuple[str, ...]:
        """``scopes`` without the scopes at which requests were parked after the scopes were found idle."""
        gates = self._tree.gates
        return tuple(scope for scope in scopes if scope in gates and not gates[scope].waiting)


class _DecisionFailed(Exception):
    """The decision of ``pending`` raised an unexpected exception, which is the cause of this one."""

    def __init__(self, pending: PendingCommand, error: Exception) -> None:
        super().__init__(str(error))
        self.pending = pending
        self.error = error


def _apply_command(
    pending: PendingCommand, transaction: Transaction, now: float
) -> CommandOutcome | CoreError:
    """Apply ``pending`` to ``transaction``. Returns the error if it is refused. Raises `_DecisionFailed`."""
    try:
        outcome = transaction.apply_command(pending.command, now)
        if pending.actor:
            outcome.set_actor(pending.actor)
        return outcome
    except CoreError as error:
        return error
    except Exception as error:
        raise _DecisionFailed(pending, error) from error
