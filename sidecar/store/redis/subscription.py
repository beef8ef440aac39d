"""A subscription to a channel of Redis. It passes each message to a function as soon as the message is read.

redis-py opens the connection, because it handles addresses, Sentinel, TLS and passwords. Then this protocol
takes over the transport. With redis-py, reading a message takes a timeout and several task switches, which
cost more than applying the commit in the message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis.asyncio import Redis

_PING = b"*1\r\n$4\r\nPING\r\n"


class Subscription(asyncio.Protocol):
    """A subscription. `begin` makes one.

    Args:
        connection: a connection of redis-py that is open and idle.
        on_message: called with each message.
        on_lost: called when the connection is lost.

    Attributes:
        error: why the subscription has ended; None: it is active.
    """

    def __init__(
        self,
        connection: Any,  # noqa: ANN401 - redis-py has no types for it
        on_message: Callable[[bytes], None],
        on_lost: Callable[[], None],
    ) -> None:
        from hiredis import Reader  # noqa: PLC0415 - only this store needs it
        from redis.exceptions import InvalidResponse, ResponseError  # noqa: PLC0415

        self.error: Exception | None = None
        self._connection = connection
        self._on_message = on_message
        self._on_lost = on_lost
        self._replies = Reader(protocolError=InvalidResponse, replyError=ResponseError)
        self._subscribed = asyncio.Event()
        self._ping_unanswered = False
        self._transport: asyncio.Transport = connection._writer.transport  # noqa: SLF001 - not public
        self._streams = self._transport.get_protocol()
        self._transport.set_protocol(self)

    @classmethod
    async def begin(
        cls, client: Redis, channel: str, on_message: Callable[[bytes], None], on_lost: Callable[[], None]
    ) -> Subscription:
        """Subscribe to ``channel``. Raises the exceptions of redis-py, or `ConnectionError`."""
        connection: Any = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()
            subscription = cls(connection, on_message, on_lost)
            await subscription._subscribe(channel.encode())
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return subscription

    async def _subscribe(self, channel: bytes) -> None:
        self._transport.write(b"*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%b\r\n" % (len(channel), channel))
        await self._subscribed.wait()
        if self.error is not None:
            raise self.error

    def check(self) -> None:
        """Ping the server. A connection that has not answered the last ping is closed."""
        if self._ping_unanswered:
            self.end(ConnectionError("the subscription is not answered"))
        elif self.error is None:
            self._ping_unanswered = True
            self._transport.write(_PING)

    def end(self, error: Exception) -> None:
        """End the subscription, because of ``error``."""
        self._note_end(error)
        self._transport.abort()

    async def close(self) -> None:
        """Close the connection."""
        self._note_end(ConnectionError("the subscription is closed"))
        await self._connection.disconnect(nowait=True)

    # -- called by the transport -------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Pass on the messages in ``data``."""
        self._ping_unanswered = False
        replies = self._replies
        replies.feed(data)
        try:
            while (reply := replies.gets()) is not False:
                if isinstance(reply, Exception):
                    raise reply  # noqa: TRY301 - the answer to SUBSCRIBE
                if self.error is None and reply[0] == b"message":
                    self._on_message(reply[2])
                elif reply[0] == b"subscribe":
                    self._subscribed.set()
        except Exception as error:  # noqa: BLE001 - the subscription ends, and its user is told why
            self.end(error)

    def eof_received(self) -> None:
        """The server has closed the connection. The transport closes it too."""

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed."""
        self._note_end(error or ConnectionError("the server closed the connection"))
        # redis-py may wait for this event.
        self._streams.connection_lost(error)

    def _note_end(self, error: Exception) -> None:
        if self.error is None:
            self.error = error
            self._subscribed.set()
            self._on_lost()
