"""The log of the commits in Redis, and the messages that announce them."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from sidecar.store.base import (
    Change,
    FleetStatus,
    LoggedCommit,
    Outdated,
    Position,
    StoreError,
    StoreUnavailable,
)

from .connection import RedisConnection
from .keys import RedisKeys
from .records import RecordTexts

logger = logging.getLogger(__name__)

_POLL_SECS = 1.0
_BEGIN_OF_BODY = re.compile(rb'{"at":(\d+(?:\.\d+)?),')
"""The time of the commit. The rest of the text is converted later."""

_PAGE = 500
_MIN_BACKOFF_SECS, _MAX_BACKOFF_SECS = 0.2, 2.0


class RedisLog:
    """Reads and follows the commits.

    Args:
        connection: the connection.
        keys: names of the keys.
        texts: converts commits.
        status: gets the newest commit and the lag.

    Attributes:
        behind: set it if the log has to be read, because a message may be missing.
    """

    def __init__(
        self, connection: RedisConnection, keys: RedisKeys, texts: RecordTexts, status: FleetStatus
    ) -> None:
        self.behind = asyncio.Event()
        self._connection = connection
        self._keys = keys
        self._texts = texts
        self._status = status

    async def follow(self, position: Position) -> AsyncIterator[LoggedCommit | Outdated]:
        """The commits after ``position``, in order; see `SharedStore`."""
        backoff = _MIN_BACKOFF_SECS
        while True:
            try:
                async for item in self._follow_once(position):
                    yield item
                    if isinstance(item, Outdated):
                        return
                    position, backoff = item.position, _MIN_BACKOFF_SECS
            except StoreUnavailable as error:
                logger.debug("follow_failed", extra={"fields": {"error": str(error)}})
                await asyncio.sleep(random.uniform(backoff / 2, backoff))  # noqa: S311 - no secret
                backoff = min(2 * backoff, _MAX_BACKOFF_SECS)

    async def _follow_once(self, position: Position) -> AsyncIterator[LoggedCommit | Outdated]:
        """As `follow`, on one connection. Raises `StoreUnavailable` when it is lost."""
        # Subscribe first: commits that happen while the log is read arrive as messages.
        async with self._connection.subscription(self._keys.channel) as next_message:
            self.behind.set()
            while True:
                while self.behind.is_set():
                    self.behind.clear()
                    found = await self.read(position)
                    if isinstance(found, Outdated):
                        yield found
                        return
                    for commit in found:
                        yield commit
                        position = commit.position
                    if found:
                        # There may be another page.
                        self.behind.set()
                message = await next_message(_POLL_SECS)
                arrived = None if message is None else self._next_of(position, message)
                if arrived is not None:
                    yield arrived
                    position = arrived.position

    def _next_of(self, position: Position, message: bytes) -> LoggedCommit | None:
        """The commit in ``message``, if it is the one after ``position``. A gap is filled from the log."""
        try:
            number, token, epoch, *body = message.split(b" ", 3)
            seq = int(number)
        except ValueError:
            # Another program published it. The log is authoritative.
            self.behind.set()
            return None
        if epoch.decode() != position.epoch:
            self.behind.set()
            return None
        self._status.known_seq = max(seq, self._status.known_seq)
        if seq <= position.seq:
            return None
        if seq != position.seq + 1 or not body:
            self.behind.set()
            return None
        begin = _BEGIN_OF_BODY.match(body[0])
        if begin:
            self._status.lag_secs = max(0.0, self._status.now() - float(begin[1]))
        return self._commit_of(Position(position.epoch, seq, token.decode()), body[0])

    async def read(self, position: Position) -> list[LoggedCommit] | Outdated:
        """A page of the commits after ``position``; empty: there are none. Raises `StoreUnavailable`."""

        async def read(client: Any) -> Any:  # noqa: ANN401 - as Redis answers
            pipeline = client.pipeline(transaction=True)
            pipeline.hmget(self._keys.meta, "epoch", "seq")
            pipeline.execute_command("XRANGE", self._keys.log, f"{position.seq}-0", "+", "COUNT", _PAGE)
            return await pipeline.execute()

        (epoch, last), entries = await self._connection.call(read)
        last = last or b"0"
        if epoch is None or epoch.decode() != position.epoch or not last.isdigit():
            return Outdated(went_back=True)
        seq = int(last)
        if seq < position.seq:
            return Outdated(went_back=True)
        commits = []
        for key, values in entries:
            at = Position(position.epoch, int(key.split(b"-")[0]), values.get(b"t", b"").decode())
            commits.append(self._commit_of(at, values.get(b"b", b"")))
        if position.seq and commits and commits[0].position.seq == position.seq:
            if commits[0].position.token != position.token:
                return Outdated(went_back=True)
            commits = commits[1:]
        if seq > position.seq and (not commits or commits[0].position.seq != position.seq + 1):
            return Outdated(went_back=False)
        return commits

    def _commit_of(self, position: Position, body: bytes) -> LoggedCommit:
        return LoggedCommit(position, len(body), partial(self._change_of, position, body))

    def _change_of(self, position: Position, body: bytes) -> Change:
        try:
            return self._texts.change_of(position, body)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(f"commit {position.seq} in {self._keys.log} is not valid: {error}") from error
