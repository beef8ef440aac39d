"""All engines of the config, and the engines that left the config while they were paused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from sidecar.config import EngineConfig
from sidecar.runtime.controller import Controller
from sidecar.store import StoreUnavailable
from sidecar.supervision import run_supervised

from .driver import EngineDriver
from .drivers import make_driver
from .engine import EngineSync
from .paused_engines import PausedEngine, PausedEngines, engine_key, public_url, with_access

logger = logging.getLogger(__name__)

_STOP_SECS = 1.0
_AGAIN_SECS = 1.0
_REVIEW_SECS = 30.0
_OPEN_SECS = 60.0
"""Seconds that a gate must be open before its engine is resumed, whichever sidecar of the fleet paused the
engine."""

_KEPT_SECS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class LeftPaused:
    """An engine that left the config and is still paused.

    Attributes:
        name: its name.
        scope: the scope of its gate.
        url: its URL without credentials.
        since: when it was paused, seconds since the epoch.
        error: why the last attempt to resume it failed; empty: none failed yet.
        remedy: what an operator can do.
    """

    name: str
    scope: str
    url: str
    since: float
    error: str
    remedy: str


class EngineSyncs:
    """All engines of the config.

    Args:
        controller: has the gates.
        configs: one for each engine.
        remembered: the records of paused engines.
        make: creates the driver of an engine.

    Attributes:
        releases: engines that left the config while paused, by result: ``ok`` (resumed), ``failed``.
    """

    def __init__(
        self,
        controller: Controller,
        configs: tuple[EngineConfig, ...],
        remembered: PausedEngines,
        make: Callable[[EngineConfig], EngineDriver] = make_driver,
    ) -> None:
        self.all: list[EngineSync] = []
        self.releases = {"ok": 0, "failed": 0}
        self._controller = controller
        self._remembered = remembered
        self._make = make
        self._leaving: dict[asyncio.Task[None], EngineSync] = {}
        # Engines whose release failed. The next run tries again.
        self._given_up: list[EngineSync] = []
        self._open_since: dict[str, float] = {}
        controller.on_gate_change = self._check_gates
        self.configure(configs)
        self._reviewer = controller.loop.create_task(
            run_supervised("engine_review", self._review_forever, controller.counters.task_failures)
        )

    def configure(self, configs: tuple[EngineConfig, ...]) -> None:
        """Use ``configs`` from now on. An engine with an unchanged config is not disturbed."""
        kept = [engine for engine in self.all if engine.config in configs]
        keys = {engine_key(config) for config in configs}
        # A release in progress would resume an engine that is back in the config.
        for task, engine in self._leaving.items():
            if engine.key in keys:
                task.cancel()
        self._given_up = [engine for engine in self._given_up if engine.key not in keys]
        for engine in self.all:
            if engine not in kept:
                # The sidecar still controls an engine whose config has changed.
                if engine.key in keys:
                    self._remove(engine, engine.stop())
                else:
                    self._release(engine)
        known = [engine.config for engine in kept]
        new = [
            EngineSync(self._controller, config, self._remembered, self._make)
            for config in configs
            if config not in known
        ]
        self.all = kept + new
        for engine in new:
            engine.start()

    @property
    def left_paused(self) -> list[LeftPaused]:
        """The engines that left the config and are still paused."""
        leaving = [engine for engine in self._leaving.values() if engine.is_left_paused]
        return [
            LeftPaused(
                engine.config.name,
                engine.config.scope,
                public_url(engine.config),
                engine.record.since,
                engine.failure,
                engine.remedy,
            )
            for engine in (*leaving, *self._given_up)
        ]

    async def stop(self) -> None:
        """Stop controlling all engines. Each stays as it is. A release in progress gets one more second."""
        self._reviewer.cancel()
        stops = [asyncio.ensure_future(engine.stop()) for engine in self.all]
        if stops:
            await asyncio.wait(stops)
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=_STOP_SECS)
        for task, engine in list(self._leaving.items()):
            if engine.is_left_paused:
                engine.log_left_paused()
            task.cancel()
        await asyncio.gather(*self._leaving, self._reviewer, return_exceptions=True)

    def _release(self, engine: EngineSync) -> None:
        async def release() -> None:
            was_paused = await engine.release()
            if engine.is_left_paused:
                self.releases["failed"] += 1
                self._given_up.append(engine)
                await self._forget_if_old(engine.record)
                return
            self.releases["ok"] += was_paused
            # The same engine may be in the config under another address or kind.
            for other in self.all:
                other.check_again()

        self._remove(engine, release())

    def _remove(self, engine: EngineSync, leaving: Coroutine[object, object, None]) -> None:
        async def leave() -> None:
            try:
                await leaving
            except Exception:  # noqa: BLE001 - recorded with its traceback
                self._controller.counters.task_failures.record("engine_release")

        task = self._controller.loop.create_task(leave())
        self._leaving[task] = engine
        task.add_done_callback(lambda task: self._leaving.pop(task, None))

    def _check_gates(self) -> None:
        for engine in self.all:
            engine.check_gate()

    # -- engines that earlier runs and other sidecars paused -----------------------------------------

    async def _review_forever(self) -> None:
        while True:
            await self._review()
            if not self._remembered.is_shared:
                return
            await asyncio.sleep(_REVIEW_SECS)
            try:
                await self._remembered.load()
            except StoreUnavailable as error:
                logger.debug("engine_records_not_read", extra={"fields": {"error": str(error)}})

    async def _review(self) -> None:
        """Resume the engines of records that the config does not have."""
        configured = {engine.key: engine for engine in self.all}
        leaving = {engine.key for engine in (*self._leaving.values(), *self._given_up)}
        for record in self._remembered.all:
            key = engine_key(record.config)
            if key in leaving:
                continue
            engine = configured.get(key)
            if engine is not None:
                if not self._remembered.is_own(record) and engine.in_sync and self._is_left_open(record):
                    await self._remembered.forget(record)
            elif self._remembered.is_own(record):
                await self._release_own(record)
            elif not self._remembered.reaches(record):
                await self._forget_if_old(record)
            elif (self._controller.is_leader or record.is_local) and self._is_left_open(record):
                self._release_record(record)

    async def _release_own(self, record: PausedEngine) -> None:
        if not record.is_local and self._remembered.others(record):
            # Another sidecar of the fleet still controls the engine.
            await self._remembered.forget(record)
        else:
            self._release_record(record)

    def _release_record(self, record: PausedEngine) -> None:
        config = with_access(record.config, (engine.config for engine in self.all))
        fields = {"engine": config.name, "scope": config.scope, "url": public_url(config)}
        logger.warning("engine_not_in_config", extra={"fields": fields})
        self._release(EngineSync(self._controller, config, self._remembered, self._make, record))

    def _is_left_open(self, record: PausedEngine) -> bool:
        """Whether the gate has been open long enough for the owner to have resumed the engine."""
        gate, _ = self._controller.tree.find(record.config.scope)
        if gate.closed:
            self._open_since.pop(record.key, None)
            return False
        now = self._controller.loop.time()
        return now - self._open_since.setdefault(record.key, now) >= _OPEN_SECS

    async def _forget_if_old(self, record: PausedEngine) -> None:
        if self._controller.clock.now() - record.since < _KEPT_SECS:
            return
        fields = {"engine": record.config.name, "scope": record.config.scope, "host": record.host}
        logger.warning("engine_forgotten", extra={"fields": fields})
        await self._remembered.forget(record)
