"""The rate of a restriction, a ramp or a trial applies to the scope, for any number of sidecars."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.fleet import Requests, controllers
from harness.in_loop import until
from harness.redis_server import RedisServer
from sidecar.core.commands import ClaimState
from sidecar.core.policy import Policy, TrialPolicy
from sidecar.core.scope import ROOT
from sidecar.core.state import WellbeingState
from sidecar.gates.limits import trial_of
from sidecar.store.leases import RateNeed
from sidecar.store.redis import RedisSettings
from sidecar.store.redis.connection import RedisConnection
from sidecar.store.redis.keys import RedisKeys
from sidecar.store.redis.rates import LEASE_SECS, RedisRates

RATE = 40.0
BURST = RATE * 0.5 + 3
"""What a busy machine may keep back for half a second passes at once. Twice the rate for two seconds is 80."""
TRIAL = Policy(pause_on_distressed=True, resume_trial=TrialPolicy(5, 60.0))
RESTRICTED = Policy(restrict=((WellbeingState.CONCERNED, RATE),))


async def restrict(running: list) -> None:
    await running[0].submit(ClaimState(ROOT, "agent:x", WellbeingState.CONCERNED))
    await until(lambda: all(one.tree.root.limits for one in running), "all are restricted")


def test_all_sidecars_together_admit_at_the_rate_with_and_without_redis(redis: RedisServer) -> None:
    async def main() -> None:
        async with controllers(redis.url, 3, RESTRICTED, timeout_secs=0.5) as running:
            await restrict(running)
            requests = Requests()
            one, two, three = running
            requests.send(one, 300)
            requests.send(two, 300)
            await until(lambda: requests.count(two) >= 15, "both sidecars admit requests")
            requests.send(three, 20, priority=9)
            # Urgent requests are admitted first, at any sidecar.
            await until(lambda: requests.count(three) == 20, "the urgent ones have passed")
            assert requests.count() < 200
            assert requests.worst_excess(RATE) < BURST
            redis.suspend()
            try:
                await until(lambda: not one.counters.store_up, "the store is down")
                before = requests.count()
                requests.send(three, 10)
                await until(lambda: requests.count() > before + 25, "the sidecars continue with their shares")
                await until(lambda: requests.count(three) > 20, "a sidecar without a share admits requests")
            finally:
                redis.resume()
            await until(lambda: all(c.counters.store_up for c in running), "the store is up")
            before = requests.count()
            await until(lambda: requests.count() > before + 80, "the sidecars still admit requests")
            # The clock of a suspended Redis jumps; the grants before and after stay below the rate.
            assert requests.worst_excess(RATE) < BURST

    asyncio.run(main())


def test_a_request_at_an_idle_sidecar_passes_at_once(redis: RedisServer) -> None:
    async def main() -> None:
        async with controllers(redis.url, 2, RESTRICTED) as running:
            await restrict(running)
            requests = Requests()
            for one in running:
                requests.send(one, 1)
            began = time.monotonic()
            await until(lambda: requests.count() == 2, "both requests have passed")
            # The requests did not wait until the lease of another sidecar expired.
            assert all(at - began < LEASE_SECS for at, _ in requests.passed)

    asyncio.run(main())


def test_the_share_of_a_sidecar_that_died_returns_to_the_others(redis: RedisServer) -> None:
    async def main() -> None:
        connection = RedisConnection(RedisSettings(redis.url))
        async with controllers(redis.url, 2, RESTRICTED) as running:
            await restrict(running)
            dead = RedisRates(connection, RedisKeys("wellbeing"), "dead")
            need = RateNeed(
                f"restriction {ROOT}", RATE, 4.0, 0.0, 0.0, 0, 0, (0, 0, 0, 0, 0, 900, 0, 0, 0, 0)
            )
            [lease] = await dead.lease([need])
            assert lease.share == pytest.approx(RATE * 0.9)
            requests = Requests()
            requests.send(running[0], 400)

            def share() -> float:
                return sum(limiter.tokens.share for limiter in running[0].waiting_room.admission.limits)

            await until(lambda: share() == pytest.approx(RATE * 0.9, abs=0.01), "the share comes back")
            assert requests.count() >= RATE * 0.1
        await connection.close()

    asyncio.run(main())


def test_all_sidecars_together_admit_the_requests_of_a_trial(redis: RedisServer) -> None:
    async def main() -> None:
        async with controllers(redis.url, 3, TRIAL) as running:
            await running[0].submit(ClaimState(ROOT, "agent:x", WellbeingState.DISTRESSED))
            await until(lambda: all(one.tree.root.closed for one in running), "all are closed")
            requests = Requests()
            for one in running:
                requests.send(one, 4)
            await running[1].submit(ClaimState(ROOT, "agent:x", WellbeingState.HEALTHY))
            await until(lambda: requests.count() == 5, "the trial admits five")
            await asyncio.sleep(0.5)
            assert requests.count() == 5
            for one in running:
                root = one.tree.root
                one.waiting_room.admission.report_outcomes(
                    root, trial_of(root.limits), requests.count(one), 0
                )
            await until(lambda: requests.count() == 12, "all five succeeded: the gates are open")
            assert not any(one.tree.root.limits for one in running)

    asyncio.run(main())


def test_a_failed_trial_closes_the_gates_of_all_sidecars(redis: RedisServer) -> None:
    async def main() -> None:
        async with controllers(redis.url, 2, TRIAL) as running:
            await running[0].submit(ClaimState(ROOT, "agent:x", WellbeingState.DISTRESSED))
            await running[1].submit(ClaimState(ROOT, "agent:x", WellbeingState.HEALTHY))
            await until(lambda: all(one.tree.root.limits for one in running), "the trial begins")
            root = running[1].tree.root
            running[1].waiting_room.admission.report_outcomes(root, trial_of(root.limits), 0, 1)
            await until(lambda: all(one.tree.root.closed for one in running), "all are closed again")

    asyncio.run(main())


steps = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 1, 5, 300]), st.integers(0, 9), st.booleans()),
    min_size=5,
    max_size=40,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, limit=st.sampled_from([0.5, 10.0, 1000.0]))
def test_the_sum_of_shares_never_exceeds_the_rate(
    redis_server: RedisServer, steps: list[tuple[int, int, int, bool]], limit: float
) -> None:
    """Sidecars request shares in any order, and some responses are lost."""

    async def main() -> None:
        connection = RedisConnection(RedisSettings(redis_server.url))
        keys = RedisKeys("wellbeing")
        await connection.call(lambda client: client.hsetnx(keys.meta, "epoch", "e"))
        try:
            await play([RedisRates(connection, keys, f"s{number}") for number in range(4)])
        finally:
            await connection.close()

    async def play(sidecars: list[RedisRates]) -> None:
        name = uuid4().hex
        shares = [0.0] * 4
        for number, waiting, priority, answered in steps:
            numbers = [0] * 10
            numbers[priority] = waiting
            if not waiting:
                shares[number] = 0.0
            need = RateNeed(name, limit, limit / 10, shares[number], 0.0, waiting, 0, tuple(numbers))
            [lease] = await sidecars[number].lease([need])
            if answered and waiting:
                shares[number] = lease.share
            assert sum(shares) <= limit + 1e-3
        # When the others have reported their use, each sidecar with waiters has a share.
        for _ in range(6):
            for number, sidecar in enumerate(sidecars):
                need = RateNeed(
                    name, limit, limit / 10, shares[number], 0.0, 0, 0, (0,) * 5 + (3,) + (0,) * 4
                )
                [lease] = await sidecar.lease([need])
                shares[number] = lease.share
                assert sum(shares) <= limit + 1e-3
        assert shares == pytest.approx([limit * 0.9 / 4] * 4, rel=0.01)

    asyncio.run(main())
