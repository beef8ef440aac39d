"""Runs blocking calls in daemon threads. A call that hangs delays neither the event loop nor the exit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class CallHangs(Exception):
    """The call took longer than its limit, or an earlier call still hangs."""


class BlockingCalls:
    """Runs one blocking call at a time.

    Args:
        loop: receives the results.
        name: the name of the threads.
        timeout: seconds that a call may take. The calls have their own timeouts; this one is for a call
            that ignores them, such as a DNS lookup that never ends.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, timeout: float) -> None:
        self._loop = loop
        self._name = name
        self._timeout = timeout
        self._last: asyncio.Future[Any] | None = None

    async def run(self, call: Callable[[], T]) -> T:
        """Run ``call``; return its result.

        Raises:
            CallHangs: the call is not done in time, or an earlier call still hangs.
        """
        if self._last is not None and not self._last.done():
            await asyncio.wait({self._last}, timeout=self._timeout)
            if not self._last.done():
                raise CallHangs("the last request still hangs")
        result: asyncio.Future[T] = self._loop.create_future()
        # Nothing reads the result of an abandoned call.
        result.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._last = result
        thread = threading.Thread(target=self._call, args=(call, result), name=self._name, daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.shield(result)
        except TimeoutError:
            raise CallHangs(f"no answer within {self._timeout:g} s") from None

    def _call(self, call: Callable[[], T], result: asyncio.Future[T]) -> None:
        try:
            value = call()
        except Exception as error:  # noqa: BLE001 - raised where the result is awaited
            self._deliver(result.set_exception, error)
        else:
            self._deliver(result.set_result, value)

    def _deliver(self, setter: Callable[[Any], None], what: object) -> None:
        try:
            self._loop.call_soon_threadsafe(setter, what)
        except RuntimeError:
            # The loop has ended, so the result is not needed.
            return
