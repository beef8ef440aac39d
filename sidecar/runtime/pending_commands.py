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


def apply_command(
    pending: PendingCommand, transaction: Transaction, now: float
) -> CommandOutcome | CoreError:
    """Apply ``pending`` to ``transaction``. Returns the error if it is refused. Raises `DecisionFailed`."""
    try:
        outcome = transaction.apply_command(pending.command, now)
        return outcome.with_actor(pending.actor) if pending.actor else outcome
    except CoreError as error:
        return error
    except Exception as error:
        raise DecisionFailed(pending, error) from error


def fail(pending: PendingCommand, error: Exception) -> None:
    """Set ``error`` as the result of ``pending``, unless it has a result."""
    if not pending.answer.done():
        pending.answer.set_exception(error)
