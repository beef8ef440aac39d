"""A Redis for the tests of a file, empty for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.redis_server import RedisServer


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisServer:
    redis_server.cli("flushall")
    return redis_server
