"""The running sidecar: start, stop, reload, and calls from Flask's threads into the event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from sidecar.alertmanager.alerting import Alerting
from sidecar.alertmanager.watchdog import KIND as BLINDNESS
from sidecar.auth import CredentialsError, Keyring
from sidecar.config import Config, ConfigError, LimitsConfig, describe_unused
from sidecar.core.commands import Command, CommandOutcome, SetPolicies
from sidecar.core.errors import CoreError, TooManyScopes, TooManySignals
from sidecar.core.events import HoldLifted, HoldPut
from sidecar.engines.engine_syncs import EngineSyncs
from sidecar.engines.imports import CounterImports
from sidecar.engines.paused_engines import PausedEngines
from sidecar.gates.client_reports import ClientReports
from sidecar.gates.request_rates import RequestRates
from sidecar.hooks.dispatcher import Hooks
from sidecar.hooks.links import base_url
from sidecar.runtime.command_queue import ShuttingDown
from sidecar.runtime.controller import Controller
from sidecar.runtime.garbage import GarbageCollection
from sidecar.runtime.scheduling import request_short_slice
from sidecar.runtime.store_retry import run_on_event
from sidecar.store import (
    CorruptStore,
    HistoryEntry,
    HistoryQuery,
    StoreUnavailable,
    quarantine,
)
from sidecar.supervision import run_supervised
from sidecar.time_slice import release_in_pieces
from sidecar.web.gate.fast_path import GateFastPath

from .guard import Guard
from .problems import Problem
from .retry_after import retry_after
from .stores import is_shared, make_clock, make_controller
from .tls import Tls, TlsError

logger = logging.getLogger(__name__)

_CALL_SECS = 30.0
_MOST_UNUSED_LOGGED = 5
_SWITCH_AGAIN_SECS = 1.0
_SWITCH_SECS = 0.0002

T = TypeVar("T")


class Service:
    """Everything that runs in the one worker process.

    Args:
        config: the validated config.
        load: loads the config again, for a reload; raises `ConfigError`.

    Raises:
        CredentialsError: a credential cannot be used.
        TlsError: a certificate cannot be used.
    """

    controller: Controller
    alerting: Alerting
    fast_path: GateFastPath

    def __init__(self, config: Config, load: Callable[[], Config]) -> None:
        self.config = config
        self.clock = make_clock(config)
        self.ready = False
        self.reloaded_at = self.clock.now()
        self.reload_ok = True
        self.guard = Guard(
            Keyring(config.auth.credentials, os.environ),
            config.limits.max_auth_failures_per_minute,
            config.listen,
        )
        self.tls = Tls(config.tls) if config.tls else None
        self._load = load
        # A reload does not change these parts.
        self._listen = config.listen
        self._addresses: tuple[str, ...] = ()

    async def start(self) -> None:
        """Open the store, and start to accept commands.

        Raises:
            StoreError: the store cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        self._reload_lock = asyncio.Lock()
        self._read_lock = asyncio.Lock()
        try:
            self.controller = await self._start_controller()
        except CorruptStore as error:
            if self.config.store.on_corrupt != "quarantine":
                raise
            aside = quarantine(error.path, self.clock.now())
            fields = {"error": str(error), "moved_to": str(aside)}
            logger.critical("store_quarantined", extra={"fields": fields})
            self.controller = await self._start_controller()
        was_blind = await self._was_blind()
        self.alerting = Alerting(self.controller, self.config.alerts, was_blind=was_blind)
        self.reports = ClientReports(
            self._loop,
            self.controller.tree,
            self.controller.counters,
            self.clock,
            max_clients=self.config.limits.max_clients,
        )
        self.engines = EngineSyncs(self.controller, self.config.engines, await self._load_paused_engines())
        self.request_rates = RequestRates(
            self._loop, self.controller.tree.gates, self.controller.counters.task_failures
        )
        self.imports = CounterImports(self.controller, self.reports, self.config.imports)
        self.hooks = Hooks(self.controller)
        self._hooks_run = False
        self._leadership_changed = asyncio.Event()
        if self.controller.is_leader:
            await self._switch_hooks()
        self.controller.on_leadership = self._on_leadership
        self._hook_switch = self._loop.create_task(
            run_supervised("hook_switch", self._follow_leadership, self.controller.counters.task_failures)
        )
        self._leadership_changed.set()
        self.fast_path = GateFastPath(self.controller, self.guard, self.config.limits)
        self.fast_path.on_tick = self._tick
        self._apply_limits(self.config.limits)
        self.ready = True
        self.garbage = GarbageCollection(self._loop, self.controller.counters.task_failures)
        request_short_slice()
        # Threads release the interpreter to the loop 25 times sooner than by default.
        sys.setswitchinterval(_SWITCH_SECS)

    async def _load_paused_engines(self) -> PausedEngines:
        remembered = PausedEngines(
            self.controller.history_store,
            self.clock.now,
            host=os.uname().nodename,
            address=self._listen[0].address,
            is_shared=is_shared(self.config),
        )
        try:
            await remembered.load()
        except StoreUnavailable as error:
            # Only a shared store can be unavailable here. The store is read again later.
            logger.warning("engine_records_not_read", extra={"fields": {"error": str(error)}})
        return remembered

    async def _was_blind(self) -> bool:
        try:
            last = await self.controller.history(HistoryQuery(kinds=(BLINDNESS,), limit=1))
        except StoreUnavailable:
            # Only a shared store can be unavailable here: its last known state is served.
            return False
        return bool(last) and last[0].new == "blind"

    async def _start_controller(self) -> Controller:
        controller = make_controller(self.config, self.clock)
        await controller.start()
        return controller

    @property
    def only_own_scopes(self) -> bool:
        """Whether the metrics leave out the scopes that only other sidecars of the fleet serve."""
        return self.config.metrics.scopes == "own"

    def _on_leadership(self) -> None:
        self.alerting.leadership_changed()
        self._leadership_changed.set()

    async def _follow_leadership(self) -> None:
        """Deliver to hooks while this sidecar is the leader. Continue where the previous leader stopped."""
        while True:
            await run_on_event(self._leadership_changed, self._switch_hooks, _SWITCH_AGAIN_SECS)

    async def _switch_hooks(self) -> None:
        if self.controller.is_leader == self._hooks_run:
            return
        if self._hooks_run:
            if not self.controller.counters.store_up:
                # No other sidecar can become leader meanwhile, and the hooks must report that the store is
                # down.
                raise StoreUnavailable("the store is down")
            self._hooks_run = False
            await self.hooks.stop()
            self.hooks = Hooks(self.controller)
        else:
            await self.hooks.start(self.config.hooks, base_url(self.config, self._addresses))
            self._hooks_run = True

    def _apply_limits(self, limits: LimitsConfig) -> None:
        waiting_room = self.controller.waiting_room
        waiting_room.max_waiters = limits.max_waiters
        waiting_room.max_waiters_per_scope = limits.max_waiters_per_scope
        waiting_room.max_watchers = limits.max_watchers
        self.controller.streams.max_streams = limits.max_event_streams

    def _tick(self) -> None:
        """Once a second: reload changed secret and certificate files."""
        if self.guard.keyring.refresh(self.clock.monotonic()):
            self.fast_path.check_access()
        if self.tls is not None and self.tls.refresh():
            self.fast_path.check_authorities(self.tls.authorities)

    def set_addresses(self, addresses: Sequence[str]) -> None:
        """Use the first address for links in hooks, unless ``external_url`` is set."""
        self._addresses = tuple(addresses)
        self.hooks.set_base(base_url(self.config, self._addresses))

    @property
    def page_url(self) -> str:
        """URL of the status page; empty: the sidecar listens on Unix sockets only."""
        base = base_url(self.config, self._addresses)
        return f"{base}/" if base else ""

    def shut_down(self) -> None:
        """Answer all parked requests, and park no more."""
        self.ready = False
        self.controller.streams.shut_down()
        self.controller.waiting_room.shut_down(list(self.controller.tree.gates.values()))

    async def stop(self) -> None:
        """Finish the commands that were accepted, and close the store."""
        self.shut_down()
        self.fast_path.stop()
        self.guard.stop()
        self.garbage.stop()
        await self.engines.stop()
        await self.imports.stop()
        self._hook_switch.cancel()
        await self.hooks.stop()
        self.reports.stop()
        self.request_rates.stop()
        await self.alerting.stop()
        await self.controller.stop()

    # -- for Flask's threads ----------------------------------------------------------------------

    def call_in_loop(self, function: Callable[[], T]) -> T:
        """Call ``function`` in the loop; return its result."""

        async def call() -> T:
            # One call at a time, with other work in between, because a call may take long with many scopes.
            async with self._read_lock:
                try:
                    return function()
                finally:
                    await asyncio.sleep(0)

        return self._wait_for(call())

    def release_in_thread(self, values: list[object]) -> None:
        """Release ``values``, to which nothing else refers, in a thread."""
        self._loop.run_in_executor(None, release_in_pieces, values)

    def count_refusal(self, name: str) -> None:
        """Count a request that was refused with the problem ``name``."""
        self._loop.call_soon_threadsafe(self.fast_path.count_refusal, name)

    async def await_result(self, operation: Awaitable[T]) -> T:
        """The result of ``operation``; its errors become problems.

        Raises:
            Problem: it was refused or could not be stored. Nothing changed.
            TimeoutError: the result is not known yet; the operation continues.
        """
        try:
            return await _result_within(_CALL_SECS, operation, self._loop)
        except TooManyScopes as error:
            raise Problem("too-many-scopes", str(error), headers=retry_after(60)) from error
        except TooManySignals as error:
            raise Problem("too-many-signals", str(error), headers=retry_after(60)) from error
        except StoreUnavailable as error:
            raise Problem("store-unavailable", str(error), headers=retry_after(1)) from error
        except ShuttingDown as error:
            raise Problem("shutting-down", str(error), headers=retry_after(1)) from error

    def submit(self, command: Command, actor: str) -> CommandOutcome:
        """Submit ``command`` on behalf of ``actor``; return when it is durable and applied.

        Raises:
            Problem: it was refused or could not be stored. Nothing changed.
        """

        async def perform() -> CommandOutcome:
            return await self.await_result(self.controller.submit(command, actor))

        return self._wait_for(perform())

    def history(self, query: HistoryQuery) -> list[HistoryEntry]:
        """The entries of ``query``, newest first.

        Raises:
            Problem: the store cannot be read.
        """
        return self._wait_for(self.await_result(self.controller.history(query)))

    def reload(self) -> list[str]:
        """Load the config again. An invalid config changes nothing.

        Returns:
            The changed keys that take effect at the next start only.

        Raises:
            ConfigError: the config is not valid; the error lists every problem.
            Problem: the config is valid but could not be stored.
        """
        return self._wait_for(self.await_result(self.reload_in_loop()))

    async def reload_in_loop(self) -> list[str]:
        """`reload`, for callers in the loop."""
        async with self._reload_lock:
            try:
                return await self._apply(await self._loop.run_in_executor(None, self._load))
            except (CredentialsError, TlsError) as error:
                self._log_failed(error)
                raise ConfigError([str(error)]) from error
            except (ConfigError, CoreError, StoreUnavailable, ShuttingDown) as error:
                self._log_failed(error)
                raise

    def _log_failed(self, error: Exception) -> None:
        self.reload_ok = False
        logger.error("reload_failed", extra={"fields": {"error": str(error)}})

    async def _apply(self, config: Config) -> list[str]:
        keyring = Keyring(config.auth.credentials, os.environ, self.guard.keyring)
        fixed = _fixed_at_start(config)
        changed = [key for key, value in _fixed_at_start(self.config).items() if value != fixed[key]]
        if changed:
            logger.warning("restart_needed", extra={"fields": {"keys": ", ".join(changed)}})
        # A new hook receives the events that the new policies cause.
        newest = await self.hooks.end_of_history() if self._hooks_run else 0
        core_state = self.controller.core_state
        before = core_state.max_scopes
        core_state.max_scopes = max(before, config.limits.max_scopes)
        try:
            outcome = await self.controller.submit(SetPolicies(config.policies))
        except BaseException:
            core_state.max_scopes = before
            raise
        core_state.max_scopes = config.limits.max_scopes
        core_state.max_tombstones = config.limits.max_tombstones
        core_state.max_signals = config.limits.max_signals_per_scope
        self._apply_limits(config.limits)
        self.fast_path.limits = config.limits
        self.guard.configure(keyring, config.limits.max_auth_failures_per_minute, config.listen)
        self.reports.max_clients = config.limits.max_clients
        self.fast_path.check_access()
        self.config = config
        self.alerting.configure(config.alerts)
        self.engines.configure(config.engines)
        self.imports.configure(config.imports)
        if self._hooks_run:
            self.hooks.configure(
                config.hooks, base_url(replace(config, listen=self._listen), self._addresses), newest
            )
        self.reload_ok = True
        self.reloaded_at = self.clock.now()
        logger.info("reloaded", extra={"fields": _pauses_changed_by(outcome)})
        await self.log_unused()
        return changed

    async def log_unused(self) -> None:
        """Log the policies and alert rules that are never used."""
        # With thousands of policies and rules, the search would block the loop for too long.
        unused = await self._loop.run_in_executor(None, describe_unused, self.config)
        if unused:
            more = len(unused) - _MOST_UNUSED_LOGGED
            entries = "; ".join(unused[:_MOST_UNUSED_LOGGED]) + (f"; and {more} more" if more > 0 else "")
            logger.warning("never_used", extra={"fields": {"entries": entries}})

    def _wait_for(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(_CALL_SECS)


async def _result_within(secs: float, operation: Awaitable[T], loop: asyncio.AbstractEventLoop) -> T:
    """The result of ``operation``, which continues after ``secs`` seconds or a cancellation of the caller.

    It does what `asyncio.timeout` and `asyncio.shield` do, in fewer passes of the event loop.

    Raises:
        TimeoutError: there is no result yet.
    """
    waiter: asyncio.Future[T] = loop.create_future()
    if isinstance(operation, asyncio.Future):
        operation.add_done_callback(partial(_pass_on, waiter))
    else:
        # The awaited operation refers to the task, so the task is not collected even if the caller is gone.
        loop.create_task(_deliver(operation, waiter))
    timer = loop.call_later(secs, _end_waiting, waiter)
    try:
        return await waiter
    finally:
        timer.cancel()


def _end_waiting(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _pass_on(waiter: asyncio.Future[T], ended: asyncio.Future[T]) -> None:
    """Copy the result of ``ended`` to ``waiter``, unless the waiter was cancelled."""
    if ended.cancelled():
        waiter.cancel()
        return
    # Always read the exception. Otherwise asyncio logs that it was never retrieved.
    error = ended.exception()
    if waiter.done():
        return
    if error is not None:
        waiter.set_exception(error)
    else:
        waiter.set_result(ended.result())


async def _deliver(operation: Awaitable[T], waiter: asyncio.Future[T]) -> None:
    """Copy the result of ``operation`` to ``waiter``, unless the waiter was cancelled."""
    try:
        value = await operation
    except asyncio.CancelledError:
        waiter.cancel()
        raise
    except Exception as error:  # noqa: BLE001 - the caller gets it
        if not waiter.done():
            waiter.set_exception(error)
    else:
        if not waiter.done():
            waiter.set_result(value)


def _pauses_changed_by(outcome: CommandOutcome) -> dict[str, object]:
    """How many scopes the new policies paused, resumed and advised to pause, for the log."""
    puts = [event for event in outcome.events if isinstance(event, HoldPut)]
    counts = {
        "paused": sum(event.paused for event in puts),
        "resumed": sum(event.resumed for event in outcome.events if isinstance(event, HoldLifted)),
        "advised": sum(event.hold.advised is not None for event in puts),
    }
    return {name: count for name, count in counts.items() if count}


def _fixed_at_start(config: Config) -> dict[str, object]:
    """The keys that only a restart changes, with their values."""
    return {
        "listen": tuple(replace(one, roles=None) for one in config.listen),
        "tls": config.tls,
        "store": config.store,
        "redis": config.redis,
        "log_level": config.log_level,
        "log_format": config.log_format,
        "scope_idle_secs": config.scope_idle_secs,
    }
