"""Writes transactions to a store that only this sidecar writes.

Changes by time alone apply even while the store is down. They are kept here, and the next commit that
succeeds stores them too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import chain

from sidecar.clock import Clock
from sidecar.core.commands import CommandOutcome
from sidecar.core.events import CoreEvent, HistoryNoted
from sidecar.core.model import CoreState
from sidecar.core.scope import ROOT
from sidecar.core.transaction import Transaction
from sidecar.core.values import ScopeRecord, Tombstone
from sidecar.gates.counters import Counters
from sidecar.store import Batch, Store, StoreUnavailable

logger = logging.getLogger(__name__)

_MAX_UNSAVED_EVENTS = 10_000


class UnsavedChanges:
    """Changes that are applied but not stored.

    Attributes:
        scopes: the scopes whose record is to be written.
        tombstones: the changed tombstones.
        events: the events and notes for the history; the oldest are dropped above 10,000.
    """

    def __init__(self) -> None:
        self.scopes: set[str] = set()
        self.tombstones: dict[str, Tombstone | None] = {}
        self.events: list[CoreEvent] = []

    def add(self, transaction: Transaction, outcomes: Iterable[CommandOutcome]) -> None:
        """Add the changes of ``transaction``, in which ``outcomes`` were decided."""
        self.scopes |= transaction.records.keys()
        self.tombstones |= transaction.tombstones
        self.events += [event for outcome in outcomes for event in outcome.events]
        del self.events[:-_MAX_UNSAVED_EVENTS]

    def clear(self) -> None:
        """Everything is stored."""
        self.scopes.clear()
        self.tombstones.clear()
        self.events.clear()

    def batch(
        self,
        transaction: Transaction,
        events: tuple[CoreEvent, ...],
        records: Mapping[str, ScopeRecord],
        at: float,
        seen_watchdog: str | None,
    ) -> Batch:
        """A batch that stores ``transaction`` and the changes that are not stored yet.

        Args:
            transaction: what was decided.
            events: the events of the transaction.
            records: the records before the transaction.
            at: wall time of the commit.
            seen_watchdog: the name of the watchdog alert, if it was received for the first time.
        """
        unsaved = {scope: records.get(scope) for scope in self.scopes}
        return Batch(
            {**unsaved, **transaction.records} if unsaved else transaction.records,
            {**self.tombstones, **transaction.tombstones} if self.tombstones else transaction.tombstones,
            (*self.events, *events) if self.events else events,
            frozenset(self.scopes | transaction.rewritten),
            at,
            seen_watchdog,
        )


class StoreWriter:
    """Commits transactions, and reports when the store goes down and comes back.

    Args:
        store: the store.
        unsaved: the changes that are not stored yet.
        counters: the counters of the process.
        clock: the time source.
        on_history: called after the history got new entries.
        on_store_down: called when a commit fails, with the error, unless the previous commit failed as well.

    Attributes:
        heartbeat_due: the next commit is written even if nothing has changed.
    """

    def __init__(
        self,
        store: Store,
        unsaved: UnsavedChanges,
        counters: Counters,
        clock: Clock,
        *,
        on_history: Callable[[], None],
        on_store_down: Callable[[str], None],
    ) -> None:
        self._store = store
        self._unsaved = unsaved
        self._counters = counters
        self._clock = clock
        self._on_history = on_history
        self._on_store_down = on_store_down
        self.heartbeat_due = False

    async def commit(
        self, state: CoreState, transaction: Transaction, outcomes: list[CommandOutcome]
    ) -> None:
        """Store ``transaction``, in which ``outcomes`` were decided on ``state``.

        Raises:
            StoreUnavailable: nothing was stored.
        """
        batch = self._make_batch(state, transaction, outcomes)
        if batch is None:
            return
        counters = self._counters
        began = self._clock.monotonic()
        try:
            await self._store.commit(batch)
        except StoreUnavailable as error:
            if counters.store_up:
                logger.error("store_down", extra={"fields": {"error": str(error)}})
                self._on_store_down(str(error))
            counters.store_errors += 1
            counters.store_up = False
            raise
        if not counters.store_up:
            logger.warning("store_up")
        counters.store_up = True
        self.heartbeat_due = False
        self._unsaved.clear()
        counters.commits.observe(self._clock.monotonic() - began)
        if batch.events:
            self._on_history()

    def _make_batch(
        self, state: CoreState, transaction: Transaction, outcomes: list[CommandOutcome]
    ) -> Batch | None:
        """The batch to store; None: nothing has changed."""
        parts = [outcome.events for outcome in outcomes if outcome.events]
        # Do not copy a single list, because it may be long.
        events = parts[0] if len(parts) == 1 else tuple(chain.from_iterable(parts))
        seen = transaction.seen_watchdog
        newly_seen = seen != state.seen_watchdog
        store_up = self._counters.store_up
        if not (
            events
            or transaction.tombstones
            or transaction.rewritten
            or transaction.forgets
            or newly_seen
            or self.heartbeat_due
            or not store_up
        ):
            return None
        now = self._clock.now()
        if not store_up:
            events = (*events, HistoryNoted(ROOT, now, "store", "down", "up", "store", "commits succeed"))
        return self._unsaved.batch(transaction, events, state.records, now, seen if newly_seen else None)
