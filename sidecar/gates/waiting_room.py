"""Parked requests: parks, wakes, times out and rejects them, and counts each exactly once.

The conservation law holds after every call: for each gate that counts,
blocked = waited + timed_out + abandoned + rejected + waiting.

An operation that may affect ten thousand requests is an iterator of small steps. The caller decides how many
steps to run before the loop does other work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from itertools import islice

from sidecar.core.scope import lies_within
from sidecar.supervision import supervised_steps

from .admission_control import AdmissionControl
from .counters import Counters
from .gate import Ending, ScopeGate, Waiter
from .path_index import PathIndex
from .priorities import DEFAULT_PRIORITY
from .wait_timeouts import WaitTimeouts

logger = logging.getLogger(__name__)

_UNANSWERED = "a waiter could not be answered"
_BATCH_SIZE = 16
_RECHECK_SECS = 0.05


class WaitingRoom:
    """All parked gate requests and watches.

    Args:
        loop: runs everything here.
        counters: the counters of the process.

    Attributes:
        max_waiters: gate requests that may be parked at once.
        max_waiters_per_scope: gate requests that may be parked at one gate.
        max_watchers: watches that may be parked at once.
        waiting: gate requests that are parked now.
        watching: watches that are parked now.
        closing: the sidecar shuts down, and no more requests are parked.
        admission: admits parked requests while the rate is limited.
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
        self._failures = counters.task_failures
        self._timeouts = WaitTimeouts(loop, self._time_out, counters.task_failures)
        self._unnamed = PathIndex()
        self._by_priority = counters.by_priority
        self.admission = AdmissionControl(loop, self._admit_one, counters.task_failures)

    @property
    def reassigning(self) -> bool:
        """Whether the structure of the tree has changed, and requests are still parked at their old gate."""
        return self.admission.suspended

    @reassigning.setter
    def reassigning(self, value: bool) -> None:
        self.admission.suspended = value

    @property
    def has_parked(self) -> bool:
        """Whether a request or a watch is parked."""
        return bool(self.waiting or self.watching)

    # -- arriving and leaving ---------------------------------------------------------------------

    def request(
        self, waiter: Waiter, gate: ScopeGate, path: str | None, wait: float, priority: int = DEFAULT_PRIORITY
    ) -> Ending | None:
        """Park a gate request at a gate that blocks, unless the gate is restricted and has a token.

        The gate has already counted the request.

        Args:
            waiter: gets the response when the wait ends.
            gate: the nearest known gate.
            path: the requested scope if it is unknown; None: it is the gate's scope.
            wait: seconds to wait at most.
            priority: 0 to 9.

        Returns:
            None: it is parked, and `Waiter.end` will be called. Otherwise how it ended at once.
        """
        if gate.following is not None and not gate.blocks:
            # The gate does not block: `may_block` was true only because of the update in progress.
            return Ending.OPENED
        if not gate.closed and not self.closing and self.admission.pass_now(gate, priority):
            return Ending.OPENED
        gate.blocked += 1
        # A request that does not wait takes no place.
        if self.closing or (wait > 0 and self._is_full(gate)):
            gate.rejected += 1
            self._waits["rejected"].observe(0.0)
            self._by_priority[priority]["rejected"] += 1
            return Ending.SHUTTING_DOWN if self.closing else Ending.TOO_MANY_WAITERS
        if wait <= 0:
            gate.timed_out += 1
            self._waits["timed_out"].observe(0.0)
            self._by_priority[priority]["timed_out"] += 1
            return Ending.TIMED_OUT
        gate.waiting += 1
        gate.waiters[waiter] = None
        waiter.priority = priority
        self._park(waiter, gate, path, wait, watching=False)
        if not gate.closed:
            self.admission.queue(waiter, gate)
        return None

    def watch(self, waiter: Waiter, gate: ScopeGate, path: str | None, wait: float) -> Ending | None:
        """Park a watch whose client has the current snapshot. Arguments and result as for `request`."""
        if self.closing:
            return Ending.SHUTTING_DOWN
        if wait <= 0:
            return Ending.TIMED_OUT
        if self.watching >= self.max_watchers:
            self._refusals["too-many-watchers"] += 1
            return Ending.TOO_MANY_WATCHERS
        gate.watchers[waiter] = None
        waiter.seen = gate.version
        self._park(waiter, gate, path, wait, watching=True)
        return None

    def abandon(self, waiter: Waiter) -> None:
        """The client of ``waiter`` has disconnected."""
        account = waiter.account
        if self._unpark(waiter) is not None and account is not None:
            account.abandoned += 1
            self._observe("abandoned", waiter)

    # -- waking -----------------------------------------------------------------------------------

    def release(self, gate: ScopeGate) -> Iterator[None]:
        """``gate`` has opened, or its limits have changed: admit its waiters, as fast as the limits allow.

        Each step handles a few waiters.
        """
        if gate.closed:
            return
        if gate.blocks:
            yield from self.admission.queue_all(gate)
        elif gate.policy.resume_ramp_per_sec:
            if gate.waiters or gate.clients:
                self.admission.begin_ramp(gate)
                yield from self.admission.queue_all(gate)
        else:
            self.admission.end_ramp(gate)
            yield from self._wake(gate, gate.waiters, list(gate.waiters), Ending.OPENED)

    def hold_back(self, gate: ScopeGate) -> Iterator[None]:
        """``gate`` has closed: stop its ramp. The remaining waiters stay parked. Each step handles a few."""
        self.admission.end_ramp(gate)
        yield from self.admission.unqueue_all(gate)

    def notify_watchers(self, gate: ScopeGate) -> Iterator[None]:
        """The snapshot of ``gate`` has changed: respond to its watchers. Each step handles a few watchers."""
        version = gate.version
        outdated = [waiter for waiter in gate.watchers if waiter.seen != version]
        yield from self._wake(gate, gate.watchers, outdated, Ending.CHANGED)

    def _admit_one(self, gate: ScopeGate, waiter: Waiter) -> None:
        """Admit one waiter as `_admit` does: restricted gates admit one request at a time."""
        if waiter in gate.waiters and not (self.reassigning and _may_move(waiter, gate)):
            self._unpark_woken(gate, gate.waiters, [waiter])
            self._end_woken(waiter, Ending.OPENED, gate)

    def _admit(self, gate: ScopeGate, waiters: list[Waiter]) -> None:
        if self.reassigning:
            waiters = [waiter for waiter in waiters if not _may_move(waiter, gate)]
        for _ in self._wake(gate, gate.waiters, waiters, Ending.OPENED):
            pass

    # -- moving -----------------------------------------------------------------------------------

    def move_in(self, gate: ScopeGate) -> Iterator[None]:
        """The scope of ``gate`` has become known: move the requests for it and below it to ``gate``."""
        for waiter in self._unnamed.at(gate.scope):
            # Between two steps the waiter's connection may have begun another wait.
            if _obeys(waiter, gate):
                self._move(waiter, gate, None if waiter.path == gate.scope else waiter.path)
            yield

    def move_out(self, gate: ScopeGate, home: ScopeGate) -> Iterator[None]:
        """The scope of ``gate`` is forgotten: move its parked requests to ``home``."""
        self.admission.end_ramp(gate)
        for waiter in [*gate.waiters, *gate.watchers]:
            if waiter.gate is gate:
                self._move(waiter, home, waiter.path or gate.scope)
            yield

    def supervised(self, steps: Iterator[None]) -> Iterator[None]:
        """Run ``steps`` of one gate. If one raises an exception, the other gates are not affected."""
        return supervised_steps("waiting_room", steps, self._failures)

    def _move(self, waiter: Waiter, gate: ScopeGate, path: str | None) -> None:
        """Park ``waiter`` at ``gate`` from now on. The gate that first counted it still counts it."""
        old = waiter.gate
        if old is None:
            return
        if self.closing:
            # The shutdown did not find the waiter, because its gate had already left the tree.
            self.reject(waiter)
            return
        self._unnamed.remove(waiter, old.scope)
        if waiter.limiter is not None:
            waiter.limiter.remove(waiter)
        if waiter.watching:
            old.watchers.pop(waiter, None)
            gate.watchers[waiter] = None
        else:
            old.waiters.pop(waiter, None)
            gate.waiters[waiter] = None
        waiter.gate = gate
        waiter.path = path
        self._unnamed.add(waiter, gate.scope)

    def reject(self, waiter: Waiter, ending: Ending = Ending.SHUTTING_DOWN) -> None:
        """End ``waiter`` with ``ending`` if it is still parked. A gate request counts as rejected."""
        account = waiter.account
        if waiter.gate is None:
            return
        if account is not None:
            account.rejected += 1
            self._observe("rejected", waiter)
        self._end(waiter, ending)

    def shut_down(self, gates: Iterable[ScopeGate]) -> None:
        """Reject all requests parked at ``gates``, and park no more."""
        self.closing = True
        self.admission.stop()
        for gate in gates:
            for waiter in [*gate.waiters, *gate.watchers]:
                self.reject(waiter)

    # -- the smallest steps -----------------------------------------------------------------------

    def _is_full(self, gate: ScopeGate) -> bool:
        full = self.waiting >= self.max_waiters or len(gate.waiters) >= self.max_waiters_per_scope
        if full:
            self._refusals["too-many-waiters"] += 1
        return full

    def _park(
        self, waiter: Waiter, gate: ScopeGate, path: str | None, wait: float, *, watching: bool
    ) -> None:
        now = self._loop.time()
        waiter.gate = gate
        waiter.account = None if watching else gate
        waiter.path = path
        waiter.watching = watching
        waiter.limiter = None
        waiter.parked_at = now
        if watching:
            self.watching += 1
        else:
            self.waiting += 1
        self._timeouts.add(waiter, now + wait)
        if path is not None:
            self._unnamed.add(waiter, gate.scope)

    def _unpark(self, waiter: Waiter) -> ScopeGate | None:
        gate = waiter.gate
        if gate is None:
            return None
        waiter.gate = None
        if waiter.limiter is not None:
            waiter.limiter.remove(waiter)
        self._timeouts.discard(waiter)
        if waiter.path is not None:
            self._unnamed.remove(waiter, gate.scope)
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
        self._by_priority[waiter.priority][outcome] += 1

    def _wake(
        self, gate: ScopeGate, parked: dict[Waiter, None], waiters: Iterable[Waiter], ending: Ending
    ) -> Iterator[None]:
        """Respond to ``waiters`` of ``gate``, a few per step. Gate requests count as waited.

        Args:
            gate: the gate where they are parked.
            parked: the gate's waiters or its watchers.
            waiters: the waiters to wake.
            ending: how their wait ends.
        """
        left = iter(waiters)
        while batch := list(islice(left, _BATCH_SIZE)):
            # Between two steps the wait may have ended, and the connection may have begun another wait.
            batch = [waiter for waiter in batch if waiter in parked]
            self._unpark_woken(gate, parked, batch)
            for waiter in batch:
                try:
                    waiter.end(ending, gate)
                except Exception:
                    # One broken connection must not keep the others from being woken.
                    logger.exception(_UNANSWERED)
            yield

    @staticmethod
    def _end_woken(waiter: Waiter, ending: Ending, gate: ScopeGate) -> None:
        try:
            waiter.end(ending, gate)
        except Exception:
            logger.exception(_UNANSWERED)

    def _unpark_woken(self, gate: ScopeGate, parked: dict[Waiter, None], waiters: list[Waiter]) -> None:
        """Unpark ``waiters`` of ``gate``. Gate requests count as waited.

        Does what `_unpark` and `_observe` do without calling them: ten thousand may be woken together.
        """
        now = self._loop.time()
        waits = []
        for waiter in waiters:
            del parked[waiter]
            waiter.gate = None
            if waiter.limiter is not None:
                waiter.limiter.remove(waiter)
            if waiter.path is not None:
                self._unnamed.remove(waiter, gate.scope)
            account = waiter.account
            if account is not None:
                account.waiting -= 1
                account.waited += 1
                waits.append(now - waiter.parked_at)
                self._by_priority[waiter.priority]["waited"] += 1
        self.waiting -= len(waits)
        self.watching -= len(waiters) - len(waits)
        self._waits["waited"].observe_all(waits)
        self._timeouts.discard_all(waiters)

    def _time_out(self, waiter: Waiter) -> None:
        gate, account = waiter.gate, waiter.account
        if gate is None:
            return
        if self.reassigning and _may_move(waiter, gate):
            # The waiter will move to another gate, which decides how the wait ends.
            self._timeouts.add(waiter, self._loop.time() + _RECHECK_SECS)
            return
        if account is not None and not gate.blocks:
            # The request waits for a ramp, or for a wake-up that has begun. An open gate refuses no request.
            self._admit(gate, [waiter])
            return
        if account is not None:
            account.timed_out += 1
            self._observe("timed_out", waiter)
        elif waiter.seen != gate.version:
            # The client will get the change at once. A response that calls the old snapshot current would
            # hide the change forever.
            self._end(waiter, Ending.CHANGED)
            return
        self._end(waiter, Ending.TIMED_OUT)


def _may_move(waiter: Waiter, gate: ScopeGate) -> bool:
    """Whether ``waiter``, parked at ``gate``, may belong to another gate after the change of the tree."""
    return waiter.path is not None or gate.node is None or gate.node.gate is not gate


def _obeys(waiter: Waiter, gate: ScopeGate) -> bool:
    """Whether ``waiter`` is parked above ``gate``, for a path that now belongs to ``gate``."""
    home, path = waiter.gate, waiter.path
    if home is None or path is None:
        return False
    return lies_within(path, gate.scope) and not lies_within(home.scope, gate.scope)
