"""Drives engines' own switches: an engine is paused while the gate of its scope is closed.

Level-triggered: whenever a gate turns, and every so often, the engine is asked what it is, and told until it
agrees; one that was restarted has forgotten its pause, and is paused again. Nothing waits for an engine: each
has a task and a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sidecar.config import EngineConfig
from sidecar.core.commands import AddHistoryNote
from sidecar.core.errors import CoreError
from sidecar.runtime.controller import Controller, ShuttingDown
from sidecar.store import StoreUnavailable
from sidecar.supervision import run_supervised

from .driver import DriverFailed, EngineDriver
from .drivers import make_driver

logger = logging.getLogger(__name__)

_FIRST_BACKOFF_SECS = 0.25
_MOST_BACKOFF_SECS = 15.0
_WORDS = {True: "paused", False: "running"}


class EngineSync:
    """One engine, kept as its gate is.

    Args:
        controller: whose gate counts.
        config: where the engine is.
        make: makes its switch.

    Attributes:
        in_sync: whether it is as its gate is.
        paused: what it last said, or was last told; None: nothing is known, or it could not be asked.
        requests: to its switch, by action and result.
    """

    def __init__(
        self,
        controller: Controller,
        config: EngineConfig,
        make: Callable[[EngineConfig], EngineDriver] = make_driver,
    ) -> None:
        self.config = config
        self.in_sync = False
        self.paused: bool | None = None
        self.requests: dict[tuple[str, str], int] = {
            (action, result): 0 for action in ("ask", "pause", "resume") for result in ("ok", "failed")
        }
        self._controller = controller
        self._driver = make(config)
        self._news = asyncio.Event()
        self._turned: bool | None = None
        self._wanted: bool | None = None
        self._failures = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._task = controller.loop.create_task(
            run_supervised("engine", self._run, controller.counters.task_failures)
        )

    def look(self) -> None:
        """A gate has turned; it may be this one's."""
        if self._is_closed != self._wanted:
            self.in_sync = False
            self._news.set()

    async def stop(self) -> None:
        """Drive it no more; it stays as it is."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def _is_closed(self) -> bool:
        gate, _ = self._controller.tree.find(self.config.scope)
        return gate.closed

    async def _run(self) -> None:
        while True:
            self._news.clear()
            wanted = self._wanted = self._is_closed
            try:
                await self._agree(paused=wanted)
            except DriverFailed as error:
                self._fail(str(error))
            except Exception:
                logger.exception("an engine could not be driven")
                self._fail("it could not be driven; see the log")
            else:
                if self._failures:
                    logger.warning("engine_back", extra={"fields": self._fields})
                self._failures = 0
                self.in_sync = wanted == self._is_closed
            ceiling = min(_MOST_BACKOFF_SECS, _FIRST_BACKOFF_SECS * 2.0 ** min(self._failures, 10))
            pause = random.uniform(ceiling / 2, ceiling) if self._failures else self.config.check_secs  # noqa: S311
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _agree(self, *, paused: bool) -> None:
        actual = await self._do("ask", self._driver.is_paused)
        if actual is not None:
            self.paused = actual
        if actual is None and self._turned == paused:
            # It cannot be known, and was told already.
            return
        if actual != paused:
            await self._do("pause" if paused else "resume", lambda: self._driver.set_paused(paused=paused))
            self._turned = self.paused = paused
            await self._remark(actual, paused=paused)
            if await self._do("ask", self._driver.is_paused) not in (paused, None):
                raise DriverFailed(f"it is not {_WORDS[paused]}, though it was told and said yes")
        self._turned = paused

    async def _do(self, action: str, call: Callable[[], bool | None]) -> bool | None:
        result = "failed"
        try:
            answer = await self._controller.loop.run_in_executor(self._thread, call)
            result = "ok"
        finally:
            self.requests[action, result] += 1
        return answer

    async def _remark(self, actual: bool | None, *, paused: bool) -> None:  # noqa: FBT001
        old = "unknown" if actual is None else _WORDS[actual]
        logger.info("engine", extra={"fields": {**self._fields, "from": old, "to": _WORDS[paused]}})
        reason = f"the gate is {'closed' if paused else 'open'}"
        remark = AddHistoryNote(
            self.config.scope, "engine", old, _WORDS[paused], f"engine:{self.config.name}", reason
        )
        try:
            await self._controller.submit(remark)
        except (StoreUnavailable, CoreError, ShuttingDown) as error:
            logger.warning("history_lost", extra={"fields": {**self._fields, "error": str(error)}})

    def _fail(self, error: str) -> None:
        self.in_sync = False
        # It may have been restarted meanwhile: what it was told no longer counts, and it is told again.
        # Were it said to be paused, its alerts would be masked for as long as it cannot be asked.
        self.paused = self._turned = None
        if not self._failures:
            logger.error("engine_failed", extra={"fields": {**self._fields, "error": error}})
        self._failures += 1

    @property
    def _fields(self) -> dict[str, object]:
        return {"engine": self.config.name, "scope": self.config.scope}


class EngineSyncs:
    """All that the config names.

    Args:
        controller: whose gates count.
        configs: one an engine.
    """

    def __init__(self, controller: Controller, configs: tuple[EngineConfig, ...]) -> None:
        self._controller = controller
        self.all: list[EngineSync] = []
        self._leaving: set[asyncio.Task[None]] = set()
        controller.on_turn = self._look
        self.configure(configs)

    def configure(self, configs: tuple[EngineConfig, ...]) -> None:
        """Go on with ``configs``; an engine whose config is the same is not disturbed."""
        kept = [engine for engine in self.all if engine.config in configs]
        for engine in self.all:
            if engine not in kept:
                task = self._controller.loop.create_task(engine.stop())
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
        known = [engine.config for engine in kept]
        new = [EngineSync(self._controller, config) for config in configs if config not in known]
        self.all = kept + new

    async def stop(self) -> None:
        """Drive none any more."""
        await asyncio.gather(*(engine.stop() for engine in self.all), *self._leaving)

    def _look(self) -> None:
        for engine in self.all:
            engine.look()
