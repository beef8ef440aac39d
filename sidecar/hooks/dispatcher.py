"""All hooks: reads the history, offers its events to each hook, and stores the position of each hook."""

from __future__ import annotations

import asyncio
import logging

from sidecar.config import HookConfig
from sidecar.core.events import HistoryNoted
from sidecar.runtime.controller import Controller
from sidecar.runtime.store_retry import run_on_event
from sidecar.store import HistoryQuery, StoreUnavailable
from sidecar.store.entries import entries_of
from sidecar.supervision import run_supervised

from .delivery import HookDelivery
from .events import events_of
from .position import HookPosition

logger = logging.getLogger(__name__)

_PREFIX = "hook:"
_PAGE = 100
_COALESCE_SECS = 0.02
"""Seconds to collect changes before the history is read."""
_SAVE_SECS = 0.2
"""Minimum time between two writes of positions. After a crash, events that were delivered since the last
write are delivered again."""
_AGAIN_SECS = 1.0


class Hooks:
    """The hooks of the config.

    Args:
        controller: a running controller.

    Attributes:
        all: the hooks.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._store = controller.history_store
        self.all: list[HookDelivery] = []
        self._read_to = 0
        self._history_changed = asyncio.Event()
        self._progressed = asyncio.Event()
        self._saved: dict[str, str] = {}
        controller.on_history = self._history_changed.set
        controller.on_store_down = self._offer_early
        failures = controller.counters.task_failures
        self._tasks = [
            controller.loop.create_task(run_supervised("hook_dispatcher", self._dispatch, failures)),
            controller.loop.create_task(run_supervised("hook_positions", self._save_forever, failures)),
        ]

    async def start(self, configs: tuple[HookConfig, ...], base: str) -> None:
        """Continue where the previous run stopped.

        Args:
            configs: one for each hook.
            base: URL at which people reach the sidecar; empty: it is not known.

        Raises:
            StoreUnavailable: the positions cannot be read.
        """
        stored = await self._store.load_values()
        self._saved = {reader: text for reader, text in stored.items() if reader.startswith(_PREFIX)}
        positions = {}
        for reader, text in self._saved.items():
            try:
                positions[reader.removeprefix(_PREFIX)] = HookPosition.from_text(text)
            except ValueError as error:
                fields = {"hook": reader.removeprefix(_PREFIX), "error": str(error)}
                logger.warning("hook_position_lost", extra={"fields": fields})
        newest = await self.end_of_history()
        # The store may have been replaced by an older copy.
        positions = {name: one for name, one in positions.items() if one.entry_id <= newest}
        self._apply(configs, base, newest, positions)

    async def end_of_history(self) -> int:
        """The id of the newest history entry, after which a new hook begins.

        Raises:
            StoreUnavailable: the history cannot be read.
        """
        last = await self._store.history(HistoryQuery(limit=1))
        return last[0].id if last else 0

    def configure(self, configs: tuple[HookConfig, ...], base: str, newest: int) -> None:
        """Use ``configs`` from now on. A hook is identified by its name, and keeps its waiting events.

        Args:
            configs: one for each hook.
            base: URL at which people reach the sidecar; empty: it is not known.
            newest: new hooks receive the events after this history entry.
        """
        self._apply(configs, base, newest, {})

    def set_base(self, base: str) -> None:
        """Link to ``base`` from now on."""
        for hook in self.all:
            if hook.base != base:
                hook.configure(hook.config, base)

    def _apply(
        self, configs: tuple[HookConfig, ...], base: str, newest: int, positions: dict[str, HookPosition]
    ) -> None:
        known = {hook.config.name: hook for hook in self.all}
        hooks: list[HookDelivery] = []
        for config in configs:
            hook = known.pop(config.name, None)
            if hook is None:
                position = positions.get(config.name, HookPosition(newest))
                if not self.all:
                    self._read_to = min(position.entry_id, *(one.position.entry_id for one in hooks), newest)
                hook = HookDelivery(
                    self._controller,
                    config,
                    base,
                    position,
                    self._progressed.set,
                    is_new=config.name not in positions,
                )
            else:
                hook.configure(config, base)
            hooks.append(hook)
        for hook in known.values():
            hook.cancel()
        self.all = hooks
        self._history_changed.set()
        self._progressed.set()

    async def stop(self) -> None:
        """Stop all deliveries, and store the position of each hook."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *(hook.stop() for hook in self.all), return_exceptions=True)
        try:
            await self._save()
        except StoreUnavailable as error:
            logger.warning("hook_positions_not_stored", extra={"fields": {"error": str(error)}})

    # -- reading ----------------------------------------------------------------------------------

    async def _dispatch(self) -> None:
        while True:
            await self._history_changed.wait()
            await asyncio.sleep(_COALESCE_SECS)
            self._history_changed.clear()
            try:
                await self._read_new()
            except StoreUnavailable as error:
                logger.warning("hook_history_unreadable", extra={"fields": {"error": str(error)}})
                self._history_changed.set()
                await asyncio.sleep(_AGAIN_SECS)

    async def _read_new(self) -> None:
        while self.all:
            entries = await self._store.history_after(self._read_to, _PAGE)
            if not entries:
                return
            for entry in entries:
                for event in events_of(entry):
                    for hook in self.all:
                        hook.offer(event)
            self._read_to = entries[-1].id
            for hook in self.all:
                hook.skip_to(self._read_to)
            await asyncio.sleep(0)

    def _offer_early(self, note: HistoryNoted) -> None:
        """Offer an event that is not in the history yet, because the store is down."""
        for entry in entries_of([note]):
            for event in events_of(entry):
                for hook in self.all:
                    hook.offer(event)

    # -- positions --------------------------------------------------------------------------------

    async def _save_forever(self) -> None:
        while True:
            await run_on_event(self._progressed, self._save, _AGAIN_SECS)
            await asyncio.sleep(_SAVE_SECS)

    async def _save(self) -> None:
        now = {_PREFIX + hook.config.name: hook.position.to_text() for hook in self.all}
        changed: dict[str, str | None] = {
            reader: text for reader, text in now.items() if self._saved.get(reader) != text
        }
        changed.update(dict.fromkeys(self._saved.keys() - now.keys()))
        if changed:
            await self._store.save_values(changed)
            self._saved = now
