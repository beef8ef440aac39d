"""The running sidecar: what start, stop and reload mean, and what Flask's threads may ask of the loop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from sidecar.alertmanager.alerting import Alerting
from sidecar.alertmanager.watchdog import KIND as BLINDNESS
from sidecar.auth import CredentialsError, Keyring
from sidecar.clock import Clock
from sidecar.config import Config, ConfigError, LimitsConfig, StoreConfig
from sidecar.core.commands import SetPolicies
from sidecar.core.errors import CoreError, TooManyScopes, TooManySignals
from sidecar.engines.engine import EngineSyncs
from sidecar.engines.imports import CounterImports
from sidecar.gates.client_reports import ClientReports
from sidecar.runtime.controller import Controller, ShuttingDown
from sidecar.runtime.garbage import GarbageCollection
from sidecar.store import (
    CorruptStore,
    Entry,
    HistoryQuery,
    MemoryStore,
    Retention,
    SqliteStore,
    Store,
    StoreUnavailable,
    quarantine,
)
from sidecar.web.gate.fast_path import GateFastPath

from .guard import Guard
from .problems import Problem
from .tls import Tls, TlsError

logger = logging.getLogger(__name__)

_CALL_SECS = 30.0
_SWITCH_SECS = 0.0005

T = TypeVar("T")


class Service:
    """Everything that runs in the one worker process.

    Args:
        config: as checked.
        load: loads the config anew, for a reload; raises `ConfigError`.

    Raises:
        CredentialsError: a credential cannot be used.
        TlsError: a certificate cannot be used.
    """

    controller: Controller
    alerting: Alerting
    fast_path: GateFastPath

    def __init__(self, config: Config, load: Callable[[], Config]) -> None:
        self.config = config
        self.clock = Clock()
        self.ready = False
        self.reloaded_at = self.clock.now()
        self.reload_ok = True
        self.guard = Guard(
            Keyring(config.auth.credentials, os.environ), config.limits.max_auth_failures_per_minute
        )
        self.tls = Tls(config.tls) if config.tls else None
        self._load = load

    async def start(self) -> None:
        """Open the store, and begin to take commands.

        Raises:
            StoreError: the store cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        self._reloading = asyncio.Lock()
        try:
            self.controller = await self._control()
        except CorruptStore as error:
            if self.config.store.on_corrupt != "quarantine":
                raise
            aside = quarantine(error.path, self.clock.now())
            fields = {"error": str(error), "moved_to": str(aside)}
            logger.critical("store_quarantined", extra={"fields": fields})
            self.controller = await self._control()
        last = await self.controller.history(HistoryQuery(kinds=(BLINDNESS,), limit=1))
        was_blind = bool(last) and last[0].new == "blind"
        self.alerting = Alerting(self.controller, self.config.alerts, was_blind=was_blind)
        self.reports = ClientReports(
            self._loop,
            self.controller.tree,
            self.controller.counters,
            self.clock,
            max_clients=self.config.limits.max_clients,
        )
        self.engines = EngineSyncs(self.controller, self.config.engines)
        self.imports = CounterImports(self.controller, self.reports, self.config.imports)
        self.fast_path = GateFastPath(self.controller, self.guard, self.config.limits)
        self.fast_path.ticking = self._tick
        self._limit_waiting_room(self.config.limits)
        self.ready = True
        self.garbage = GarbageCollection(self._loop, self.controller.counters.task_failures)
        # A thread that works for an operator lets the loop have the interpreter ten times as soon as usual.
        sys.setswitchinterval(_SWITCH_SECS)

    async def _control(self) -> Controller:
        limits = self.config.limits
        controller = Controller(
            self.config.policies,
            _make_store(self.config.store),
            max_scopes=limits.max_scopes,
            max_signals=limits.max_signals_per_scope,
            max_tombstones=limits.max_tombstones,
            scope_idle_secs=self.config.scope_idle_secs,
            clock=self.clock,
        )
        await controller.start()
        return controller

    def _limit_waiting_room(self, limits: LimitsConfig) -> None:
        waiting_room = self.controller.waiting_room
        waiting_room.max_waiters = limits.max_waiters
        waiting_room.max_waiters_per_scope = limits.max_waiters_per_scope
        waiting_room.max_watchers = limits.max_watchers
        self.controller.streams.max_streams = limits.max_event_streams

    def _tick(self) -> None:
        """Every second: files with secrets and certificates may have changed."""
        if self.guard.keyring.refresh():
            self.guard.forget()
        if self.tls is not None:
            self.tls.refresh()

    def shut_down(self) -> None:
        """Answer everybody who is parked; from now on nobody is."""
        self.ready = False
        self.controller.streams.shut_down()
        self.controller.waiting_room.shut_down(list(self.controller.tree.gates.values()))

    async def stop(self) -> None:
        """Finish what was asked, and close the store."""
        self.shut_down()
        self.fast_path.stop()
        self.guard.stop()
        self.garbage.stop()
        await self.engines.stop()
        await self.imports.stop()
        self.reports.stop()
        await self.alerting.stop()
        await self.controller.stop()

    # -- for Flask's threads ----------------------------------------------------------------------

    def in_loop(self, function: Callable[[], T]) -> T:
        """What ``function`` returns when the loop calls it."""

        async def call() -> T:
            return function()

        return self._wait_for(call())

    def count_refusal(self, name: str) -> None:
        """Something was refused by the problem ``name``."""
        self._loop.call_soon_threadsafe(self.fast_path.count_refusal, name)

    async def performed(self, doing: Awaitable[T]) -> T:
        """What comes of ``doing``, whose refusals are told as problems.

        Raises:
            Problem: it was refused, or could not be made durable; nothing of it was done.
            TimeoutError: it is not known yet what comes of it; what is under way goes on.
        """
        try:
            async with asyncio.timeout(_CALL_SECS):
                return await asyncio.shield(doing)
        except TooManyScopes as error:
            raise Problem("too-many-scopes", str(error), headers={"Retry-After": "60"}) from error
        except TooManySignals as error:
            raise Problem("too-many-signals", str(error), headers={"Retry-After": "60"}) from error
        except StoreUnavailable as error:
            raise Problem("store-unavailable", str(error), headers={"Retry-After": "1"}) from error
        except ShuttingDown as error:
            raise Problem("shutting-down", str(error), headers={"Retry-After": "1"}) from error

    def history(self, query: HistoryQuery) -> list[Entry]:
        """The entries that ``query`` asks for, newest first.

        Raises:
            Problem: the store cannot be read.
        """
        return self._wait_for(self.performed(self.controller.history(query)))

    def reload(self) -> None:
        """Load the config anew; a bad one changes nothing.

        Raises:
            ConfigError: with all that is wrong.
            Problem: it is good, and could not be made to count.
        """
        self._wait_for(self.performed(self.reload_in_loop()))

    async def reload_in_loop(self) -> None:
        """`reload`, for who is in the loop already."""
        async with self._reloading:
            try:
                await self._go_on_with(await self._loop.run_in_executor(None, self._load))
            except (CredentialsError, TlsError) as error:
                self._tell_failed(error)
                raise ConfigError([str(error)]) from error
            except (ConfigError, CoreError, StoreUnavailable, ShuttingDown) as error:
                self._tell_failed(error)
                raise

    def _tell_failed(self, error: Exception) -> None:
        self.reload_ok = False
        logger.error("reload_failed", extra={"fields": {"error": str(error)}})

    async def _go_on_with(self, config: Config) -> None:
        keyring = Keyring(config.auth.credentials, os.environ)
        doors = [(one.listen, one.tls, one.store.url) for one in (self.config, config)]
        if doors[0] != doors[1]:
            logger.warning("restart_needed", extra={"fields": {"keys": "listen, tls or store"}})
        core_state = self.controller.core_state
        before = core_state.max_scopes
        core_state.max_scopes = max(before, config.limits.max_scopes)
        try:
            await self.controller.submit(SetPolicies(config.policies))
        except BaseException:
            core_state.max_scopes = before
            raise
        core_state.max_scopes = config.limits.max_scopes
        core_state.max_tombstones = config.limits.max_tombstones
        core_state.max_signals = config.limits.max_signals_per_scope
        self._limit_waiting_room(config.limits)
        self.fast_path.limits = config.limits
        self.guard.configure(keyring, config.limits.max_auth_failures_per_minute)
        self.reports.max_clients = config.limits.max_clients
        self.fast_path.forget()
        self.config = config
        self.alerting.configure(config.alerts)
        self.engines.configure(config.engines)
        self.imports.configure(config.imports)
        self.reload_ok = True
        self.reloaded_at = self.clock.now()
        logger.info("reloaded")

    def _wait_for(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(_CALL_SECS)


def _make_store(config: StoreConfig) -> Store:
    kind, _, path = config.url.partition(":")
    if kind == "memory":
        return MemoryStore(config.history_max_entries, config.history_max_age_secs)
    return SqliteStore(Path(path), Retention(config.history_max_entries, config.history_max_age_secs))
