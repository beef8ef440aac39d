"""A batch of commands that are decided on a delta of the state.

A transaction that is discarded has no effect. Therefore a command can be decided first, then stored durably,
and then applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .alert_signals import AlertSignals
from .commands import (
    AcceptResolves,
    AddHistoryNote,
    ClaimState,
    Command,
    CommandOutcome,
    EndTrial,
    Expire,
    ForgetScopes,
    Pause,
    ReceiveAlerts,
    ReconcileAlerts,
    RememberWatchdog,
    Resume,
    RevertResolves,
    SetPolicies,
    ShiftTime,
)
from .events import HistoryNoted
from .model import StateDelta
from .pending_updates import PendingUpdates
from .policy import PolicyTable
from .scope import ROOT
from .scope_update import ScopeUpdate
from .state import WellbeingState
from .values import Signal

SWEEP_SECS = 60.0
"""Minimum seconds between two checks for expired tombstones."""


class Transaction(StateDelta):
    """Commands that are decided but not applied. `StateDelta` has their changes."""

    def apply_command(self, command: Command, now: float) -> CommandOutcome:  # noqa: C901 - one case a command
        """Decide ``command`` at ``now``, seconds since the epoch.

        Raises:
            TooManyScopes: the command would exceed the limit of scopes; it has no effect.
            TooManySignals: a scope would exceed its limit of signals; the command has no effect.
        """
        match command:
            case ReceiveAlerts() | ReconcileAlerts() | AcceptResolves() | RevertResolves():
                return AlertSignals(self, now).apply(command)
            case ClaimState():
                self._require_room_for_claim(command)
                return self._in_scope(command.scope, now, lambda update: _claim(update, command, now))
            case Pause():
                return self._in_scope(
                    command.scope,
                    now,
                    lambda update: update.pause(command.reason, command.by, command.max_pause_secs),
                )
            case Resume():
                return self._in_scope(
                    command.scope, now, lambda update: update.resume(command.reason, command.by)
                )
            case EndTrial():
                if self.record(command.scope) is None:
                    return CommandOutcome()
                return self._in_scope(
                    command.scope, now, lambda update: update.end_trial(command.since, command.failure)
                )
            case Expire():
                return self._expire(command.scopes, now)
            case SetPolicies():
                return self._set_policies(command.policies, now)
            case ForgetScopes():
                return self._forget(command.scopes)
            case ShiftTime():
                return self._shift(command.secs)
            case AddHistoryNote() | RememberWatchdog():
                return self._note(command, now)

    def _expire(self, scopes: Iterable[str], now: float) -> CommandOutcome:
        updates = PendingUpdates(self, now, depends_on_unchanged=False)
        for scope in scopes:
            if self.record(scope) is not None:
                updates.update_for(scope)
        if now >= self.sweep_at:
            more = self.expire_tombstones(now)
            self.sweep_at = now + (0.0 if more else SWEEP_SECS)
        return CommandOutcome(updates.finish())

    def _set_policies(self, policies: PolicyTable, now: float) -> CommandOutcome:
        named = set(policies.named_scopes())
        self.require_room_for_scopes(named)
        # Finish after the check: the changes of a refused command must not be applied with the batch.
        self.policies = policies
        updates = PendingUpdates(self, now, depends_on_unchanged=False)
        for scope in self.known_scopes() | named:
            # A scope that was forgotten in the same batch stays forgotten.
            if scope in named or self.record(scope) is not None:
                updates.update_for(scope)
        return CommandOutcome(updates.finish())

    def _forget(self, scopes: Iterable[str]) -> CommandOutcome:
        named = {ROOT, *self.policies.named_scopes()}
        for scope in scopes:
            record = self.record(scope)
            if record is not None and record.is_empty and scope not in named:
                self.forget(scope)
        return CommandOutcome()

    def _shift(self, secs: float) -> CommandOutcome:
        for scope in self.known_scopes():
            record = self.record(scope)
            if record is not None and not record.is_empty:
                self.records[scope] = record.shifted(secs)
                self.rewritten.add(scope)
        self.shift_tombstones(secs)
        self.sweep_at += secs
        return CommandOutcome()

    def _note(self, command: AddHistoryNote | RememberWatchdog, now: float) -> CommandOutcome:
        if isinstance(command, AddHistoryNote):
            return CommandOutcome((_noted(command, now),))
        self.seen_watchdog = command.alertname
        return CommandOutcome()

    def _in_scope(self, scope: str, now: float, act: Callable[[ScopeUpdate], None]) -> CommandOutcome:
        self.require_room_for_scopes({scope})
        updates = PendingUpdates(self, now)
        act(updates.update_for(scope))
        return CommandOutcome(updates.finish())

    def _require_room_for_claim(self, claim: ClaimState) -> None:
        record = self.record(claim.scope)
        known = record is not None and claim.source in record.signals
        if not known and claim.state is not WellbeingState.HEALTHY:
            self.require_room_for_signals(claim.scope, 1)


def _claim(update: ScopeUpdate, command: ClaimState, now: float) -> None:
    if command.state is WellbeingState.HEALTHY:
        update.drop_signal(command.source, command.reason)
        return
    current = update.signal(command.source)
    since = current.since if current and current.state is command.state else now
    expires_at = None if command.ttl_secs is None else now + command.ttl_secs
    update.put_signal(Signal(command.source, command.state, command.reason, since, expires_at))


def _noted(note: AddHistoryNote, now: float) -> HistoryNoted:
    return HistoryNoted(note.scope, now, note.kind, note.old, note.new, note.source, note.reason)
