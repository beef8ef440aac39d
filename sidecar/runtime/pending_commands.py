"""Submitted commands, and the decision of a batch of them in one transaction."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sidecar.core.commands import (
    AcceptResolves,
    Command,
    CommandOutcome,
    Expire,
    ForgetScopes,
    ReceiveAlerts,
    ReconcileAlerts,
    RevertResolves,
    SetPolicies,
    ShiftTime,
)
from sidecar.core.errors import CoreError
from sidecar.core.transaction import Transaction


@dataclass(slots=True, eq=False)
class PendingCommand:
    """A submitted command, its future result, and the name of the credential that sent it."""

    command: Command
    answer: asyncio.Future[CommandOutcome]
    actor: str = ""


class DecisionFailed(Exception):
    """An unexpected exception, the cause of this one, while ``pending`` was decided."""

    def __init__(self, pending: PendingCommand, error: Exception) -> None:
        super().__init__(str(error))
        self.pending = pending
        self.error = error


def work_items(command: Command, known: int) -> int:
    """The number of alerts or scopes to decide on; ``known``: the number of known scopes."""
    match command:
        case ReceiveAlerts():
            return len(command.alerts)
        case ReconcileAlerts():
            return len(command.firing) + len(command.missing)
        case RevertResolves():
            return len(command.signals)
        case Expire() | ForgetScopes():
            return len(command.scopes)
        case AcceptResolves() | SetPolicies() | ShiftTime():
            return known
    return 1


def apply_commands(
    batch: list[PendingCommand], transaction: Transaction, now: float
) -> tuple[list[tuple[PendingCommand, CommandOutcome]], list[tuple[PendingCommand, CoreError]]]:
    """Apply ``batch`` to ``transaction``; return the outcomes and the refused commands."""
    decided, refused = [], []
    for pending in batch:
        try:
            outcome = transaction.apply_command(pending.command, now)
            decided.append((pending, outcome.with_actor(pending.actor) if pending.actor else outcome))
        except CoreError as error:
            refused.append((pending, error))
        except Exception as error:
            raise DecisionFailed(pending, error) from error
    return decided, refused


def fail(pending: PendingCommand, error: Exception) -> None:
    """Set ``error`` as the result of ``pending``, unless it has a result."""
    if not pending.answer.done():
        pending.answer.set_exception(error)
