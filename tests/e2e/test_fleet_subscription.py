"""A sidecar of a fleet gets the commits of the others even if its subscription fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest

from harness.fleet import controllers
from harness.in_loop import until
from harness.redis_server import RedisServer
from sidecar.core.commands import Pause
from sidecar.runtime.fleet_controller import FleetController
from sidecar.store.redis.store import RedisStore


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    monkeypatch.setattr(RedisStore, "beat_secs", 0.05)
    server.cli("flushall")
    return server


class Relay:
    """Forwards bytes between clients and Redis. It can stop forwarding to subscribers.

    Attributes:
        subscriptions: how many connections have subscribed.
    """

    def __init__(self, port: int) -> None:
        self.subscriptions = 0
        self._port = port
        self._mute: set[asyncio.StreamWriter] = set()
        self._subscribers: set[asyncio.StreamWriter] = set()

    def mute(self) -> None:
        self._mute |= self._subscribers

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(reader, to_redis, writer))
                tasks.create_task(self._pass_on(from_redis, writer, writer))
        finally:
            to_redis.close()
            writer.close()

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                if b"SUBSCRIBE" in data:
                    self.subscriptions += 1
                    self._subscribers.add(client)
                if target is not client or client not in self._mute:
                    target.write(data)
        target.close()


def closed(controller: FleetController, scope: str) -> bool:
    gate = controller.tree.gates.get(scope)
    return gate is not None and gate.closed


def test_a_subscription_that_redis_closed_is_made_again(redis: RedisServer) -> None:
    async def main() -> None:
        async with controllers(redis.url, 2) as [one, two]:
            await one.submit(Pause("first", "x", "me"))
            await until(lambda: closed(two, "first"), "the other sidecar closes its gate")
            assert redis.cli("client", "kill", "type", "pubsub") == "2"
            await one.submit(Pause("second", "x", "me"))
            await until(lambda: closed(two, "second"), "the other sidecar closes the second gate")
            assert two.counters.store_up

    asyncio.run(main())


def test_a_subscription_that_receives_nothing_any_more_is_replaced(redis: RedisServer) -> None:
    async def main() -> None:
        relay = Relay(redis.port)
        server = await asyncio.start_server(relay.connect, "127.0.0.1", 0)
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, controllers(redis.url, 1) as [one], controllers(url, 1) as [two]:
            await until(lambda: relay.subscriptions == 1, "the sidecar has subscribed")
            relay.mute()
            number = 0
            while relay.subscriptions == 1:
                number += 1
                assert number < 100
                await one.submit(Pause(f"team/{number}", "x", "me"))
                # The heartbeat shows the commit, and the log has it.
                await until(
                    lambda number=number: closed(two, f"team/{number}"), "the other sidecar closes its gate"
                )
            assert two.counters.store_up
            assert not sum(two.counters.task_failures.counts.values())

    asyncio.run(main())
