"""The events that hooks receive, derived from history entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.clock import rfc3339
from sidecar.config import HOOK_EVENTS, HookConfig
from sidecar.core.scope import lies_within
from sidecar.store import HistoryEntry

_BY_NEW_VALUE = {
    ("blind", "blind"): "blind",
    ("blind", "seeing"): "sighted",
    ("store", "down"): "store_down",
    ("store", "up"): "store_up",
}
ENDS = {"pause": "resume", "advice": "advice_ended", "blind": "sighted", "store_down": "store_up"}
"""For each event that ends something: the event that began it."""


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One event, for one or more hooks.

    Attributes:
        name: one of `HOOK_EVENTS`.
        entry: the history entry. Its id is 0 if the history does not have it yet.
        test: whether ``hook-test`` made it.
    """

    name: str
    entry: HistoryEntry
    test: bool = False

    @property
    def id(self) -> str:
        """Unique per sidecar, and the same each time the event is delivered."""
        at = round(self.entry.at * 1000)
        if self.test:
            return f"test-{self.name}-{at}"
        # The event store_down is delivered before the history contains it, so it has no id.
        return f"{self.name}-{at}" if self.entry.kind == "store" else f"{self.entry.id}-{self.name}-{at}"

    def fields(self, link: str) -> dict[str, object]:
        """The values of the event, for JSON and for templates.

        Args:
            link: URL of the page of its scope; empty: none.
        """
        fields: dict[str, object] = {
            "event": self.name,
            "id": self.id,
            "scope_name": self.entry.scope or "(root)",
            **entry_members(self.entry),
            "link": link or None,
        }
        return {**fields, "test": True} if self.test else fields


def entry_members(entry: HistoryEntry) -> dict[str, object]:
    """The members of a history entry, for JSON, without its id and kind."""
    return {
        "at": rfc3339(entry.at),
        "scope": entry.scope,
        "from": entry.old,
        "to": entry.new,
        "source": entry.source,
        "alertname": entry.alertname or None,
        "reason": entry.reason,
        "cause": entry.cause or None,
        "until": None if entry.until is None else rfc3339(entry.until),
        "actor": entry.actor or None,
    }


def events_of(entry: HistoryEntry) -> Iterator[HookEvent]:
    """The events of a history entry.

    Most entries have one event; a hold of a scope that already has a hold has none.
    """
    name = _BY_NEW_VALUE.get((entry.kind, entry.new), entry.kind)
    if name in HOOK_EVENTS:
        yield HookEvent(name, entry)
    if entry.cause == "trial_failed" and name != "trial_failed":
        yield HookEvent("trial_failed", entry)


def wants(config: HookConfig, event: HookEvent) -> bool:
    """Whether a hook receives ``event``.

    A hook with a scope also receives the events of its ancestors, because their pauses close its gates as
    well.
    """
    scope = event.entry.scope
    return event.name in config.events and (
        lies_within(scope, config.scope) or lies_within(config.scope, scope)
    )
