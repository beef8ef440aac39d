"""Connections to Redis: to one server, to the master of a Sentinel group, or to a node of a cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sidecar.store.base import StoreError, StoreUnavailable

from .address import RedisAddress
from .scripts import digest
from .settings import RedisSettings
from .subscription import Subscription

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

_MISSING = (
    "store redis: needs the package redis: install it with pip install 'wellbeing-sidecar[server,redis]'"
)


class MasterChanged(ConnectionError):
    """A subscription has ended, because commands go to another server now."""


class RedisConnection:
    """Calls Redis. After a failure the next call connects again, to the current master or node.

    Args:
        settings: the settings.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self.address = RedisAddress.parse(settings.url)
        self._settings = settings
        self._client: Redis | None = None
        self._subscriptions: set[Subscription] = set()
        self._sentinel: Any = None
        self._lock = asyncio.Lock()

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """The exceptions of a failed call."""
        try:
            from redis.exceptions import RedisError  # noqa: PLC0415 - only this store needs it
        except ImportError:
            return (OSError, asyncio.TimeoutError)
        return (RedisError, OSError, asyncio.TimeoutError, ValueError)

    async def run(self, script: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:  # noqa: ANN401 - as Redis answers
        """Run ``script`` by its digest. If Redis does not know the script, send its text.

        Raises:
            StoreUnavailable: the call failed. The script may have run.
        """

        async def call(client: Redis) -> Any:  # noqa: ANN401 - the same
            from redis.exceptions import NoScriptError  # noqa: PLC0415 - only this store needs it

            try:
                return await execute(
                    client, "EVALSHA", digest(script), len(keys), *keys, *args, keys=list(keys)
                )
            except NoScriptError:
                return await execute(client, "EVAL", script, len(keys), *keys, *args)

        return await self.call(call)

    async def call(self, call: Any) -> Any:  # noqa: ANN401 - a coroutine function on a client
        """The result of ``call``, which gets the client.

        Raises:
            StoreUnavailable: the call failed.
        """
        try:
            # The first call imports redis-py, which may take long. Connecting has its own timeout.
            client = await self.client()
            async with asyncio.timeout(self._settings.timeout_secs):
                return await call(client)
        except self.failures as error:
            await self.reset(error)
            raise StoreUnavailable(self.describe(error)) from error

    async def client(self) -> Redis:
        """A client of the server that stores our keys."""
        async with self._lock:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    @asynccontextmanager
    async def subscription(
        self, channel: str, on_message: Callable[[bytes], None], on_lost: Callable[[], None]
    ) -> AsyncIterator[Subscription]:
        """An active subscription to ``channel``.

        Raises:
            StoreUnavailable: the subscription failed, or the caller raised its error.
        """
        subscription = None
        failures = self.failures
        try:
            client = await self.client()
            async with asyncio.timeout(self._settings.timeout_secs):
                subscription = await Subscription.begin(client, channel, on_message, on_lost)
            self._subscriptions.add(subscription)
            yield subscription
        except failures as error:
            await self.reset(error)
            raise StoreUnavailable(self.describe(error)) from error
        finally:
            if subscription is not None:
                self._subscriptions.discard(subscription)
                await subscription.close()

    async def reset(self, error: BaseException) -> None:
        """After ``error``, forget which node of a cluster stores our keys. Other clients reconnect alone."""
        if isinstance(error, MasterChanged):
            # The client was already replaced.
            return
        if self.address.kind == "cluster" and self._client is not None:
            client, self._client = self._client, None
            self._end_subscriptions()
            await _close(client)
        elif type(error).__name__ == "ReadOnlyError" and self._client is not None:
            # The server became a replica. Sentinel knows the current master.
            self._end_subscriptions()
            await self._client.connection_pool.disconnect()

    def _end_subscriptions(self) -> None:
        """End all subscriptions. Their users subscribe again and read what they have missed."""
        for one in self._subscriptions:
            one.end(MasterChanged("another server may be the master now"))

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await _close(self._client)
            self._client = None
        if self._sentinel is not None:
            for one in self._sentinel.sentinels:
                await _close(one)

    def describe(self, error: BaseException) -> str:
        """What ``error`` means, and the remedy, in one line."""
        where, kind, text = f"Redis {self.address}", type(error).__name__, " ".join(str(error).split())
        if kind in ("AuthenticationError", "AuthenticationWrongNumberOfArgsError") or "WRONGPASS" in text:
            return (
                f"{where} refuses the user or the password: set redis.username, and redis.password_file or "
                "WELLBEING_REDIS__PASSWORD"
            )
        if kind == "NoPermissionError" or "NOPERM" in text:
            return f"{where} does not permit a command: {text}: extend the rights of the ACL user"
        if kind == "ReadOnlyError":
            return f"{where} is a replica: name the master, or use redis+sentinel://"
        if kind == "MasterNotFoundError":
            return (
                f"Sentinel {self.address} knows no master {self.address.master!r}: check its name and health"
            )
        if kind in ("TimeoutError", "CancelledError"):
            return f"{where} did not answer within {self._settings.timeout_secs:g} s"
        if kind == "BusyLoadingError":
            return f"{where} is loading its data"
        if isinstance(error, FileNotFoundError | PermissionError) and error.filename:
            files = "check redis.password_file and the TLS files"
            return f"{error.filename} cannot be read: {error.strerror}: {files}"
        if kind in ("ConnectionError", "ConnectionRefusedError", "OSError", "gaierror"):
            return f"{where} cannot be reached: {text}"
        return f"{where}: {self._refusal_of(text) or kind}"

    def _refusal_of(self, text: str) -> str:
        """The meaning of Redis' error reply ``text``."""
        if text.startswith("WRONGTYPE"):
            prefix = self._settings.prefix
            return f"keys that begin with {prefix!r} belong to another program: use another redis.prefix"
        if "'maxmemory'" in text:
            return "it has reached its maxmemory: raise maxmemory, or free memory"
        return text

    # -- connecting --------------------------------------------------------------------------------

    async def _connect(self) -> Redis:
        try:
            from redis import asyncio as asyncio_redis  # noqa: PLC0415 - 11 MB that only this store needs
        except ImportError:
            raise StoreError(_MISSING) from None
        options = self._options()
        # `call` limits the time. With its own timeout, redis-py would start a task for each command.
        unlimited = options | {"socket_timeout": None}
        if self.address.kind == "sentinel":
            plain = {
                key: value for key, value in options.items() if key not in ("db", "username", "password")
            }
            sentinel: Any = asyncio_redis.Sentinel
            self._sentinel = sentinel(self.address.hosts, sentinel_kwargs=plain, **unlimited)
            client: Redis = self._sentinel.master_for(self.address.master)
            return client
        if self.address.kind == "cluster":
            host, port = await self._find_node(options)
            return asyncio_redis.Redis(host=host, port=port, **unlimited)
        [(host, port)] = self.address.hosts[:1]
        return asyncio_redis.Redis(host=host, port=port, **unlimited)

    async def _find_node(self, options: dict[str, Any]) -> tuple[str, int]:
        """The node of the cluster that has the slot of our keys."""
        from redis.asyncio import Redis  # noqa: PLC0415
        from redis.crc import key_slot  # noqa: PLC0415

        slot = key_slot(self._settings.prefix.encode())
        last: Exception | None = None
        for host, port in self.address.hosts:
            client = Redis(host=host, port=port, **options)
            try:
                for first, until, node, *_ in await execute(client, "CLUSTER", "SLOTS"):
                    if first <= slot <= until:
                        name = node[0].decode() if isinstance(node[0], bytes) else node[0]
                        return name or host, int(node[1])
                last = OSError(f"no node of the cluster has the slot {slot}")
            except self.failures as error:
                last = error
            finally:
                await _close(client)
        raise last or OSError("no node is configured")

    def _options(self) -> dict[str, Any]:
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        settings, address = self._settings, self.address
        options: dict[str, Any] = {
            "db": address.db,
            "username": settings.username or address.username or None,
            "password": settings.read_password() or address.password or None,
            "socket_timeout": settings.timeout_secs,
            "socket_connect_timeout": settings.timeout_secs,
            # Do not retry: a commit that was sent twice would conflict with itself.
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "client_name": "wellbeing-sidecar",
        }
        if address.tls:
            options |= {
                "ssl": True,
                "ssl_ca_certs": settings.ca_file or None,
                "ssl_certfile": settings.cert_file or None,
                "ssl_keyfile": settings.key_file or None,
            }
        return options


async def execute(client: Any, *args: object, **options: object) -> Any:  # noqa: ANN401 - as Redis answers
    """The answer to the command ``args``."""
    return await client.execute_command(*args, **options)


async def _close(client: Any) -> None:  # noqa: ANN401 - whatever has a connection
    try:
        await client.aclose()
    except Exception as error:  # noqa: BLE001 - a broken connection is closed as well
        logger.debug("close_failed", extra={"fields": {"error": str(error)}})
