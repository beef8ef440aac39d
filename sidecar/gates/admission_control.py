"""Admits requests at gates that are restricted, on trial, or have a resume ramp, as `admission` decides.

One timer serves all gates. A step admits at most `_MAX_BATCH` requests of one chain of limits, so it holds
the event loop for a short time only. A client is answered once it has gathered tokens for `_GATHER_SECS`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from itertools import count, islice

from sidecar.core.values import Restriction, Trial
from sidecar.supervision import Failures

from .admission import Demand, Limiter, QueuedWaiter, admit
from .gate import ScopeGate, Waiter
from .limits import ActiveLimit, Limits, trial_of
from .priorities import DEFAULT_PRIORITY, PRIORITIES
from .tokens import TokenBucket

_STEP_SECS = 0.002
"""The time between two steps. A step that admits few requests holds the event loop for a short time."""
_GATHER_SECS = 0.01
"""A client that got tokens, and has more requests waiting, is answered after this delay. One step may have
too few tokens for its share, and after each answer the client is absent for a while."""
_STEP_SECS_PER_LIMITER = 0.0001
"""With many limiters the time between two steps is longer, so that they take little of the event loop."""
_MAX_STEP_SECS = 0.02
_LONGEST_STEP_SECS = 1.0
_MAX_BATCH = 32
_SMALL_BATCH = 8
_FEW_LIMITERS = 16
"""With at most this many limiters, a step admits at most `_SMALL_BATCH` requests, and the next step follows
at once. Requests at other gates are answered in between."""
_MAX_LIMITERS = 256
"""Limiters that one step checks. If there are more, they take turns."""
_RAMP_IDLE_SECS = 5.0
"""A ramp ends if no client with waiters has sent a demand for this long: then every client knows that the
gate is open."""
_STEP_WAITERS = 8
_COUNT_SECS = 0.5
"""Seconds between two counts of the requests that need a token of each limiter."""
_TASK = "admission"


class ClientDemand(Demand):
    """The demand of a client that waits for an answer.

    Args:
        client: the client's id.
        waiting: how many requests wait, by priority.
        gate: the gate of the client's scope.
        answered: called once, when tokens were granted or the limits have changed.

    Attributes:
        gate: from the arguments.
        trial: the id of the trial that its requests pass in; empty: none.
        share: how many requests per second the client can expect.
    """

    __slots__ = ("_answered", "gate", "share", "trial")

    def __init__(
        self, client: str, waiting: list[int], gate: ScopeGate, answered: Callable[[], object]
    ) -> None:
        super().__init__((client, gate.scope), waiting)
        self.gate = gate
        self.trial = ""
        self.share = 0.0
        self._answered = answered

    def answer(self) -> None:
        """Answer with the tokens granted so far."""
        if self.limiter is not None:
            self.limiter.withdraw(self)
        self._answered()


class AdmissionControl:
    """The limits of all gates.

    Args:
        loop: runs the timer.
        admit_waiter: called with a waiter to admit.
        failures: counts and logs the exceptions of a step. The steps continue.

    Attributes:
        suspended: no request is admitted, because parked requests are moving between gates.
        shared: whether the limits are shared with other sidecars: their tokens are leased.
        limits: all limits that are in force, by their limiter.
        on_demand: called when a request begins to wait at a limit, or an outcome of a trial was reported.
        on_change: called with a gate whose ramp has begun, changed its rate or ended.
        on_trial_end: called with a gate, its trial, and why the trial failed (empty: it succeeded).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        admit_waiter: Callable[[ScopeGate, Waiter], None],
        failures: Failures,
    ) -> None:
        self._loop = loop
        self._admit_waiter = admit_waiter
        self._failures = failures
        self._active: dict[Limiter, None] = {}
        self._ramps: dict[ScopeGate, ActiveLimit] = {}
        self._queue_ids = count(1)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        # Clients that got tokens, and the times of their responses.
        self._granted: dict[ClientDemand, float] = {}
        self._counted: list[Limiter] = []
        self._counted_at = -math.inf
        self.suspended = False
        self.shared = False
        self.limits: dict[Limiter, ActiveLimit] = {}
        self.on_demand: Callable[[], None] = lambda: None
        self.on_change: Callable[[ScopeGate], None] = lambda _: None
        self.on_trial_end: Callable[[ScopeGate, Trial, str], None] = lambda *_: None

    # -- limits -----------------------------------------------------------------------------------

    def set_limits(self, gate: ScopeGate, limits: Limits) -> None:
        """Create and remove the limiters of the scope of ``gate``. Then call `link` for all changed gates."""
        own = {type(one.limit): one.limit for one in limits if one.gate is gate}
        now = self._loop.time()
        for kind in (Trial, Restriction):
            limit, active = own.get(kind), gate.limiters.get(kind)
            if active is not None and not _continues(active.limit, limit):
                del gate.limiters[kind]
                self._end(active)
                active = None
            if limit is None:
                continue
            rate = limit.rate if isinstance(limit, Restriction) else 0.0
            if active is None:
                gate.limiters[kind] = self._begin(gate, limit, rate)
            else:
                active.limit = limit
                if isinstance(active.limiter.tokens, TokenBucket):
                    active.limiter.tokens.set_limit(rate, now)

    def link(self, gate: ScopeGate, limits: Limits) -> None:
        """Set the chain of limiters of ``gate``. Its waiters have to be queued again by `queue_all`."""
        if limits:
            self.end_ramp(gate)
        chain = [one.gate.limiters[type(one.limit)].limiter for one in limits]
        for index, limiter in enumerate(chain):
            limiter.parent = chain[index + 1] if index + 1 < len(chain) else None
        before = gate.limiting
        gate.limiting = chain[0] if chain else None if limits else self._ramp_limiter(gate)
        if before is not None and (gate.closed or before is not gate.limiting):
            # A closed gate grants nothing: its clients ask again.
            for demand in list(before.demands):
                if isinstance(demand, ClientDemand) and demand.gate is gate:
                    demand.answer()

    def begin_ramp(self, gate: ScopeGate) -> None:
        """``gate`` is open: its parked requests pass at its policy's rate."""
        if gate not in self._ramps:
            ramp = self._begin(gate, None, gate.policy.resume_ramp_per_sec)
            if not gate.clients:
                # No client has to learn that the gate is open.
                ramp.used_at -= _RAMP_IDLE_SECS
            self._ramps[gate] = ramp
            gate.limiting = ramp.limiter
            self.on_change(gate)
        self._activate(self._ramps[gate].limiter)

    def end_ramp(self, gate: ScopeGate) -> None:
        """Stop the ramp of ``gate``, if it has one; parked requests stay parked."""
        ramp = self._ramps.pop(gate, None)
        if ramp is not None:
            if gate.limiting is ramp.limiter:
                gate.limiting = None
            self._end(ramp)
            self.on_change(gate)

    def ramp_rate(self, gate: ScopeGate) -> float | None:
        """Requests per second of the ramp of ``gate``; None: none is active."""
        ramp = self._ramps.get(gate)
        return None if ramp is None else ramp.limiter.tokens.limit

    def _ramp_limiter(self, gate: ScopeGate) -> Limiter | None:
        ramp = self._ramps.get(gate)
        return None if ramp is None else ramp.limiter

    def _begin(self, gate: ScopeGate, limit: Restriction | Trial | None, rate: float) -> ActiveLimit:
        active = ActiveLimit(gate, limit, rate, self._loop.time(), shared=self.shared)
        self.limits[active.limiter] = active
        return active

    def _end(self, active: ActiveLimit) -> None:
        self._dismiss(active.limiter)
        self.limits.pop(active.limiter, None)
        self.on_demand()

    def _dismiss(self, limiter: Limiter) -> None:
        """Stop using ``limiter``. Its clients have to ask again."""
        self._active.pop(limiter, None)
        for demand in list(limiter.demands):
            if isinstance(demand, ClientDemand):
                demand.answer()

    # -- the sidecar's own waiters ----------------------------------------------------------------

    def pass_now(self, gate: ScopeGate, priority: int = DEFAULT_PRIORITY) -> bool:
        """Whether a request that arrives at a restricted gate passes at once."""
        limiter = gate.limiting
        return limiter is None or (not self.suspended and limiter.pass_now(priority, self._loop.time()))

    def queue(self, waiter: Waiter, gate: ScopeGate) -> None:
        """Queue ``waiter``, which is parked at ``gate``."""
        limiter = gate.limiting
        if waiter.limiter is not None and waiter.limiter is not limiter:
            waiter.limiter.remove(waiter)
        if limiter is not None and waiter.limiter is None:
            limiter.queue(waiter, next(self._queue_ids))
            self._activate(limiter)

    def queue_all(self, gate: ScopeGate) -> Iterator[None]:
        """Queue the waiters of ``gate``, a few in each step."""
        for number, waiter in enumerate(list(gate.waiters)):
            if waiter.gate is gate and not waiter.watching and not gate.closed:
                self.queue(waiter, gate)
            if number % _STEP_WAITERS == 0:
                yield

    def unqueue_all(self, gate: ScopeGate) -> Iterator[None]:
        """``gate`` has closed: remove its waiters from the queues, a few in each step."""
        for number, waiter in enumerate(list(gate.waiters)):
            if waiter.limiter is not None and gate.closed:
                waiter.limiter.remove(waiter)
            if number % _STEP_WAITERS == 0:
                yield

    # -- clients ----------------------------------------------------------------------------------

    def demand(self, demand: ClientDemand) -> bool:
        """Register the demand of a client. Returns whether the client has to wait for the answer."""
        gate = demand.gate
        if gate.closed:
            return False
        if not gate.blocks and gate.limiting is None:
            if not gate.policy.resume_ramp_per_sec:
                demand.granted = demand.total
                return False
            self.begin_ramp(gate)
        limiter = gate.limiting
        if limiter is None:
            demand.granted = demand.total
            return False
        demand.trial = trial_of(gate.limits)
        if (ramp := self._ramps.get(gate)) is not None:
            ramp.used_at = self._loop.time()
        limiter.register(demand, self._loop.time())
        self._activate(limiter, at_once=True)
        return True

    def withdraw(self, demand: ClientDemand) -> None:
        """Remove a demand: its client has disconnected, or no longer waits."""
        if demand.limiter is not None:
            demand.limiter.withdraw(demand)

    def report_outcomes(self, gate: ScopeGate, trial: str, succeeded: int, failed: int) -> None:
        """A client reported the outcomes of requests that passed in the trial with the id ``trial``."""
        if not trial or trial != trial_of(gate.limits):
            return
        for one in gate.limits:
            if isinstance(one.limit, Trial):
                active = one.gate.limiters[Trial]
                active.succeeded += succeeded
                self.on_demand()
                if failed:
                    many = "a request" if failed == 1 else f"{failed} requests"
                    self.on_trial_end(one.gate, one.limit, f"{many} of the trial failed")
                else:
                    self.check_trial(active, active.succeeded)

    def check_trial(self, active: ActiveLimit, succeeded: int) -> None:
        """End a trial that is in force if all requests that it admits have ``succeeded``."""
        trial = active.limit
        if isinstance(trial, Trial) and active.limiter in self.limits and succeeded >= trial.requests:
            self.on_trial_end(active.gate, trial, "")

    # -- tokens that are shared ---------------------------------------------------------------------

    def waiting(self, most: int) -> dict[Limiter, list[int]]:
        """How many requests need a token of each limiter, by priority. Reads ``most`` active limiters."""
        found: dict[Limiter, list[int]] = {}
        for limiter in islice(self._active, most):
            if limiter.is_idle:
                continue
            here = limiter.waiting
            for one in limiter.chain:
                before = found.get(one)
                found[one] = here if before is None else [x + y for x, y in zip(before, here, strict=True)]
        return found

    def use_tokens(self) -> None:
        """Admit requests with the tokens that were just granted."""
        self._schedule(self._loop.time())

    # -- steps ------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop the timer, and answer all demands."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for limiter in list(self._active):
            self._dismiss(limiter)

    def _activate(self, limiter: Limiter, *, at_once: bool = False) -> None:
        self._active[limiter] = None
        now = self._loop.time()
        self.on_demand()
        self._schedule(now if at_once else now + _STEP_SECS)

    def _schedule(self, due: float) -> None:
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._step)

    def _step(self) -> None:
        self._timer = None
        delay = _STEP_SECS
        try:
            if not self.suspended:
                delay = self._advance()
        except Exception:  # noqa: BLE001 - recorded; the next step goes on
            self._failures.record(_TASK)
        if self._active or self._ramps:
            self._schedule(self._loop.time() + delay)

    def _advance(self) -> float:
        """Admit as many requests as the tokens allow. Returns the seconds until the next step."""
        now = self._loop.time()
        families: dict[Limiter, list[Limiter]] = {}
        looked_at = min(len(self._active), _MAX_LIMITERS)
        for limiter in list(islice(self._active, _MAX_LIMITERS)):
            del self._active[limiter]
            if not limiter.is_idle:
                self._active[limiter] = None
                limiter.note_waiting(now)
                families.setdefault(limiter.root, []).append(limiter)
        if now - self._counted_at >= _COUNT_SECS or not self._active:
            self._count_ahead(now)
        least = min(max(_STEP_SECS, looked_at * _STEP_SECS_PER_LIMITER), _MAX_STEP_SECS)
        most = _SMALL_BATCH if looked_at <= _FEW_LIMITERS else _MAX_BATCH
        delay = _LONGEST_STEP_SECS
        for limiters in families.values():
            admitted = admit(limiters, now, most)
            self._pass(admitted, now)
            if len(admitted) == most:
                delay = 0.0
            busy = [limiter for limiter in limiters if not limiter.is_idle]
            delay = min(delay, max(least, _secs_until_token(busy, now)) if delay else 0.0)
        if len(self._active) > _MAX_LIMITERS:
            delay = 0.0
        if self._granted:
            self._answer_granted(families, now)
            delay = min([delay, *(max(least, due - now) for due in self._granted.values())])
        for gate, ramp in list(self._ramps.items()):
            self._check_ramp(gate, ramp, now)
        return delay

    def _count_ahead(self, now: float) -> None:
        """Set how many requests need the tokens of each limiter."""
        counts = self.waiting(_MAX_LIMITERS)
        for limiter in self._counted:
            if limiter not in counts:
                limiter.ahead = [0] * PRIORITIES
        for limiter, ahead in counts.items():
            limiter.ahead = ahead
        self._counted = list(counts)
        self._counted_at = now

    def _pass(self, admitted: list[QueuedWaiter | Demand], now: float) -> None:
        for one in admitted:
            if isinstance(one, ClientDemand):
                self._granted.setdefault(one, now + _GATHER_SECS)
            elif isinstance(one, Waiter) and one.gate is not None and not one.gate.closed:
                self._admit_waiter(one.gate, one)

    def _answer_granted(self, families: Mapping[Limiter, list[Limiter]], now: float) -> None:
        """Answer the clients that need no more tokens, or have gathered them for long enough.

        Args:
            families: the limiters of this step, by the limiter nearest to the root.
            now: the time in seconds.
        """
        waiting: dict[Limiter, int] = {}
        for demand, due in list(self._granted.items()):
            limiter = demand.limiter
            if limiter is None:
                # The demand was answered, or its client has gone.
                del self._granted[demand]
            elif due <= now or not demand.total:
                del self._granted[demand]
                root = limiter.root
                if root not in waiting:
                    waiting[root] = sum(sum(one.waiting) for one in families.get(root, (limiter,)))
                rate = min((one.tokens.rate for one in limiter.chain if one.tokens.rate), default=0.0)
                own = demand.total + demand.granted
                for one in limiter.chain:
                    # Refill the bucket before the held tokens are used, because their use makes room in it.
                    one.tokens.available(now)
                demand.share = rate * own / (waiting[root] + demand.granted)
                demand.answer()

    def _check_ramp(self, gate: ScopeGate, ramp: ActiveLimit, now: float) -> None:
        """Set the policy's rate, and end the ramp when it is no longer needed."""
        rate = gate.policy.resume_ramp_per_sec
        tokens = ramp.limiter.tokens
        if rate and isinstance(tokens, TokenBucket) and rate != tokens.limit:
            tokens.set_limit(rate, now)
            self.on_change(gate)
        if not rate:
            for waiter in list(islice(gate.waiters, _MAX_BATCH)):
                self._admit_waiter(gate, waiter)
        if gate.waiters or (rate and ramp.limiter.demands):
            self._activate(ramp.limiter)
        elif not rate or now - ramp.used_at >= _RAMP_IDLE_SECS:
            self.end_ramp(gate)


def _continues(before: Restriction | Trial | None, after: Restriction | Trial | None) -> bool:
    """Whether the limiter of ``before`` is kept for ``after``."""
    if isinstance(before, Trial) and isinstance(after, Trial):
        return before.since == after.since
    return isinstance(before, Restriction) and isinstance(after, Restriction)


def _secs_until_token(limiters: list[Limiter], now: float) -> float:
    """Seconds until one of ``limiters`` has a token in its whole chain."""
    return min(
        (max(one.tokens.secs_until_token(now) for one in limiter.chain) for limiter in limiters),
        default=_LONGEST_STEP_SECS,
    )
