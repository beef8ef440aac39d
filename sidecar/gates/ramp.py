"""A resume ramp: after a gate opens, its parked requests pass in order at the policy's rate.

Requests that are parked in clients share the rate (`RateShares`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidecar.supervision import Failures

from .admission import RateShares, TokenBucket
from .gate import Gate, Waiter

_STEP_SECS = 0.02
_MAX_BATCH = 64
_REPORT_DELAY_SECS = 0.5
"""A report that arrives sooner after the opening may be older than the client's waiters."""
_PUBLISH_SECS = 1.0
_REDISTRIBUTE_SECS = 0.25


class Ramp:
    """The ramp of one gate. It ends when no requests are parked, here or in clients, or when it is stopped.

    Args:
        gate: an open gate whose policy has a ramp.
        loop: runs the timer.
        admit: called with the waiters to admit now.
        on_client_rate: called when clients have to receive a new rate.
        failures: counts and logs the exceptions of a step. The ramp continues.
    """

    def __init__(
        self,
        gate: Gate,
        loop: asyncio.AbstractEventLoop,
        admit: Callable[[Gate, list[Waiter]], None],
        on_client_rate: Callable[[Gate], None],
        failures: Failures,
    ) -> None:
        self._gate = gate
        self._loop = loop
        self._admit = admit
        self._client_rate_changed = on_client_rate
        self._failures = failures
        rate = gate.policy.resume_ramp_per_sec
        # A client that reported no waiters may have some now. It counts until it reports again.
        self.shares = RateShares(rate, gate.clients, own=bool(gate.waiters))
        self._began = self._published_at = self._redistributed_at = loop.time()
        self._published_rate = self.shares.client_rate
        self._bucket = TokenBucket(self.shares.own_rate, self._began)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Admit the first waiters."""
        self._gate.ramp = self
        self._step()

    def stop(self) -> None:
        """Stop admitting; parked requests stay parked."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gate.ramp is self:
            self._gate.ramp = None

    def client_reported(self, client: object, *, waiting: bool) -> None:
        """``client`` reported whether it holds waiters."""
        if waiting:
            self.shares.join(client)
            # Update now, so that the client's share and the old own share are not used together.
            self._bucket.set_rate(self.shares.own_rate, self._loop.time())
        elif self._loop.time() - self._began >= _REPORT_DELAY_SECS:
            self.shares.leave(client)

    def client_gone(self, client: object) -> None:
        """``client`` no longer reports: remove its share."""
        self.shares.leave(client)

    def _step(self) -> None:
        self._timer = None
        delay = _STEP_SECS
        try:
            delay = self._advance()
        except Exception:  # noqa: BLE001 - recorded; the ramp continues with its next step
            self._failures.record("ramp")
        if self._gate.ramp is not self:
            return
        if self._gate.closed or not (self._gate.waiters or self.shares.clients):
            self.stop()
        else:
            self._timer = self._loop.call_later(delay, self._step)

    def _advance(self) -> float:
        """Admit waiters as the rate allows; return the seconds until the next step."""
        gate = self._gate
        if gate.closed:
            return _STEP_SECS
        now = self._loop.time()
        shares = self.shares
        rate = gate.policy.resume_ramp_per_sec
        if not rate:
            # The policy no longer has a ramp.
            self._admit(gate, [waiter for waiter, _ in zip(gate.waiters, range(_MAX_BATCH), strict=False)])
            if not gate.waiters:
                self.stop()
            return 0.0
        if rate != shares.rate:
            shares.set_rate(rate)
        shares.set_own_waiters(present=bool(gate.waiters))
        if now - self._redistributed_at >= _REDISTRIBUTE_SECS:
            self._redistributed_at = now
            shares.redistribute()
        self._publish(now)
        self._bucket.set_rate(shares.own_rate, now)
        count = self._bucket.take(min(len(gate.waiters), _MAX_BATCH), now)
        if count:
            self._admit(gate, [waiter for waiter, _ in zip(gate.waiters, range(count), strict=False)])
        if not gate.waiters:
            return _PUBLISH_SECS
        until = self._bucket.secs_until_token(self._loop.time())
        return min(max(until, 0.0 if count == _MAX_BATCH else _STEP_SECS), _PUBLISH_SECS)

    def _publish(self, now: float) -> None:
        """Publish a changed client rate, at most once a second."""
        rate_now = self.shares.client_rate
        if rate_now != self._published_rate and now - self._published_at >= _PUBLISH_SECS:
            self._published_rate, self._published_at = rate_now, now
            self._client_rate_changed(self._gate)
