"""Parked requests: parking, waking, timing out, turning away, and counting each exactly once.

The conservation law holds after every call: for each gate that counts,
blocked = waited + timed_out + abandoned + rejected + waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from .counters import Counters
from .gate import Ending, Gate, Waiter
from .wait_timeouts import WaitTimeouts

logger = logging.getLogger(__name__)

_RAMP_STEP_SECS = 0.02
_UNANSWERED = "a waiter could not be answered"


class WaitingRoom:
    """Who is parked where.

    Args:
        loop: the one that everything here runs in.
        counters: the process's.

    Attributes:
        max_waiters: how many gate requests may be parked at once.
        max_waiters_per_scope: how many of them at one gate.
        max_watchers: how many watches may be parked at once.
        waiting: how many gate requests are.
        watching: how many watches are.
        closing: nobody is parked any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counters) -> None:
        self.max_waiters = 20_000
        self.max_waiters_per_scope = 20_000
        self.max_watchers = 20_000
        self.closing = False
        self.waiting = 0
        self.watching = 0
        self._refusals = counters.refusals
        self._loop = loop
        self._waits = counters.waits
        self._deadlines = WaitTimeouts(loop, self._run_out, counters.task_failures)
        self._ramps: dict[Gate, asyncio.TimerHandle] = {}

    # -- arriving and leaving ---------------------------------------------------------------------

    def request(self, waiter: Waiter, gate: Gate, path: str | None, wait: float) -> Ending | None:
        """A gate request that met a closed gate, already counted among its requests.

        Args:
            waiter: whom to answer.
            gate: the nearest known.
            path: the unnamed scope that was asked for; None: the gate's own.
            wait: seconds to wait at most.

        Returns:
            None: it is parked, and `Waiter.end` will be called; else how it ended at once.
        """
        gate.blocked += 1
        if self.closing or self._is_full(gate):
            gate.rejected += 1
            self._waits["rejected"].observe(0.0)
            return Ending.SHUTTING_DOWN if self.closing else Ending.TOO_MANY_WAITERS
        if wait <= 0:
            gate.timed_out += 1
            self._waits["timed_out"].observe(0.0)
            return Ending.TIMED_OUT
        gate.waiting += 1
        gate.waiters[waiter] = None
        self._park(waiter, gate, path, wait, watching=False)
        return None

    def watch(self, waiter: Waiter, gate: Gate, path: str | None, wait: float) -> Ending | None:
        """A watch whose snapshot is known already. Arguments and answer as for `request`."""
        if self.closing:
            return Ending.SHUTTING_DOWN
        if self.watching >= self.max_watchers:
            self._refusals["too-many-watchers"] += 1
            return Ending.TOO_MANY_WATCHERS
        if wait <= 0:
            return Ending.TIMED_OUT
        gate.watchers[waiter] = None
        self._park(waiter, gate, path, wait, watching=True)
        return None

    def abandon(self, waiter: Waiter) -> None:
        """The client of ``waiter`` has gone."""
        account = waiter.account
        if self._unpark(waiter) is not None and account is not None:
            account.abandoned += 1
            self._observe("abandoned", waiter)

    # -- waking -----------------------------------------------------------------------------------

    def open(self, gate: Gate) -> None:
        """``gate`` has opened: let its waiters through, at its policy's pace."""
        if gate.policy.resume_ramp_per_sec:
            if gate not in self._ramps:
                self._ramp(gate, self._loop.time(), 0)
        else:
            self.close(gate)
            self._wake(list(gate.waiters), Ending.OPENED)

    def close(self, gate: Gate) -> None:
        """``gate`` has closed: whoever the ramp has not let through stays parked."""
        ramp = self._ramps.pop(gate, None)
        if ramp is not None:
            ramp.cancel()

    def changed(self, gate: Gate) -> None:
        """The snapshot of ``gate`` has changed: answer its watchers."""
        self._wake(list(gate.watchers), Ending.CHANGED)

    def move(self, waiters: Iterable[Waiter], gate: Gate) -> None:
        """``waiters`` obey ``gate`` from now on; whoever counted them still does."""
        for waiter in waiters:
            old = waiter.gate
            if old is None:
                continue
            if waiter.watching:
                old.watchers.pop(waiter, None)
                gate.watchers[waiter] = None
            else:
                old.waiters.pop(waiter, None)
                gate.waiters[waiter] = None
            waiter.gate = gate

    def turn_away(self, waiter: Waiter, ending: Ending = Ending.SHUTTING_DOWN) -> None:
        """Answer ``waiter`` with ``ending``, if it is still parked; a gate request counts as rejected."""
        account = waiter.account
        if waiter.gate is None:
            return
        if account is not None:
            account.rejected += 1
            self._observe("rejected", waiter)
        self._end(waiter, ending)

    def shut_down(self, gates: Iterable[Gate]) -> None:
        """Answer everybody who is parked at ``gates``; nobody is parked from now on."""
        self.closing = True
        for gate in gates:
            self.close(gate)
            for waiter in [*gate.waiters, *gate.watchers]:
                self.turn_away(waiter)

    # -- the smallest steps -----------------------------------------------------------------------

    def _is_full(self, gate: Gate) -> bool:
        full = self.waiting >= self.max_waiters or len(gate.waiters) >= self.max_waiters_per_scope
        if full:
            self._refusals["too-many-waiters"] += 1
        return full

    def _park(self, waiter: Waiter, gate: Gate, path: str | None, wait: float, *, watching: bool) -> None:
        now = self._loop.time()
        waiter.gate = gate
        waiter.account = None if watching else gate
        waiter.path = path
        waiter.watching = watching
        waiter.parked_at = now
        if watching:
            self.watching += 1
        else:
            self.waiting += 1
        self._deadlines.add(waiter, now + wait)

    def _unpark(self, waiter: Waiter) -> Gate | None:
        gate = waiter.gate
        if gate is None:
            return None
        waiter.gate = None
        self._deadlines.discard(waiter)
        if waiter.watching:
            self.watching -= 1
            gate.watchers.pop(waiter, None)
        else:
            self.waiting -= 1
            gate.waiters.pop(waiter, None)
            if waiter.account is not None:
                waiter.account.waiting -= 1
        return gate

    def _end(self, waiter: Waiter, ending: Ending) -> None:
        gate = self._unpark(waiter)
        if gate is None:
            return
        try:
            waiter.end(ending, gate)
        except Exception:
            logger.exception(_UNANSWERED)

    def _observe(self, outcome: str, waiter: Waiter) -> None:
        self._waits[outcome].observe(self._loop.time() - waiter.parked_at)

    def _wake(self, waiters: Iterable[Waiter], ending: Ending) -> None:
        """Who waits for a gate has `waited`, and goes on; who watches is told."""
        # Ten thousand may be woken at once: as `_end` and `_unpark` do, without calling them.
        now = self._loop.time()
        observe = self._waits["waited"].observe
        discard = self._deadlines.discard
        for waiter in waiters:
            gate = waiter.gate
            if gate is None:
                continue
            waiter.gate = None
            discard(waiter)
            account = waiter.account
            if account is None:
                gate.watchers.pop(waiter, None)
                self.watching -= 1
            else:
                gate.waiters.pop(waiter, None)
                self.waiting -= 1
                account.waiting -= 1
                account.waited += 1
                observe(now - waiter.parked_at)
            try:
                waiter.end(ending, gate)
            except Exception:
                # One broken connection must not keep the others from being woken.
                logger.exception(_UNANSWERED)

    def _run_out(self, waiter: Waiter) -> None:
        gate, account = waiter.gate, waiter.account
        if gate is None:
            return
        if account is not None and not gate.closed:
            # Still parked by the ramp alone: nobody is refused at an open gate.
            self._wake((waiter,), Ending.OPENED)
            return
        if account is not None:
            account.timed_out += 1
            self._observe("timed_out", waiter)
        self._end(waiter, Ending.TIMED_OUT)

    def _ramp(self, gate: Gate, since: float, done: int) -> None:
        per_sec = gate.ramp_per_sec
        if not per_sec:
            self.open(gate)
            return
        due = int((self._loop.time() - since) * per_sec) + 1 - done
        batch = [waiter for waiter, _ in zip(gate.waiters, range(max(due, 0)), strict=False)]
        self._ramps.pop(gate, None)
        self._wake(batch, Ending.OPENED)
        if gate.waiters:
            step = max(_RAMP_STEP_SECS, 1 / per_sec)
            self._ramps[gate] = self._loop.call_later(step, self._ramp, gate, since, done + len(batch))
