"""A Redis that is too old. The tests have no such Redis, so a small server sends its replies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.store import StoreError
from sidecar.store.redis import RedisSettings
from sidecar.store.redis.check import report_on
from sidecar.store.redis.store import RedisStore


@asynccontextmanager
async def old_redis(version: str) -> AsyncIterator[str]:
    """The address of a server that says it is Redis ``version``, and knows few commands."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = f"redis_version:{version}\r\nrole:master\r\n".encode()
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                await reader.readline()
                words.append((await reader.readline()).strip().upper())
            if words[0] == b"INFO":
                writer.write(b"$%d\r\n%s\r\n" % (len(info), info))
            elif words[0] == b"CONFIG":
                writer.write(b"*0\r\n")
            elif words[:2] == [b"CLIENT", b"SETNAME"]:
                writer.write(b"+OK\r\n")
            else:
                writer.write(b"-ERR unknown command\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize("version", ["5.0.14", "6.0.16"])
def test_a_redis_that_is_too_old_is_refused_with_one_line(version: str) -> None:
    async def main() -> None:
        async with old_redis(version) as url:
            wanted = f"Redis {url.removeprefix('redis://')} is version {version}: use 6.2 or later, or Valkey"
            assert (await report_on(RedisSettings(url))).problem == wanted
            store = RedisStore(RedisSettings(url))
            with pytest.raises(StoreError) as caught:
                await store.load(0.0)
            assert str(caught.value) == f"store: {wanted}"
            await store.close()

    asyncio.run(main())


def test_the_oldest_supported_redis_is_accepted() -> None:
    async def main() -> None:
        async with old_redis("6.2.0") as url:
            assert not (await report_on(RedisSettings(url))).problem

    asyncio.run(main())
