"""Sends requests to simulated engines at a given rate, all in one thread."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Self

import uvloop

_TICK_SECS = 0.05
_REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
)


class Load:
    """Requests to one engine.

    Args:
        port: the engine's port on loopback.
        patience_secs: seconds until a client disconnects.

    Attributes:
        per_sec: requests a second; it may be set at any time.
        asked: the number of requests sent.
        statuses: the number of responses by HTTP status; 0: the client gave up, or was disconnected.
    """

    def __init__(self, port: int, patience_secs: float = 120.0) -> None:
        self.per_sec = 0.0
        self.asked = 0
        self.statuses: Counter[int] = Counter()
        self._port = port
        self._patience_secs = patience_secs
        self._owed = 0.0

    @property
    def lost(self) -> int:
        """Requests that did not get a correct answer."""
        return sum(self.statuses.values()) - self.statuses[200]

    @property
    def pending(self) -> int:
        """Requests without an answer yet."""
        return self.asked - sum(self.statuses.values())

    def due(self, secs: float) -> int:
        """The number of requests to send after ``secs`` seconds."""
        self._owed += self.per_sec * secs
        count = int(self._owed)
        self._owed -= count
        self.asked += count
        return count

    async def ask(self) -> None:
        """Send one request."""
        writer = None
        status = 0
        try:
            async with asyncio.timeout(self._patience_secs):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(_REQUEST)
                line = await reader.readline()
                status = int(line.split()[1])
                await reader.read()
        except (OSError, TimeoutError, IndexError, ValueError):
            status = 0
        finally:
            if writer is not None:
                writer.close()
            self.statuses[status] += 1


class Clients:
    """Sends the requests of all loads until the context ends."""

    def __init__(self, *loads: Load) -> None:
        self._loads = loads
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        asking: set[asyncio.Task[None]] = set()
        last = loop.time()
        while not self._stop.is_set():
            await asyncio.sleep(_TICK_SECS)
            now = loop.time()
            for load in self._loads:
                for _ in range(load.due(now - last)):
                    task = loop.create_task(load.ask())
                    asking.add(task)
                    task.add_done_callback(asking.discard)
            last = now
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
