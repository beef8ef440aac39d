"""Leases the tokens of restrictions, resume ramps and trials from the store that a fleet shares.

A sidecar requests a lease as soon as requests wait, and renews it while requests wait or pass. Afterwards it
gives its share back. While the store is down, each sidecar keeps the share that it had, plus an equal part of
the reserve: the tenth of the rate that is never leased.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sidecar.core.values import Trial
from sidecar.gates.admission import Limiter
from sidecar.gates.admission_control import AdmissionControl
from sidecar.gates.limits import ActiveLimit
from sidecar.gates.priorities import PRIORITIES
from sidecar.gates.tokens import LeasedBucket, LeasedCount, burst_of
from sidecar.store import SharedStore, StoreUnavailable
from sidecar.store.leases import Lease, Need, RateLease, RateNeed, TrialLease, TrialNeed
from sidecar.supervision import Failures, run_supervised

_LEAST_SECS = 0.02
"""Least time between two requests."""

_RENEW_SECS = 0.5
_SOON_SECS = 0.2
"""Seconds until the next request, if other sidecars have to reduce their shares first."""

_AGAIN_SECS = 1.0
_RESERVE = 0.1
"""The part of a rate that is not leased while the store is up."""

_AFTER_TRIAL_SECS = 60.0
_MAX_AT_ONCE = 256
"""Limits in one request. With more, they take turns."""

_NONE_WAITING = (0,) * PRIORITIES


@dataclass(slots=True)
class _Leased:
    """The known state of a lease.

    Attributes:
        due: when to ask again.
        reported: how many used tokens, or successful requests of a trial, the store knows.
    """

    due: float = 0.0
    reported: int = 0


class RateLeases:
    """Keeps the leases of one sidecar.

    Args:
        loop: runs the task.
        admission: has the limits.
        store: the store of the fleet.
        failures: counts what fails.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        admission: AdmissionControl,
        store: SharedStore,
        failures: Failures,
    ) -> None:
        self._loop = loop
        self._admission = admission
        self._store = store
        self._leased: dict[ActiveLimit, _Leased] = {}
        self._demanded = asyncio.Event()
        admission.on_demand = self._demanded.set
        self._task = loop.create_task(run_supervised("rate_leases", self._run, failures))

    def stop(self) -> None:
        """Stop requesting leases. The leases expire."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            if not self._leased:
                await self._demanded.wait()
            self._demanded.clear()
            await self._renew()
            await asyncio.sleep(_LEAST_SECS)
            due = min((one.due for one in self._leased.values()), default=0.0)
            try:
                async with asyncio.timeout(max(0.0, due - self._loop.time())):
                    await self._demanded.wait()
            except TimeoutError:
                continue

    async def _renew(self) -> None:
        """Ask the store for the leases that are due."""
        waiting = self._admission.waiting(_MAX_AT_ONCE)
        limits = self._admission.limits
        for active in [limits[limiter] for limiter in waiting] + self._reported_trials():
            self._leased.setdefault(active, _Leased())
        up = self._store.status.up
        self._set_reserves(used=not up)
        now = self._loop.time()
        due = list(islice((one for one, leased in self._leased.items() if leased.due <= now), _MAX_AT_ONCE))
        leases: list[Lease] | None = None
        if up and due:
            needs = [self._need(one, waiting, now) for one in due]
            try:
                leases = await self._store.lease(needs)
            except StoreUnavailable:
                self._set_reserves(used=not self._store.status.up)
            else:
                self._apply(due, needs, leases)
        if leases is None:
            for one in due:
                self._leased[one].due = now + _AGAIN_SECS

    def _reported_trials(self) -> list[ActiveLimit]:
        """The trials with outcomes that were reported here, and that the store does not know yet."""
        return [
            one
            for one in self._admission.limits.values()
            if isinstance(one.limit, Trial)
            and one.succeeded
            and (one not in self._leased or self._leased[one].reported < one.succeeded)
        ]

    # -- requests ----------------------------------------------------------------------------------

    def _need(self, active: ActiveLimit, waiting: Mapping[Limiter, list[int]], now: float) -> Need:
        numbers = tuple(waiting.get(active.limiter, _NONE_WAITING))
        tokens = active.limiter.tokens
        if isinstance(active.limit, Trial) and isinstance(tokens, LeasedCount):
            return _need_of_trial(active, active.limit, tokens, sum(numbers))
        assert isinstance(tokens, LeasedBucket)  # noqa: S101 - there are no other tokens in a fleet
        used = tokens.taken - self._leased[active].reported
        given_back = 0.0
        if not any(numbers) and (not used or active.limiter not in self._admission.limits):
            tokens.set_share(0.0, now)
            given_back, used = tokens.give_back(now), 0
        return RateNeed(
            active.name,
            tokens.limit,
            burst_of(tokens.limit),
            tokens.share,
            given_back,
            max(0, sum(numbers) - tokens.available(now)),
            used,
            numbers,
        )

    def _set_reserves(self, *, used: bool) -> None:
        """Start or stop using this sidecar's part of the reserve."""
        now = self._loop.time()
        for active in self._leased:
            tokens = active.limiter.tokens
            if isinstance(tokens, LeasedBucket):
                part = _RESERVE / self._store.status.sidecars
                tokens.set_reserve(part * tokens.limit if used else 0.0, now)
        if used:
            self._admission.use_tokens()

    # -- answers -----------------------------------------------------------------------------------

    def _apply(self, limits: list[ActiveLimit], needs: Sequence[Need], leases: Sequence[Lease]) -> None:
        now = self._loop.time()
        for active, need, lease in zip(limits, needs, leases, strict=True):
            leased = self._leased.pop(active)
            tokens = active.limiter.tokens
            if isinstance(lease, TrialLease) and isinstance(need, TrialNeed):
                assert isinstance(tokens, LeasedCount)  # noqa: S101 - as its need
                tokens.grant(lease.tokens)
                leased.reported = need.succeeded
                leased.due = now + _SOON_SECS
                keep = bool(need.wanted or need.succeeded < active.succeeded)
                self._admission.check_trial(active, lease.succeeded)
            elif isinstance(lease, RateLease) and isinstance(need, RateNeed):
                assert isinstance(tokens, LeasedBucket)  # noqa: S101 - as its need
                leased.reported += need.used
                leased.due = now + _take(tokens, need, lease, now)
                keep = bool(tokens.share or need.used or any(need.waiting))
            if keep and active.limiter in self._admission.limits:
                # Move it to the end, so that the other limits are next.
                self._leased[active] = leased
        self._admission.use_tokens()


def _need_of_trial(active: ActiveLimit, trial: Trial, tokens: LeasedCount, waiting: int) -> TrialNeed:
    tokens.give_back(max(0, tokens.left - waiting))
    keep_secs = trial.until - trial.since + _AFTER_TRIAL_SECS
    wanted = waiting - tokens.left
    return TrialNeed(active.name, trial.requests, tokens.granted, wanted, active.succeeded, keep_secs)


def _take(tokens: LeasedBucket, need: RateNeed, lease: RateLease, now: float) -> float:
    """Use ``lease``. Returns the seconds until it must be renewed."""
    if not (need.used or any(need.waiting)):
        # The share was given back.
        return 0.0
    tokens.set_share(lease.share, now)
    tokens.grant(lease.tokens)
    if lease.share < need.held:
        # Other sidecars may use the difference as soon as the store knows that this one does not.
        return _LEAST_SECS
    return _SOON_SECS if lease.share < lease.entitled * 0.99 else _RENEW_SECS
