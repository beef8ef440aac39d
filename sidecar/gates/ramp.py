"""A resume ramp: the requests parked at a gate that has opened pass at the policy's rate, in order.

Requests that are parked in clients share the rate (`RateShares`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidecar.supervision import Failures

from .admission import RateShares, TokenBucket
from .gate import Gate, Waiter

_STEP_SECS = 0.02
_MOST_AT_ONCE = 64
_CERTAIN_SECS = 0.5
"""A report that comes sooner after the opening may not know yet what the client holds."""
_OFFER_SECS = 1.0
_REGROW_SECS = 0.25


class Ramp:
    """One gate's ramp. It ends when nothing is parked under it, here or in clients, or when it is stopped.

    Args:
        gate: has opened; its policy has a ramp.
        loop: runs the timer.
        admit: called with the waiters that pass now.
        offer_changed: called when clients have to be told another share.
        failures: counts and logs what a step raises; the ramp goes on.
    """

    def __init__(
        self,
        gate: Gate,
        loop: asyncio.AbstractEventLoop,
        admit: Callable[[Gate, list[Waiter]], None],
        offer_changed: Callable[[Gate], None],
        failures: Failures,
    ) -> None:
        self._gate = gate
        self._loop = loop
        self._admit = admit
        self._offer_changed = offer_changed
        self._failures = failures
        rate = gate.policy.resume_ramp_per_sec
        # A client that reported no waiter may hold some since: it counts until it reports again.
        self.shares = RateShares(rate, gate.clients, own=bool(gate.waiters))
        self._began = self._told_at = self._regrown_at = loop.time()
        self._told = self.shares.offer
        self._bucket = TokenBucket(self.shares.own_rate, self._began)
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Admit the first waiters."""
        self._gate.ramp = self
        self._step()

    def stop(self) -> None:
        """Admit no more; what is parked stays parked."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gate.ramp is self:
            self._gate.ramp = None

    def client_reported(self, client: object, *, waiting: bool) -> None:
        """``client`` has said whether it holds waiters."""
        if waiting:
            self.shares.join(client)
            # At once, before the client's share and the old own one are used together.
            self._bucket.set_rate(self.shares.own_rate, self._loop.time())
        elif self._loop.time() - self._began >= _CERTAIN_SECS:
            self.shares.leave(client)

    def client_gone(self, client: object) -> None:
        """``client`` does not report any more."""
        self.shares.leave(client)

    def _step(self) -> None:
        self._timer = None
        delay = _STEP_SECS
        try:
            delay = self._advance()
        except Exception:  # noqa: BLE001 - recorded; the ramp goes on with its next step
            self._failures.record("ramp")
        if self._gate.ramp is not self:
            return
        if self._gate.closed or not (self._gate.waiters or self.shares.clients):
            self.stop()
        else:
            self._timer = self._loop.call_later(delay, self._step)

    def _advance(self) -> float:
        """Admit the waiters whose turn has come; seconds until the next step."""
        gate = self._gate
        if gate.closed:
            return _STEP_SECS
        now = self._loop.time()
        shares = self.shares
        rate = gate.policy.resume_ramp_per_sec
        if not rate:
            # The policy has no ramp any more.
            self._admit(gate, [waiter for waiter, _ in zip(gate.waiters, range(_MOST_AT_ONCE), strict=False)])
            if not gate.waiters:
                self.stop()
            return 0.0
        if rate != shares.rate:
            shares.set_rate(rate)
        shares.own_waiters(some=bool(gate.waiters))
        if now - self._regrown_at >= _REGROW_SECS:
            self._regrown_at = now
            shares.regrow()
        self._tell(now)
        self._bucket.set_rate(shares.own_rate, now)
        count = self._bucket.take(min(len(gate.waiters), _MOST_AT_ONCE), now)
        if count:
            self._admit(gate, [waiter for waiter, _ in zip(gate.waiters, range(count), strict=False)])
        if not gate.waiters:
            return _OFFER_SECS
        until = self._bucket.secs_until_token(self._loop.time())
        return min(max(until, 0.0 if count == _MOST_AT_ONCE else _STEP_SECS), _OFFER_SECS)

    def _tell(self, now: float) -> None:
        """Have clients told of another offer, at most once a second."""
        offer = self.shares.offer
        if offer != self._told and now - self._told_at >= _OFFER_SECS:
            self._told, self._told_at = offer, now
            self._offer_changed(self._gate)
