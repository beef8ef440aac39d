"""The scope updates of one command: one `ScopeUpdate` for each scope that the command touches."""

from __future__ import annotations

from .events import CoreEvent, SignalDropped
from .model import StateDelta
from .scope_update import ScopeUpdate
from .values import EMPTY


class PendingUpdates:
    """Opens scope updates when they are needed, and finishes them together.

    Args:
        delta: receives the new records.
        now: seconds since the epoch.
        depends_on_unchanged: whether the command depends on records that it does not change. If another
            sidecar changes one of them meanwhile, it has to be decided again.
    """

    def __init__(self, delta: StateDelta, now: float, *, depends_on_unchanged: bool = True) -> None:
        self._delta = delta
        self._depends_on_unchanged = depends_on_unchanged
        self._now = now
        self._updates: dict[str, ScopeUpdate] = {}

    def update_for(self, scope: str) -> ScopeUpdate:
        """The update of ``scope``. An unknown scope is added."""
        update = self._updates.get(scope)
        if update is None:
            record = self._delta.record(scope) or EMPTY
            if self._depends_on_unchanged:
                self._delta.read_scopes.add(scope)
            policy = self._delta.policies.policy_for(scope)
            update = self._updates[scope] = ScopeUpdate(scope, record, policy, self._now)
        return update

    def finish(self) -> tuple[CoreEvent, ...]:
        """Settle each scope once, put the records into the delta, and return the events in order."""
        events: list[CoreEvent] = []
        for scope, update in self._updates.items():
            self._delta.put_record(scope, update.finish())
            events += update.events
        for event in events:
            if isinstance(event, SignalDropped) and event.expired and event.signal.kind == "alert":
                self._clear_alert_scope(event.signal.source, event.scope)
        return tuple(events)

    def _clear_alert_scope(self, source: str, scope: str) -> None:
        """Clear the scope of an alert whose signal expired, unless the same command put it again."""
        record = self._delta.record(scope)
        if self._delta.alert_scope(source) == scope and (record is None or source not in record.signals):
            self._delta.scope_by_alert[source] = None
