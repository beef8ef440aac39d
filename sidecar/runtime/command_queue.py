"""The queue of submitted commands, and the loop that hands them to the writer in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sidecar.core.commands import Command, CommandOutcome

from .pending_commands import PendingCommand


class ShuttingDown(Exception):
    """The command arrived after the shutdown had begun."""


class CommandQueue:
    """Submitted commands that are not written yet.

    Args:
        loop: the event loop.
        prepare: called before each batch, and each time `wake` is set.
        write: writes a batch, and completes its commands.

    Attributes:
        wake: when it is set, `prepare` is called, even if no command was submitted.
        is_waiting: the writer waits for work, and changes nothing.
        is_stopping: no command is accepted any more.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        prepare: Callable[[], Awaitable[None]],
        write: Callable[[list[PendingCommand]], Awaitable[None]],
    ) -> None:
        self._loop = loop
        self._prepare = prepare
        self._write = write
        self._pending: list[PendingCommand] = []
        self.wake = asyncio.Event()
        self.is_waiting = False
        self.is_stopping = False

    def submit(self, command: Command, actor: str = "") -> asyncio.Future[CommandOutcome]:
        """Submit ``command`` on behalf of ``actor``. Returns its future result."""
        answer: asyncio.Future[CommandOutcome] = self._loop.create_future()
        if self.is_stopping:
            answer.set_exception(ShuttingDown("the sidecar is shutting down"))
        else:
            self._pending.append(PendingCommand(command, answer, actor))
            self.wake.set()
        return answer

    def submit_and_forget(self, command: Command) -> None:
        """Submit ``command`` without waiting for its result. If it fails, a timer submits it again."""
        self.submit(command).add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    def stop(self) -> None:
        """Accept no more commands. `run` returns after the submitted ones are written."""
        self.is_stopping = True
        self.wake.set()

    async def run(self) -> None:
        """Write the submitted commands, in batches, until `stop` is called."""
        while self._pending or not self.is_stopping:
            self.wake.clear()
            await self._prepare()
            if not self._pending:
                await self.wait()
                continue
            batch, self._pending = self._pending, []
            await self._write(batch)
            # The sender of ten thousand alerts releases them in pieces. So no reference to them may remain
            # here.
            del batch

    async def wait(self) -> None:
        """Wait until `wake` is set. Only the writer may call this, while it writes nothing."""
        self.is_waiting = True
        try:
            await self.wake.wait()
        finally:
            self.is_waiting = False
