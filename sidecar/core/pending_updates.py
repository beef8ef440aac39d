"""The scope updates of one command: one `ScopeUpdate` for each scope that the command touches."""

from __future__ import annotations

import math

from .events import CoreEvent, SignalDropped
from .model import StateDelta, is_paused_by_policy
from .scope import parent_of
from .scope_update import ScopeUpdate
from .values import EMPTY


class PendingUpdates:
    """Opens scope updates when they are needed, and finishes them together.

    Args:
        delta: receives the new records.
        now: seconds since the epoch.
        depends_on_unchanged: whether the command depends on records that it does not change. If another
            sidecar changes one of these records meanwhile, the command has to be decided again.
    """

    def __init__(self, delta: StateDelta, now: float, *, depends_on_unchanged: bool = True) -> None:
        self._delta = delta
        self._depends_on_unchanged = depends_on_unchanged
        self._now = now
        self._updates: dict[str, ScopeUpdate] = {}
        # By parent: scopes that this command names first, and that are not settled yet.
        self._new_inside: dict[str, int] = {}

    def update_for(self, scope: str) -> ScopeUpdate:
        """The update of ``scope``. An unknown scope is added."""
        update = self._updates.get(scope)
        if update is None:
            known = self._delta.record(scope)
            if known is None and scope:
                self._count_new(scope, 1)
            record = known or EMPTY
            if self._depends_on_unchanged:
                self._delta.read_scopes.add(scope)
            policy = self._delta.policies.policy_for(scope)
            update = self._updates[scope] = ScopeUpdate(
                scope, record, policy, self._now, lambda: self._refuse_pause(scope)
            )
        return update

    def finish(self) -> tuple[CoreEvent, ...]:
        """Settle each scope once, put the records into the delta, and return the events in order."""
        events: list[CoreEvent] = []
        # Recoveries come first, because they allow other pauses under `max_paused_share`.
        updates = list(self._updates.items())
        # The updates and this object refer to each other. Without this, they would stay until a full garbage
        # collection.
        self._updates.clear()
        if len(updates) > 1:
            updates.sort(key=lambda one: not one[1].recovers)
        updates.reverse()
        while updates:
            # Each update is released before the next one. To release ten thousand at once takes 5 ms, during
            # which no other thread runs.
            scope, update = updates.pop()
            record = update.finish()
            if self._delta.record(scope) is None and scope:
                self._count_new(scope, -1)
            self._delta.put_record(scope, record)
            events += update.events
        for event in events:
            if isinstance(event, SignalDropped) and event.expired and event.signal.kind == "alert":
                self._clear_alert_scope(event.signal.source, event.scope)
        return tuple(events)

    def _refuse_pause(self, scope: str) -> str:
        """Why the policy must not pause ``scope``: too many siblings are paused; empty: it may pause it."""
        if not scope:
            return ""
        parent = parent_of(scope)
        share = self._delta.policies.policy_for(parent).max_paused_share
        if not share:
            return ""
        self._delta.read_inside.add(parent)
        # Count the scopes that this command names, too: a wrong rule may fire for all of them at once.
        known = self._delta.known_inside(parent) + self._new_inside.get(parent, 0)
        most = max(1, math.ceil(share * known - 1e-9))
        paused = self._delta.paused_inside(parent) - is_paused_by_policy(self._delta.record(scope))
        if paused < most:
            return ""
        many = f"{paused} of {known} scopes in {parent or 'the root'} are paused"
        return f"advised only: {many}, max_paused_share is {share:g}"

    def _count_new(self, scope: str, change: int) -> None:
        parent = parent_of(scope)
        self._new_inside[parent] = self._new_inside.get(parent, 0) + change

    def _clear_alert_scope(self, source: str, scope: str) -> None:
        """Clear the scope of an alert whose signal expired, unless the same command put it again."""
        record = self._delta.record(scope)
        if self._delta.alert_scope(source) == scope and (record is None or source not in record.signals):
            self._delta.scope_by_alert[source] = None
