"""Keeps each engine in sync with its gate: the engine is paused while the gate of its scope is closed.

Level-triggered: after each gate change, and periodically, the sidecar asks the engine whether it is paused,
and pauses or resumes it until it agrees with its gate. A restarted engine has lost its pause and is paused
again. Nothing waits for an engine: each has its own task, and its requests run in threads.

An engine that leaves the config while it is paused for its gate is resumed (`EngineSync.release`). When the
sidecar stops, a paused engine stays paused: the pause still applies, and the next run of the sidecar
continues it. The store remembers which engines the sidecar paused (`PausedEngines`), so that the next run can
resume an engine that left the config while the sidecar was down.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TypeVar

from sidecar.blocking_calls import BlockingCalls, CallHangs
from sidecar.config import EngineConfig
from sidecar.core.commands import AddHistoryNote
from sidecar.core.errors import CoreError
from sidecar.runtime.command_queue import ShuttingDown
from sidecar.runtime.controller import Controller
from sidecar.store import StoreUnavailable
from sidecar.supervision import run_supervised

from .driver import AccessRefused, DriverFailed, EngineDriver
from .drivers import make_driver
from .paused_engines import PausedEngine, PausedEngines, engine_key, has_secret, public_url

logger = logging.getLogger(__name__)

_FIRST_BACKOFF_SECS = 0.25
_MAX_BACKOFF_SECS = 15.0
_RELEASE_TRIES = 12
_HANG_FACTOR = 3.0
_SLEEP_RETRY_SECS = 60.0
_STATE_NAMES = {True: "paused", False: "running"}

T = TypeVar("T")


class EngineSync:
    """One engine, kept in sync with its gate.

    Args:
        controller: has the gate.
        config: says where the engine is.
        remembered: remembers the engines that the sidecar paused.
        make: creates its driver.
        record: the record of an engine that was paused and is not in the config.

    Attributes:
        record: the record of the engine while the sidecar keeps it paused.
        failure: why the last attempt failed; empty: it succeeded.
        in_sync: whether the engine agrees with its gate.
        paused: the last known state; None: unknown, or the engine does not answer.
        asleep: whether the sidecar put it to sleep.
        requests: requests to the engine, by action and result.
    """

    def __init__(
        self,
        controller: Controller,
        config: EngineConfig,
        remembered: PausedEngines,
        make: Callable[[EngineConfig], EngineDriver] = make_driver,
        record: PausedEngine | None = None,
    ) -> None:
        self.config = config
        self.record = record or remembered.record_of(config)
        self.failure = ""
        self.in_sync = False
        self.paused: bool | None = None
        self.asleep = False
        self.requests: dict[tuple[str, str], int] = {
            (action, result): 0
            for action in ("ask", "pause", "resume", "sleep")
            for result in ("ok", "failed")
        }
        self._controller = controller
        self._driver = make(config)
        self._gate_changed = asyncio.Event()
        self._commanded: bool | None = None
        self._wanted: bool | None = None
        self._remembered = remembered
        # Whether the sidecar paused the engine: then it must be resumed when it leaves the config.
        self._paused_for_gate = remembered.has(self.record)
        self._releasing = False
        self._failures = 0
        # When to put it to sleep, by the loop's clock; None: it runs, already sleeps, or never sleeps.
        self._sleep_at: float | None = None
        self._calls = BlockingCalls(controller.loop, "engine", config.timeout_secs * _HANG_FACTOR)
        self._task: asyncio.Task[None] | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """The identity of the engine: configs with the same key are about the same engine."""
        return engine_key(self.config)

    def start(self) -> None:
        """Start to control the engine."""
        failures = self._controller.counters.task_failures
        self._task = self._controller.loop.create_task(run_supervised("engine", self._run, failures))

    def check_gate(self) -> None:
        """Check the engine if its own gate has changed. Called after each change of a gate."""
        if self._is_closed != self._wanted:
            self.in_sync = False
            self._gate_changed.set()

    def check_again(self) -> None:
        """Check the engine now, because something else may have resumed it."""
        self._commanded = None
        self.in_sync = False
        self._gate_changed.set()

    async def stop(self) -> None:
        """Stop controlling the engine. It stays as it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def release(self) -> bool:
        """Stop controlling an engine that left the config, and resume it if the sidecar paused it.

        Tries up to twelve times, for about two minutes, and gives up at once if the engine refuses the
        credentials. The result is logged. If it fails, the next run of the sidecar tries again.

        Returns:
            Whether the sidecar had paused it.
        """
        self._releasing = True
        await self.stop()
        if not self._paused_for_gate:
            await self._remembered.forget(self.record)
            return False
        for failures in range(1, _RELEASE_TRIES + 1):
            try:
                await self._synchronise(paused=False, reason="it is no longer in the config")
            except AccessRefused as error:
                self._fail(str(error))
                break
            except (DriverFailed, CallHangs) as error:
                self._fail(str(error))
            except Exception:
                logger.exception("an engine could not be driven")
            else:
                logger.info("engine_released", extra={"fields": self._fields})
                return True
            await asyncio.sleep(_backoff_secs(failures))
        self.log_left_paused()
        return True

    def log_left_paused(self) -> None:
        """Log that the engine left the config, stays paused, and has to be resumed by an operator."""
        fields = {
            **self._fields,
            "url": public_url(self.config),
            "error": self.failure,
            "remedy": self.remedy,
        }
        logger.error("engine_left_paused", extra={"fields": fields})

    @property
    def remedy(self) -> str:
        """What an operator can do about an engine that stays paused."""
        remedy = "resume it by its own API, or put it back into the config until it is resumed"
        if self.record.has_secret and not has_secret(self.config):
            return f"its token was in the config, and the store has no secrets: {remedy}"
        return remedy

    @property
    def is_left_paused(self) -> bool:
        """Whether the engine left the config, and the sidecar paused it and has not resumed it yet."""
        return self._releasing and self._paused_for_gate

    @property
    def _is_closed(self) -> bool:
        gate, _ = self._controller.tree.find(self.config.scope)
        return gate.closed

    async def _run(self) -> None:
        while True:
            self._gate_changed.clear()
            wanted = self._wanted = self._is_closed
            try:
                await self._synchronise(paused=wanted, reason=f"the gate is {'closed' if wanted else 'open'}")
            except (DriverFailed, CallHangs) as error:
                self._fail(str(error))
            except Exception:
                logger.exception("an engine could not be driven")
                self._fail("it could not be driven; see the log")
            else:
                if self._failures:
                    logger.warning("engine_back", extra={"fields": self._fields})
                self._failures, self.failure = 0, ""
                self.in_sync = wanted == self._is_closed
                await self._sleep_if_due()
            try:
                async with asyncio.timeout(self._secs_until_next_check()):
                    await self._gate_changed.wait()
            except TimeoutError:
                continue

    async def _synchronise(self, *, paused: bool, reason: str) -> None:
        actual = await self._call("ask", self._driver.is_paused)
        if actual is not None:
            self.paused = actual
            if not actual and not paused:
                await self._remember(paused=False)
        if actual is None and self._commanded == paused:
            # The state of the engine is unknown, and the engine already got this command.
            await self._remember(paused=paused)
            if paused and self._driver.repeats_pause:
                await self._call("pause", lambda: self._driver.set_paused(paused=True))
            return
        if actual != paused:
            if paused:
                # Store the record first: the request may take effect even if it fails or the sidecar dies.
                await self._remember(paused=True)
            await self._call("pause" if paused else "resume", lambda: self._driver.set_paused(paused=paused))
            self._commanded = self.paused = paused
            await self._note(actual, paused=paused, reason=reason)
            if await self._call("ask", self._driver.is_paused) not in (paused, None):
                raise DriverFailed(f"it is not {_STATE_NAMES[paused]}, although it accepted the command")
        self._commanded = paused
        await self._remember(paused=paused)
        self._plan_sleep(paused=paused, restarted=actual != paused)

    async def _remember(self, *, paused: bool) -> None:
        """Remember in the store whether the sidecar keeps the engine paused."""
        if not paused:
            self._paused_for_gate = False
            await self._remembered.forget(self.record)
            return
        if not self._paused_for_gate:
            self.record = self._remembered.record_of(self.config)
            self._paused_for_gate = True
        await self._remembered.add(self.record)

    def _plan_sleep(self, *, paused: bool, restarted: bool) -> None:
        """Schedule the sleep of a ``paused`` engine. ``restarted``: the pause begins now."""
        if not paused or restarted:
            self.asleep, self._sleep_at = False, None
        if paused and self.config.sleep_after_secs and not self.asleep and self._sleep_at is None:
            self._sleep_at = self._controller.loop.time() + self.config.sleep_after_secs

    async def _sleep_if_due(self) -> None:
        now = self._controller.loop.time()
        if self._sleep_at is None or now < self._sleep_at or not self._is_closed:
            return
        try:
            await self._call("sleep", self._driver.sleep)
        except (DriverFailed, CallHangs) as error:
            # The engine stays paused. It may be asleep despite the error, which does no harm.
            self._sleep_at = now + max(_SLEEP_RETRY_SECS, self.config.check_secs)
            logger.error("engine_not_asleep", extra={"fields": {**self._fields, "error": str(error)}})
            return
        self.asleep, self._sleep_at = True, None
        secs = self.config.sleep_after_secs
        await self._record("paused", "asleep", f"the gate is closed for {secs:g} s")

    def _secs_until_next_check(self) -> float:
        if self._failures:
            return _backoff_secs(self._failures)
        if self._sleep_at is None:
            return self.config.check_secs
        return max(0.0, min(self.config.check_secs, self._sleep_at - self._controller.loop.time()))

    async def _call(self, action: str, call: Callable[[], T]) -> T:
        result = "failed"
        try:
            answer = await self._calls.run(call)
            result = "ok"
        finally:
            self.requests[action, result] += 1
        return answer

    async def _note(self, actual: bool | None, *, paused: bool, reason: str) -> None:  # noqa: FBT001
        old = "asleep" if self.asleep and actual else "unknown" if actual is None else _STATE_NAMES[actual]
        await self._record(old, _STATE_NAMES[paused], reason)

    async def _record(self, old: str, new: str, reason: str) -> None:
        """Log the change, and keep it in the history."""
        logger.info("engine", extra={"fields": {**self._fields, "from": old, "to": new}})
        note = AddHistoryNote(self.config.scope, "engine", old, new, f"engine:{self.config.name}", reason)
        try:
            await self._controller.submit(note)
        except (StoreUnavailable, CoreError, ShuttingDown) as error:
            logger.warning("history_lost", extra={"fields": {**self._fields, "error": str(error)}})

    def _fail(self, error: str) -> None:
        self.in_sync, self.failure = False, error
        # The engine may have restarted, so the last command is sent again. `paused` must be None: alerts of a
        # paused engine are masked, and must not be masked while the engine does not answer.
        self.paused = self._commanded = None
        if not self._failures:
            logger.error("engine_failed", extra={"fields": {**self._fields, "error": error}})
        self._failures += 1

    @property
    def _fields(self) -> dict[str, object]:
        return {"engine": self.config.name, "scope": self.config.scope}


def _backoff_secs(failures: int) -> float:
    ceiling = min(_MAX_BACKOFF_SECS, _FIRST_BACKOFF_SECS * 2.0 ** min(failures, 10))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads out retries
