"""Applies alert notifications to the signals of scopes.

The signal of an alert belongs to one scope. The alert's own times decide which of two notifications is newer:
``startsAt`` if it is firing, ``endsAt`` if it is resolved. The ``endsAt`` is kept as a tombstone. Therefore
the same notifications lead to the same state, in any order and however often they are repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .commands import (
    AcceptResolves,
    AlertFired,
    AlertOutcome,
    AlertResolved,
    CommandOutcome,
    ReceiveAlerts,
    ReconcileAlerts,
    RevertResolves,
)
from .model import StateDelta
from .pending_updates import PendingUpdates
from .scope import lies_within
from .values import TOMBSTONE_TTL_SECS, Signal, Tombstone

AlertCommand = ReceiveAlerts | ReconcileAlerts | AcceptResolves | RevertResolves


class AlertSignals:
    """Applies one command about alerts.

    Args:
        delta: receives the changes.
        now: seconds since the epoch.
    """

    def __init__(self, delta: StateDelta, now: float) -> None:
        self._delta = delta
        self._now = now
        self._updates = PendingUpdates(delta, now)

    def apply(self, command: AlertCommand) -> CommandOutcome:
        """Apply ``command``.

        Raises:
            TooManyScopes: the command would exceed the limit of scopes; nothing was applied.
            TooManySignals: a scope would exceed its limit of signals; nothing was applied.
        """
        match command:
            case ReceiveAlerts():
                return self._receive(command)
            case ReconcileAlerts():
                return self._reconcile(command)
            case AcceptResolves():
                return self._accept_resolves()
            case RevertResolves():
                return self._revert_resolves(command)

    def _receive(self, command: ReceiveAlerts) -> CommandOutcome:
        permitted = [self._is_within(alert, command.sender_scope) for alert in command.alerts]
        self._require_room(
            alert
            for alert, may in zip(command.alerts, permitted, strict=True)
            if may and isinstance(alert, AlertFired)
        )
        outcomes = tuple(
            AlertOutcome.IGNORED
            if not may
            else self._fire(alert)
            if isinstance(alert, AlertFired)
            else self._resolve(alert, blind=command.blind)
            for alert, may in zip(command.alerts, permitted, strict=True)
        )
        return CommandOutcome(self._updates.finish(), outcomes)

    def _is_within(self, alert: AlertFired | AlertResolved, sender_scope: str) -> bool:
        if not sender_scope:
            return True
        scope = self._delta.alert_scope(alert.source)
        if isinstance(alert, AlertResolved) and alert.outcome_if_unknown is not None and scope is None:
            return True
        here = scope is None or lies_within(scope, sender_scope)
        return here and (isinstance(alert, AlertResolved) or lies_within(alert.scope, sender_scope))

    def _fire(self, alert: AlertFired, listed_at: float | None = None) -> AlertOutcome:
        tombstone = self._delta.tombstone(alert.source)
        if tombstone is not None and alert.starts_at <= tombstone.ended_at:
            if listed_at is None or listed_at <= tombstone.received_at:
                return AlertOutcome.STALE
            # Alertmanager listed it after the resolve was received: Prometheus was suspended and has
            # continued.
            self._delta.remove_tombstone(alert.source)
        scope = self._delta.alert_scope(alert.source)
        current = None if scope is None else self._updates.update_for(scope).signal(alert.source)
        expires_at, query = alert.expires_at, alert.query
        alertname = alert.alertname
        outcome = AlertOutcome.APPLIED
        if current is not None:
            query = query or current.query
            if alert.starts_at < current.since:
                return AlertOutcome.STALE
            expires_at = max(expires_at, current.expires_at or expires_at)
            if scope == alert.scope and (alert.starts_at, alert.state) == (current.since, current.state):
                known = (current.expires_at, current.query, current.ended_at, current.alertname)
                if (expires_at, query, None, alertname) == known:
                    return AlertOutcome.REPEATED
                outcome = AlertOutcome.REPEATED
        if scope is not None and scope != alert.scope:
            self._updates.update_for(scope).drop_signal(alert.source, f"moved to {alert.scope or 'the root'}")
        reason = current.reason if current and outcome is AlertOutcome.REPEATED else alert.reason
        signal = Signal(
            alert.source, alert.state, reason, alert.starts_at, expires_at, query=query, alertname=alertname
        )
        self._updates.update_for(alert.scope).put_signal(signal)
        self._delta.scope_by_alert[alert.source] = alert.scope
        return outcome

    def _resolve(self, alert: AlertResolved, *, blind: bool) -> AlertOutcome:
        scope = self._delta.alert_scope(alert.source)
        current = None if scope is None else self._updates.update_for(scope).signal(alert.source)
        if current is None and alert.outcome_if_unknown is not None:
            return alert.outcome_if_unknown
        # Alertmanager sets startsAt to endsAt for an alert that has only an end. So an alert whose startsAt
        # is in the future may have ended already.
        is_stale = current is not None and alert.ends_at < current.since <= self._now
        if blind:
            # Stored in the signal only: a resolve that is not accepted must not make a later firing alert
            # stale.
            if scope is not None and current is not None and current.ended_at is None and not is_stale:
                self._updates.update_for(scope).put_signal(replace(current, ended_at=alert.ends_at))
            return AlertOutcome.STALE if is_stale else AlertOutcome.IGNORED
        tombstone = self._delta.tombstone(alert.source)
        ended_at = alert.ends_at if current is None or is_stale else max(alert.ends_at, current.since)
        newer = tombstone is None or ended_at > tombstone.ended_at
        if newer:
            self._delta.put_tombstone(alert.source, Tombstone(ended_at, alert.keep_until, self._now))
        if scope is None or current is None:
            return AlertOutcome.APPLIED if newer else AlertOutcome.REPEATED
        if is_stale:
            return AlertOutcome.STALE
        self._updates.update_for(scope).drop_signal(alert.source, "resolved")
        self._delta.scope_by_alert[alert.source] = None
        return AlertOutcome.APPLIED

    def _reconcile(self, command: ReconcileAlerts) -> CommandOutcome:
        self._require_room(command.firing)
        for missing in command.missing:
            scope = self._delta.alert_scope(missing.source)
            if scope is None:
                continue
            update = self._updates.update_for(scope)
            current = update.signal(missing.source)
            known = (missing.since, missing.expires_at)
            if current is not None and (current.since, current.expires_at) == known:
                update.drop_signal(missing.source, missing.why)
                self._delta.scope_by_alert[missing.source] = None
        outcomes = tuple(self._fire(alert, command.queried_at) for alert in command.firing)
        return CommandOutcome(self._updates.finish(), outcomes)

    def _accept_resolves(self) -> CommandOutcome:
        for scope in self._delta.known_scopes():
            record = self._delta.record(scope)
            for source, signal in (record.signals if record else {}).items():
                if signal.ended_at is not None:
                    self._updates.update_for(scope).drop_signal(source, "resolved while blind")
                    self._delta.scope_by_alert[source] = None
                    keep_until = self._now + TOMBSTONE_TTL_SECS
                    self._delta.put_tombstone(source, Tombstone(signal.ended_at, keep_until, self._now))
        return CommandOutcome(self._updates.finish())

    def _revert_resolves(self, command: RevertResolves) -> CommandOutcome:
        self._delta.require_room_for_scopes({scope for scope, _ in command.signals})
        scopes: dict[str, None] = {}
        for scope, signal in command.signals:
            if self._delta.alert_scope(signal.source) is None:
                self._updates.update_for(scope).restore_signal(self._without_tombstone(signal))
                self._delta.scope_by_alert[signal.source] = scope
                scopes[scope] = None
        # Restore holds after all signals of the scope. Otherwise a signal would be new to the episode that
        # another signal began.
        holds = dict(command.holds)
        for scope in scopes:
            if scope in holds:
                self._updates.update_for(scope).restore_hold(holds[scope])
            else:
                self._updates.update_for(scope).suppress()
        return CommandOutcome(self._updates.finish())

    def _without_tombstone(self, signal: Signal) -> Signal:
        """``signal`` with the end from its tombstone, which is removed: a later firing must not be stale."""
        tombstone = self._delta.tombstone(signal.source)
        if tombstone is None or tombstone.ended_at < signal.since:
            return signal
        self._delta.remove_tombstone(signal.source)
        return replace(signal, ended_at=tombstone.ended_at)

    def _require_room(self, alerts: Iterable[AlertFired]) -> None:
        """Raise if ``alerts`` would exceed a limit, before any of them is applied."""
        # An alert may be listed more than once, and has one signal.
        listed = {(alert.source, alert.scope) for alert in alerts}
        self._delta.require_room_for_scopes({scope for _, scope in listed})
        new: dict[str, int] = {}
        for source, scope in listed:
            if self._delta.alert_scope(source) != scope:
                new[scope] = new.get(scope, 0) + 1
        for scope, count in new.items():
            self._delta.require_room_for_signals(scope, count)
