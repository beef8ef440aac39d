"""The log of the commits in Redis, and the messages that announce them."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
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
from .subscription import Subscription

logger = logging.getLogger(__name__)

_BEGIN_OF_BODY = re.compile(rb'{"at":(\d+(?:\.\d+)?),("quiet":true,)?')
"""The time of the commit, and whether it is quiet. The rest of the text is converted later."""

_PAGE = 500
_MAX_ARRIVED_BYTES = 8_388_608
"""Maximum number of messages that wait to be passed on. Further ones are dropped, and read from the log
later."""

_MIN_BACKOFF_SECS, _MAX_BACKOFF_SECS = 0.2, 2.0


class RedisLog:
    """Reads and follows the commits.

    Args:
        connection: the connection.
        keys: names of the keys.
        texts: converts commits.
        status: gets the newest commit and the lag.
    """

    def __init__(
        self, connection: RedisConnection, keys: RedisKeys, texts: RecordTexts, status: FleetStatus
    ) -> None:
        self._on_commit: Callable[[LoggedCommit], bool] = lambda _: False
        self._connection = connection
        self._keys = keys
        self._texts = texts
        self._status = status
        self._position = Position("", 0, "")
        self._subscription: Subscription | None = None
        self._arrived: deque[LoggedCommit] = deque()
        self._arrived_bytes = 0
        # The log has to be read, because a message may be missing.
        self._behind = False
        # Whether all commits before the next message have been passed on.
        self._is_current = False
        self._changed = asyncio.Event()

    def catch_up(self) -> None:
        """Read the log: the store has commits that did not arrive as messages."""
        self._fall_behind()
        if self._subscription is not None:
            self._subscription.check()

    def _fall_behind(self) -> None:
        self._behind = True
        self._changed.set()

    async def follow(
        self, position: Position, on_commit: Callable[[LoggedCommit], bool]
    ) -> AsyncIterator[LoggedCommit | Outdated]:
        """The commits after ``position``, in order; see `SharedStore`."""
        self._position, self._on_commit = position, on_commit
        backoff = _MIN_BACKOFF_SECS
        while True:
            try:
                async for item in self._follow_once():
                    yield item
                    if isinstance(item, Outdated):
                        return
                    backoff = _MIN_BACKOFF_SECS
            except StoreUnavailable as error:
                logger.debug("follow_failed", extra={"fields": {"error": str(error)}})
                await asyncio.sleep(random.uniform(backoff / 2, backoff))  # noqa: S311 - no secret
                backoff = min(2 * backoff, _MAX_BACKOFF_SECS)

    async def _follow_once(self) -> AsyncIterator[LoggedCommit | Outdated]:
        """Like `follow`, on one connection. Raises `StoreUnavailable` when the connection is lost."""
        self._drop_arrived()
        # Subscribe first: commits that happen while the log is read arrive as messages.
        async with self._connection.subscription(
            self._keys.channel, self._receive, self._changed.set
        ) as self._subscription:
            self._behind = True
            while True:
                while self._behind:
                    self._behind = False
                    found = await self.read(self._position)
                    if isinstance(found, Outdated):
                        yield found
                        return
                    for commit in found:
                        yield commit
                        self._position = commit.position
                        # There may be another page.
                        self._behind = True
                while self._arrived and not self._behind:
                    arrived = self._take_arrived()
                    if arrived is not None:
                        yield arrived
                        self._position = arrived.position
                if not self._behind:
                    await self._wait_for_change(self._subscription)

    async def _wait_for_change(self, subscription: Subscription) -> None:
        """Wait until a message was not taken by `on_commit`. Raises the error of a lost connection."""
        self._changed.clear()
        if subscription.error is not None:
            raise subscription.error
        self._is_current = True
        try:
            await self._changed.wait()
        finally:
            self._is_current = False

    def _receive(self, message: bytes) -> None:
        """Pass on the commit in ``message``, or keep it until its predecessors arrive, if necessary from the
        log.
        """
        position = self._position
        try:
            number, token, epoch, *body = message.split(b" ", 3)
            seq = int(number)
        except ValueError:
            # Another program published the message. The log is authoritative.
            self._fall_behind()
            return
        has_patches = epoch.startswith(b"~")
        if epoch.decode().removeprefix("~") != position.epoch:
            self._fall_behind()
            return
        self._status.known_seq = max(seq, self._status.known_seq)
        if not body:
            # The commit was too long for a message.
            self._fall_behind()
            return
        if seq <= position.seq:
            return
        begin = _BEGIN_OF_BODY.match(body[0])
        if begin:
            self._status.lag_secs = max(0.0, self._status.now() - float(begin[1]))
        commit = self._commit_of(
            Position(position.epoch, seq, token.decode()),
            body[0],
            has_patches=has_patches,
            is_quiet=bool(begin and begin[2]),
        )
        is_next = self._is_current and not self._changed.is_set() and seq == position.seq + 1
        if is_next and self._on_commit(commit):
            self._position = commit.position
            return
        self._arrived.append(commit)
        self._arrived_bytes += commit.size
        if self._arrived_bytes > _MAX_ARRIVED_BYTES:
            self._drop_arrived()
            self._behind = True
        self._changed.set()

    def _take_arrived(self) -> LoggedCommit | None:
        """The next arrived commit; None: it is already known, or an earlier commit is missing."""
        commit = self._arrived.popleft()
        self._arrived_bytes -= commit.size
        if commit.position.seq == self._position.seq + 1:
            return commit
        self._behind = commit.position.seq > self._position.seq
        return None

    def _drop_arrived(self) -> None:
        self._arrived.clear()
        self._arrived_bytes = 0

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

    def _commit_of(
        self, position: Position, body: bytes, *, has_patches: bool = False, is_quiet: bool = False
    ) -> LoggedCommit:
        return LoggedCommit(position, body, partial(self._change_of, position, body), has_patches, is_quiet)

    def _change_of(self, position: Position, body: bytes) -> Change:
        try:
            return self._texts.change_of(position, body)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(f"commit {position.seq} in {self._keys.log} is not valid: {error}") from error
