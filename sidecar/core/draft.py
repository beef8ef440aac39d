"""What the world will be: commands are decided on a draft.

A draft that is thrown away leaves no trace. So a command can be decided, made durable, and only then
applied.

An alert's signal stands in one scope. Which notification of it is newer is told by its own times:
``startsAt`` of the firing ones, ``endsAt`` of the resolved ones, kept as a tombstone. So any order and
any repetition of the same notifications ends in the same state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from .changes import Change, Remarked, SignalDropped, SignalPut
from .commands import (
    AlertFired,
    AlertOutcome,
    AlertResolved,
    Believe,
    Claim,
    Command,
    Disbelieve,
    Forget,
    Lapse,
    Notify,
    Pause,
    Reconcile,
    Remark,
    Repolicy,
    Resume,
    ShiftTime,
)
from .errors import TooManyScopes, TooManySignals
from .policy import PolicyTable
from .scope import ROOT, lies_within
from .state import WellbeingState
from .transition import Transition
from .values import EMPTY, STALE_SECS, ScopeRecord, Signal, Tombstone
from .world import World

SWEEP_SECS = 60.0
"""How often, at most, tombstones are looked through for those that may go."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to.

    Attributes:
        changes: in the order they happened.
        alerts: for each alert of a notification what became of it, in its order.
    """

    changes: tuple[Change, ...] = ()
    alerts: tuple[AlertOutcome, ...] = ()

    def by(self, actor: str) -> Outcome:
        """The same, done by ``actor``."""
        changes = tuple(
            change if isinstance(change, SignalPut | SignalDropped) else replace(change, actor=actor)
            for change in self.changes
        )
        return Outcome(changes, self.alerts)


class Draft:
    """Commands decided, not yet true.

    Attributes:
        policies: those that will count.
        records: the scopes that change; None: forgotten.
        tombstones: those that change; None: gone.
        places: the scope of each alert's signal that changes; None: it has ended.
        rewritten: scopes whose signals changed without a change that tells of each.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.policies = world.policies
        self.records: dict[str, ScopeRecord | None] = {}
        self.tombstones: dict[str, Tombstone | None] = {}
        self.places: dict[str, str | None] = {}
        self.rewritten: set[str] = set()
        self.sweep_at = world.sweep_at
        self._known = len(world.records)

    def perform(self, command: Command, now: float) -> Outcome:
        """Decide ``command`` at ``now``.

        Raises:
            TooManyScopes: it would name more scopes than may be known; nothing of it was done.
            TooManySignals: it would put more signals into a scope than it may have; the same.
        """
        match command:
            case Notify() | Reconcile() | Believe() | Disbelieve():
                return self._hear(command, now)
            case Claim():
                self._make_room_for_claim(command)
                return self._in_scope(command.scope, now, lambda step: _claim(step, command, now))
            case Pause():
                return self._in_scope(
                    command.scope,
                    now,
                    lambda step: step.pause(command.reason, command.by, command.max_pause_secs),
                )
            case Resume():
                return self._in_scope(
                    command.scope, now, lambda step: step.resume(command.reason, command.by)
                )
            case Lapse():
                return self._lapse(command.scopes, now)
            case Repolicy():
                return self._repolicy(command.policies, now)
            case Forget():
                return self._forget(command.scopes)
            case ShiftTime():
                return self._shift(command.secs)
            case Remark():
                return Outcome((_remarked(command, now),))

    def _hear(self, command: Notify | Reconcile | Believe | Disbelieve, now: float) -> Outcome:
        match command:
            case Notify():
                return self._notify(command, now)
            case Reconcile():
                return self._reconcile(command, now)
            case Believe():
                return self._believe(now)
            case Disbelieve():
                return self._disbelieve(command, now)

    # -- commands ---------------------------------------------------------------------------------

    def _notify(self, command: Notify, now: float) -> Outcome:
        permitted = [self._is_within(alert, command.within) for alert in command.alerts]
        self._make_room_for(
            alert
            for alert, may in zip(command.alerts, permitted, strict=True)
            if may and isinstance(alert, AlertFired)
        )
        steps: dict[str, Transition] = {}
        outcomes = tuple(
            AlertOutcome.IGNORED
            if not may
            else self._fired(alert, steps, now)
            if isinstance(alert, AlertFired)
            else self._resolved(alert, steps, now, blind=command.blind)
            for alert, may in zip(command.alerts, permitted, strict=True)
        )
        return Outcome(self._finish(steps), outcomes)

    def _is_within(self, alert: AlertFired | AlertResolved, within: str) -> bool:
        if not within:
            return True
        place = self._place(alert.source)
        here = place is None or lies_within(place, within)
        return here and (isinstance(alert, AlertResolved) or lies_within(alert.scope, within))

    def _fired(
        self, alert: AlertFired, steps: dict[str, Transition], now: float, listed_at: float | None = None
    ) -> AlertOutcome:
        tombstone = self._tombstone(alert.source)
        if tombstone is not None and alert.starts_at <= tombstone.ended_at:
            if listed_at is None or listed_at <= tombstone.heard_at:
                return AlertOutcome.STALE
            # Listed after it was told to have ended: a Prometheus that stood still goes on with it.
            self.tombstones[alert.source] = None
        place = self._place(alert.source)
        current = None if place is None else self._step(place, steps, now).signal(alert.source)
        expires_at, asked = alert.expires_at, alert.asked
        outcome = AlertOutcome.APPLIED
        if current is not None:
            asked = asked or current.asked
            if alert.starts_at < current.since:
                return AlertOutcome.STALE
            expires_at = max(expires_at, current.expires_at or expires_at)
            if place == alert.scope and (alert.starts_at, alert.state) == (current.since, current.state):
                if (expires_at, asked, None) == (current.expires_at, current.asked, current.ended_at):
                    return AlertOutcome.REPEATED
                outcome = AlertOutcome.REPEATED
        if place is not None and place != alert.scope:
            self._step(place, steps, now).drop_signal(alert.source, f"moved to {alert.scope or 'the root'}")
        reason = current.reason if current and outcome is AlertOutcome.REPEATED else alert.reason
        signal = Signal(alert.source, alert.state, reason, alert.starts_at, expires_at, asked=asked)
        self._step(alert.scope, steps, now).put_signal(signal)
        self.places[alert.source] = alert.scope
        return outcome

    def _resolved(
        self, alert: AlertResolved, steps: dict[str, Transition], now: float, *, blind: bool
    ) -> AlertOutcome:
        place = self._place(alert.source)
        current = None if place is None else self._step(place, steps, now).signal(alert.source)
        # Told of an end but no beginning, Alertmanager takes the end for the beginning: what begins in the
        # future may have ended by now.
        is_stale = current is not None and alert.ends_at < current.since <= now
        if blind:
            # Kept with the signal only: what is not believed must not make a later firing stale.
            if place is not None and current is not None and current.ended_at is None and not is_stale:
                self._step(place, steps, now).put_signal(replace(current, ended_at=alert.ends_at))
            return AlertOutcome.STALE if is_stale else AlertOutcome.IGNORED
        tombstone = self._tombstone(alert.source)
        newer = tombstone is None or alert.ends_at > tombstone.ended_at
        if newer:
            ended_at = alert.ends_at if current is None or is_stale else max(alert.ends_at, current.since)
            self.tombstones[alert.source] = Tombstone(ended_at, alert.keep_until, now)
        if place is None or current is None:
            return AlertOutcome.APPLIED if newer else AlertOutcome.REPEATED
        if is_stale:
            return AlertOutcome.STALE
        self._step(place, steps, now).drop_signal(alert.source, "resolved")
        self.places[alert.source] = None
        return AlertOutcome.APPLIED

    def _reconcile(self, command: Reconcile, now: float) -> Outcome:
        self._make_room_for(command.firing)
        steps: dict[str, Transition] = {}
        for gone in command.gone:
            place = self._place(gone.source)
            if place is None:
                continue
            step = self._step(place, steps, now)
            current = step.signal(gone.source)
            known = (gone.since, gone.expires_at)
            if current is not None and (current.since, current.expires_at) == known:
                step.drop_signal(gone.source, gone.why)
                self.places[gone.source] = None
        outcomes = tuple(self._fired(alert, steps, now, command.asked_at) for alert in command.firing)
        return Outcome(self._finish(steps), outcomes)

    def _believe(self, now: float) -> Outcome:
        steps: dict[str, Transition] = {}
        for scope in {*self._world.records, *self.records}:
            record = self._record(scope)
            for source, signal in (record.signals if record else {}).items():
                if signal.ended_at is not None:
                    self._step(scope, steps, now).drop_signal(source, "resolved while blind")
                    self.places[source] = None
                    self.tombstones[source] = Tombstone(signal.ended_at, now + STALE_SECS, now)
        return Outcome(self._finish(steps))

    def _disbelieve(self, command: Disbelieve, now: float) -> Outcome:
        self._make_room({scope for scope, _ in command.signals})
        steps: dict[str, Transition] = {}
        for scope, signal in command.signals:
            if self._place(signal.source) is None:
                self._step(scope, steps, now).put_signal(signal)
                self.places[signal.source] = scope
                if scope not in command.held:
                    self._step(scope, steps, now).begin_spent()
        return Outcome(self._finish(steps))

    def _lapse(self, scopes: Iterable[str], now: float) -> Outcome:
        steps: dict[str, Transition] = {}
        for scope in scopes:
            if self._record(scope) is not None:
                self._step(scope, steps, now)
        if now >= self.sweep_at:
            self.sweep_at = now + SWEEP_SECS
            for source, tombstone in self._world.tombstones.items():
                if tombstone.keep_until <= now and source not in self.tombstones:
                    self.tombstones[source] = None
        return Outcome(self._finish(steps))

    def _repolicy(self, policies: PolicyTable, now: float) -> Outcome:
        self.policies = policies
        self._make_room(set(policies.named_scopes()))
        steps: dict[str, Transition] = {}
        for scope in {*self._world.records, *self.records, *policies.named_scopes()}:
            self._step(scope, steps, now)
        return Outcome(self._finish(steps))

    def _forget(self, scopes: Iterable[str]) -> Outcome:
        named = {ROOT, *self.policies.named_scopes()}
        for scope in scopes:
            record = self._record(scope)
            if record is not None and record.is_empty and scope not in named:
                self.records[scope] = None
                self._known -= 1
        return Outcome()

    def _shift(self, secs: float) -> Outcome:
        for scope in {*self._world.records, *self.records}:
            record = self._record(scope)
            if record is not None and not record.is_empty:
                self.records[scope] = record.shifted(secs)
                self.rewritten.add(scope)
        return Outcome()

    # -- steps ------------------------------------------------------------------------------------

    def _in_scope(self, scope: str, now: float, act: Callable[[Transition], None]) -> Outcome:
        self._make_room({scope})
        steps: dict[str, Transition] = {}
        act(self._step(scope, steps, now))
        return Outcome(self._finish(steps))

    def _step(self, scope: str, steps: dict[str, Transition], now: float) -> Transition:
        step = steps.get(scope)
        if step is None:
            record = self._record(scope) or EMPTY
            step = steps[scope] = Transition(scope, record, self.policies.policy_for(scope), now)
        return step

    def _finish(self, steps: dict[str, Transition]) -> tuple[Change, ...]:
        changes: list[Change] = []
        for scope, step in steps.items():
            before = self._record(scope)
            if before is None:
                self._known += 1
            self.records[scope] = step.finish()
            changes += step.changes
        for change in changes:
            if isinstance(change, SignalDropped) and change.expired and change.signal.kind == "alert":
                self._vacate(change.signal.source, change.scope)
        return tuple(changes)

    def _vacate(self, source: str, scope: str) -> None:
        """An alert's signal expired in ``scope``; it may have been put again by the same command."""
        record = self._record(scope)
        if self._place(source) == scope and (record is None or source not in record.signals):
            self.places[source] = None

    def _make_room_for(self, alerts: Iterable[AlertFired]) -> None:
        """Refuse alerts for which there is no room, before anything is done about any of them."""
        new: Counter[str] = Counter()
        scopes = set()
        for alert in alerts:
            scopes.add(alert.scope)
            if self._place(alert.source) != alert.scope:
                new[alert.scope] += 1
        self._make_room(scopes)
        for scope, count in new.items():
            self._make_room_for_signals(scope, count)

    def _make_room_for_claim(self, claim: Claim) -> None:
        record = self._record(claim.scope)
        known = record is not None and claim.source in record.signals
        if not known and claim.state is not WellbeingState.HEALTHY:
            self._make_room_for_signals(claim.scope, 1)

    def _make_room_for_signals(self, scope: str, count: int) -> None:
        record = self._record(scope)
        if count + (len(record.signals) if record else 0) > self._world.max_signals:
            raise TooManySignals(scope, self._world.max_signals)

    def _make_room(self, scopes: set[str]) -> None:
        new = sum(1 for scope in scopes if self._record(scope) is None)
        if new and self._known + new > self._world.max_scopes:
            raise TooManyScopes(self._world.max_scopes)

    def _record(self, scope: str) -> ScopeRecord | None:
        if scope in self.records:
            return self.records[scope]
        return self._world.records.get(scope)

    def _tombstone(self, source: str) -> Tombstone | None:
        if source in self.tombstones:
            return self.tombstones[source]
        return self._world.tombstones.get(source)

    def _place(self, source: str) -> str | None:
        if source in self.places:
            return self.places[source]
        return self._world.places.get(source)


def _claim(step: Transition, command: Claim, now: float) -> None:
    if command.state is WellbeingState.HEALTHY:
        step.drop_signal(command.source, command.reason)
        return
    current = step.signal(command.source)
    since = current.since if current and current.state is command.state else now
    expires_at = None if command.ttl_secs is None else now + command.ttl_secs
    step.put_signal(Signal(command.source, command.state, command.reason, since, expires_at))


def _remarked(remark: Remark, now: float) -> Remarked:
    return Remarked(remark.scope, now, remark.kind, remark.old, remark.new, remark.source, remark.reason)
