"""Changes the gates after a commit, and notifies the parked requests and the event streams.

All gates change in one step, so no request sees a changed scope together with an unchanged one. The work
before that step (computing the new states) is not visible. The work after it (settling, waking, publishing)
may come later. Both run in time slices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from sidecar.gates.event_streams import EventStreams
from sidecar.gates.gate import ScopeGate
from sidecar.gates.tree import GateTree
from sidecar.gates.tree_update import TreeUpdate
from sidecar.gates.waiting_room import WaitingRoom
from sidecar.supervision import Failures, supervised_steps
from sidecar.time_slice import TimeSlice, run_in_slices

logger = logging.getLogger(__name__)

_LARGE_STEPS = 100
"""A change that takes more steps to prepare affects hundreds of gates."""


class GatesBehind(Exception):
    """The command is durable, but its gates do not show it yet.

    The change of the gates is retried automatically.
    """


class GateUpdater:
    """Changes the gates, and notifies the parked requests and the event streams.

    Args:
        tree: the gates.
        room: the parked requests.
        streams: the event streams.
        failures: counts what fails after the gates have changed.
        on_structure_change: called in the step in which paths change their gate, or policies change.
        on_gate_change: called after gates opened or closed, or paths changed their gate.
    """

    def __init__(
        self,
        tree: GateTree,
        room: WaitingRoom,
        streams: EventStreams,
        failures: Failures,
        *,
        on_structure_change: Callable[[], None],
        on_gate_change: Callable[[], None],
    ) -> None:
        self._tree = tree
        self._room = room
        self._streams = streams
        self._failures = failures
        self._on_structure_change = on_structure_change
        self._on_gate_change = on_gate_change
        # Whether the core state has changes that the gates do not show.
        self._is_behind = False

    async def apply(
        self,
        update: TreeUpdate,
        full_update: Callable[[], TreeUpdate],
        time_slice: TimeSlice,
        on_large: Callable[[], object] = lambda: None,
    ) -> TreeUpdate:
        """Change the gates by ``update``.

        If that fails, now or for an earlier batch, all gates are derived again from all records.

        Args:
            update: the changes of a batch.
            full_update: returns the update that derives all gates from all records.
            time_slice: when it has run out, other work runs.
            on_large: called once if many gates change.

        Returns:
            The update that was applied.

        Raises:
            GatesBehind: deriving all gates again failed as well; the next batch tries again.
        """
        if not self._is_behind:
            self._is_behind = True
            try:
                await self._apply(update, time_slice, on_large)
            except Exception:  # noqa: BLE001 - recorded; all gates are derived again
                self._failures.record("gate_tree")
            else:
                self._is_behind = False
                return update
        update = full_update()
        try:
            await self._apply(update, time_slice, on_large)
        except Exception as error:
            message = "the command is durable, and its gates could not be changed yet: it is tried again"
            raise GatesBehind(message) from error
        self._is_behind = False
        known = sum(record is not None for record in update.records.values())
        logger.warning("gates_derived_again", extra={"fields": {"scopes": known}})
        return update

    def apply_at_once(self, update: TreeUpdate, most_steps: int) -> bool:
        """Change the gates by ``update`` in this step, if it takes at most ``most_steps`` to prepare.

        Returns:
            Whether the gates have changed. If not, call `apply` with a new update.
        """
        if self._is_behind:
            return False
        self._is_behind = True
        try:
            if self._tree.change_leaf(update):
                self._tell_structure(update)
                self._is_behind = False
                return True
            for number, _ in enumerate(self._tree.prepare(update)):
                if number == most_steps:
                    self._is_behind = False
                    return False
            self._make_visible(update)
            for _ in self._tree.settle(update):
                pass
        except Exception:  # noqa: BLE001 - recorded; `apply` derives all gates again
            self._failures.record("gate_tree")
            return False
        self._is_behind = False
        return True

    async def _apply(self, update: TreeUpdate, time_slice: TimeSlice, on_large: Callable[[], object]) -> None:
        await run_in_slices(_call_at(_LARGE_STEPS, on_large, self._tree.prepare(update)), time_slice)
        self._make_visible(update)
        await run_in_slices(self._tree.settle(update), time_slice)

    def _make_visible(self, update: TreeUpdate) -> None:
        self._tree.apply(update)
        self._tell_structure(update)

    def _tell_structure(self, update: TreeUpdate) -> None:
        if update.structure_changed or update.policies is not None:
            # Call it in the same step, because from now on the same path leads to another gate.
            self._on_structure_change()

    async def notify(
        self, update: TreeUpdate, time_slice: TimeSlice, on_large: Callable[[], object] = lambda: None
    ) -> None:
        """Wake the parked requests and watches that ``update`` concerns, and publish the changed gates.

        A failure at one gate does not delay the requests at other gates.

        Args:
            update: what has changed.
            time_slice: when it has run out, other work runs.
            on_large: called once if many requests are concerned.
        """
        await run_in_slices(_call_at(_LARGE_STEPS, on_large, self._notify(update)), time_slice)

    def _notify(self, update: TreeUpdate) -> Iterator[None]:
        room = self._room
        yield from self._supervised("waiting_room", self._tree.reassign(update))
        for gate in update.closed:
            yield from room.supervised(room.hold_back(gate))
            yield
        for gate in update.opened:
            yield from room.supervised(room.release(gate))
            if self._tree.show_ramp(gate):
                update.changed[gate] = None
            yield
        if update.opened or update.closed or update.structure_changed or update.policies is not None:
            self._on_gate_change()
        for gate in update.changed:
            yield from room.supervised(room.notify_watchers(gate))
            yield
        published = self._streams.publish(update.changed, update.forgotten, self._tree)
        yield from self._supervised("event_streams", published)

    async def show_ramps(self, gates: Iterable[ScopeGate], time_slice: TimeSlice) -> None:
        """Publish the ramps of ``gates`` where they have begun, changed or ended."""
        known = self._tree.gates
        changed = [gate for gate in gates if known.get(gate.scope) is gate and self._tree.show_ramp(gate)]
        for gate in changed:
            await run_in_slices(self._room.supervised(self._room.notify_watchers(gate)), time_slice)
        published = self._streams.publish(changed, (), self._tree)
        await run_in_slices(self._supervised("event_streams", published), time_slice)

    def _supervised(self, name: str, steps: Iterable[None]) -> Iterator[None]:
        return supervised_steps(name, steps, self._failures)


def _call_at(number: int, call: Callable[[], object], steps: Iterable[None]) -> Iterator[None]:
    """Yield ``steps``, and call ``call`` before step ``number``."""
    for index, _ in enumerate(steps):
        if index == number:
            call()
        yield
