"""Makes the store that the config names, and the controller for it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

from sidecar.clock import Clock, SharedClock
from sidecar.config import Config
from sidecar.runtime.controller import Controller
from sidecar.runtime.fleet_controller import FleetController
from sidecar.store import MemoryStore, Retention, SqliteStore, Store, StoreError
from sidecar.store.copying import CopyReport, copy_store
from sidecar.store.redis import RedisSettings, redacted


def is_shared(config: Config) -> bool:
    """Whether the store is shared with other sidecars."""
    return config.store.url.startswith(("redis:", "rediss:", "redis+", "rediss+"))


def store_name(config: Config) -> str:
    """The URL of the store, without a password."""
    return redacted(config.store.url)


def make_clock(config: Config) -> Clock:
    """The clock for all times of this sidecar."""
    return SharedClock() if is_shared(config) else Clock()


def make_store(config: Config, clock: Clock | None = None) -> Store:
    """The store of ``config``; a shared one sets ``clock``."""
    store = config.store
    if is_shared(config):
        from sidecar.store.redis.store import RedisStore  # noqa: PLC0415 - only fleets need it

        shared = RedisStore(redis_settings(config))
        if isinstance(clock, SharedClock):
            shared.on_time = clock.follow
        return shared
    kind, _, path = store.url.partition(":")
    if kind == "memory":
        return MemoryStore(store.history_max_entries, store.history_max_age_secs)
    return SqliteStore(Path(path), Retention(store.history_max_entries, store.history_max_age_secs))


def make_controller(config: Config, clock: Clock) -> Controller:
    """A controller that is not started, on the store of ``config``."""
    limits = config.limits
    store = make_store(config, clock)
    settings = {
        "max_scopes": limits.max_scopes,
        "max_signals": limits.max_signals_per_scope,
        "max_tombstones": limits.max_tombstones,
        "scope_idle_secs": config.scope_idle_secs,
        "clock": clock,
    }
    if is_shared(config):
        return FleetController(config.policies, store, **settings)  # type: ignore[arg-type] # a shared store
    return Controller(config.policies, store, **settings)  # type: ignore[arg-type] # as they are named


def redis_settings(config: Config) -> RedisSettings:
    """The settings of the store on Redis."""
    store = config.store
    return RedisSettings(
        store.url,
        history_max_entries=store.history_max_entries,
        history_max_age_secs=store.history_max_age_secs,
        **asdict(config.redis),
    )


def check_shared_store(config: Config) -> tuple[str, tuple[str, ...]]:
    """Connect to Redis; return why it cannot be used (empty: it can), and warnings about its durability."""
    from sidecar.store.redis.check import report_on  # noqa: PLC0415 - only fleets need it

    report = asyncio.run(report_on(redis_settings(config)))
    return report.problem, report.warnings


def copy_stores(source: Config, target: Config) -> CopyReport:
    """Copy everything from the store of ``source`` that the store of ``target`` does not have.

    Raises:
        StoreError: a store cannot be used.
    """
    for config in (source, target):
        if config.store.url == "memory:":
            raise StoreError("memory: cannot be copied: it ends with its process")
    kind, _, path = source.store.url.partition(":")
    if kind == "sqlite" and not Path(path).exists():
        raise StoreError(f"store {path} does not exist: name the file of the store that you want to copy")

    async def copy() -> CopyReport:
        stores = [make_store(source), make_store(target)]
        try:
            return await copy_store(stores[0], stores[1], Clock().now())  # type: ignore[arg-type] # not in memory
        finally:
            for store in stores:
                await store.close()

    return asyncio.run(copy())
