"""Submitted commands."""

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


@dataclass(slots=True, eq=False)
class PendingCommand:
    """A submitted command, its future result, and the name of the credential that sent it."""

    command: Command
    answer: asyncio.Future[CommandOutcome]
    actor: str = ""


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


def fail(pending: PendingCommand, error: Exception) -> None:
    """Set ``error`` as the result of ``pending``, unless it has a result."""
    if not pending.answer.done():
        pending.answer.set_exception(error)
