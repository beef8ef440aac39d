"""Checks a Redis server: version, role, durability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sidecar.store.base import StoreError, StoreUnavailable

from .connection import RedisConnection
from .settings import RedisSettings

if TYPE_CHECKING:
    from redis.asyncio import Redis

_MIN_VERSION = (6, 2)


@dataclass(frozen=True, slots=True)
class ServerReport:
    """The result of the check.

    Attributes:
        problem: why this Redis cannot be used; empty: it can.
        warnings: guarantees that are missing.
    """

    problem: str = ""
    warnings: tuple[str, ...] = ()


async def check_server(connection: RedisConnection, settings: RedisSettings) -> ServerReport:
    """Check the server. Raises `StoreUnavailable` if it cannot be reached."""
    info, config = await connection.call(_read)
    where = f"Redis {connection.address}"
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < _MIN_VERSION:
        return ServerReport(f"{where} is version {version}: use 6.2 or later, or Valkey")
    if info.get("role") == "slave":
        return ServerReport(f"{where} is a replica: name the master, or use redis+sentinel://")
    warnings = []
    if config is None:
        warnings.append(
            f"{where} does not say how durable it is (CONFIG GET is not permitted): with less than "
            "appendfsync always, its crash can lose acknowledged commands"
        )
    elif config.get("appendonly") != "yes":
        warnings.append(
            f"{where} keeps no append-only file: its restart loses acknowledged commands; set appendonly yes "
            "and appendfsync always"
        )
    elif config.get("appendfsync") != "always":
        kept = {"everysec": "the last second of", "no": "any number of the last"}
        lost = kept.get(str(config.get("appendfsync")), "some")
        warnings.append(
            f"{where} has appendfsync {config.get('appendfsync')}: its crash can lose {lost} acknowledged "
            "commands; set appendfsync always"
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction" and int(info.get("maxmemory", 0)):
        warnings.append(f"{where} may evict the state (maxmemory-policy {policy}): set noeviction")
    replicas = int(info.get("connected_slaves", 0))
    if settings.wait_replicas > replicas:
        warnings.append(
            f"{where} has {replicas} replicas, and redis.wait_replicas is {settings.wait_replicas}: every "
            "command is refused until they are connected"
        )
    return ServerReport(warnings=tuple(warnings))


async def report_on(settings: RedisSettings) -> ServerReport:
    """Connect, check the server, and disconnect."""
    try:
        connection = RedisConnection(settings)
        try:
            return await check_server(connection, settings)
        finally:
            await connection.close()
    except (StoreError, StoreUnavailable, ValueError) as error:
        return ServerReport(str(error))


async def _read(client: Redis) -> tuple[dict[str, Any], dict[str, Any] | None]:
    from redis.exceptions import ResponseError  # noqa: PLC0415 - only this store needs it

    info: dict[str, Any] = {}
    for section in ("server", "replication", "memory"):
        info |= await client.info(section)
    try:
        config = await client.config_get("appendonly", "appendfsync")
    except ResponseError:
        return info, None
    return info, {_text(key): _text(value) for key, value in config.items()}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
