"""Applies a durable change to the core state, gates, parked requests, counters, log and expiry timer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack

from sidecar.clock import Clock
from sidecar.core.commands import CommandOutcome
from sidecar.core.model import CoreState, StateDelta
from sidecar.core.values import ScopeRecord
from sidecar.gates.counters import Counters
from sidecar.gates.tree import GateTree
from sidecar.gates.tree_update import TreeUpdate
from sidecar.supervision import supervised_steps
from sidecar.time_slice import TimeSlice, run_in_slices

from .event_log import EventLog
from .garbage import collection_paused
from .gate_updates import GateUpdater

Records = Mapping[str, ScopeRecord | None]

_MOST_STEPS = 6
"""A change of one scope that takes more steps to prepare concerns dozens of gates."""


class CommitEffects:
    """Applies changes that are durable.

    Args:
        core_state: the state.
        tree: the gates.
        gate_updater: changes the gates.
        event_log: counts and logs the events.
        counters: counts what fails after the gates have changed.
        clock: the time source.
        time_slice: returns a new time slice.
        shown_records: the records that the gates show for the records of the state.
        schedule_expiry: schedules the next expiry of each scope, a few scopes per step.
    """

    def __init__(
        self,
        core_state: CoreState,
        tree: GateTree,
        gate_updater: GateUpdater,
        event_log: EventLog,
        *,
        counters: Counters,
        clock: Clock,
        time_slice: Callable[[], TimeSlice],
        shown_records: Callable[[Records], Records],
        schedule_expiry: Callable[[Iterable[str]], Iterator[None]],
    ) -> None:
        self._core_state = core_state
        self._tree = tree
        self._gate_updater = gate_updater
        self._event_log = event_log
        self._counters = counters
        self._clock = clock
        self._time_slice = time_slice
        self._shown_records = shown_records
        self._schedule_expiry = schedule_expiry

    async def apply(self, delta: StateDelta, outcomes: list[CommandOutcome]) -> None:
        """Apply ``delta``, in which ``outcomes`` were decided. Raises `GatesBehind`."""
        policies = delta.policies if delta.policies is not self._core_state.policies else None
        time_slice = self._time_slice()
        # The state cannot change meanwhile: only the writer changes it, and the writer waits here.
        await run_in_slices(self._core_state.apply_in_steps(delta), time_slice)

        def new_update() -> TreeUpdate:
            return TreeUpdate(self._shown_records(delta.records), self._clock.monotonic(), policies)

        if len(delta.records) == 1 and policies is None:
            # Most commits change one scope with few scopes inside.
            update = new_update()
            if self._gate_updater.apply_at_once(update, _MOST_STEPS):
                await self._after_gates_changed(update, update.records, outcomes, time_slice, lambda: None)
                return
        await self.change_gates(new_update(), outcomes, time_slice)

    async def change_gates(
        self, update: TreeUpdate, outcomes: list[CommandOutcome], time_slice: TimeSlice | None = None
    ) -> None:
        """Change the gates by ``update``, notify the parked requests, and count and log the outcomes.

        Args:
            update: the changes.
            outcomes: what was decided.
            time_slice: when it has run out, other work runs; None: a new one.

        Raises:
            GatesBehind: the gates could not be changed.
        """
        time_slice = time_slice or self._time_slice()
        concerned = update.records
        with ExitStack() as pauses:

            def pause_collection() -> None:
                pauses.enter_context(collection_paused())

            update = await self._gate_updater.apply(update, self._full_update, time_slice, pause_collection)
            await self._after_gates_changed(update, concerned, outcomes, time_slice, pause_collection)

    async def gates_changed(self, update: TreeUpdate, outcomes: list[CommandOutcome]) -> None:
        """Apply the other effects after ``update`` has changed the gates. ``outcomes``: what was decided."""
        await self._after_gates_changed(update, update.records, outcomes, self._time_slice(), lambda: None)

    async def _after_gates_changed(
        self,
        update: TreeUpdate,
        concerned: Iterable[str],
        outcomes: list[CommandOutcome],
        time_slice: TimeSlice,
        on_large: Callable[[], None],
    ) -> None:
        """Apply the other effects after ``update`` has changed the gates.

        Args:
            update: the update.
            concerned: the scopes whose record has changed.
            outcomes: what was decided, to count and to log.
            time_slice: when it has run out, other work runs.
            on_large: called once if many requests are concerned.
        """
        await self._gate_updater.notify(update, time_slice, on_large)
        counted = self._event_log.count(outcomes, self._tree, self._clock.now())
        await run_in_slices(self._supervised("event_log", counted), time_slice)
        if update.policies is not None:
            concerned = self._core_state.records
        await run_in_slices(self._supervised("expiry_timer", self._schedule_expiry(concerned)), time_slice)
        try:
            self._event_log.log(outcomes)
        except Exception:  # noqa: BLE001 - recorded; the history has the events
            self._counters.task_failures.record("event_log")
        await run_in_slices(update.release(), time_slice)

    def _full_update(self) -> TreeUpdate:
        """The update that derives all gates from all records."""
        records = self._core_state.records
        forgotten = [scope for scope in self._tree.gates if scope not in records]
        return TreeUpdate(
            self._shown_records({**records, **dict.fromkeys(forgotten)}),
            self._clock.monotonic(),
            self._core_state.policies,
        )

    def _supervised(self, name: str, steps: Iterable[None]) -> Iterator[None]:
        return supervised_steps(name, steps, self._counters.task_failures)
