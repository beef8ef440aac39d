"""Counts the requests of each gate within the last minute.

The counters of all gates are sampled every ten seconds, so that a request has no extra cost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from sidecar.supervision import Failures, run_supervised
from sidecar.time_slice import TimeSlice

from .gate import ScopeGate

_STEP_SECS = 10.0
_STEPS = 6


class RequestRates:
    """Samples the request counts of gates.

    Args:
        loop: runs the sampling.
        gates: all gates by scope; read at each sample.
        failures: counts and logs the exceptions of the sampling.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, gates: Mapping[str, ScopeGate], failures: Failures
    ) -> None:
        self._gates = gates
        self._samples: deque[dict[ScopeGate, int]] = deque([{}], maxlen=_STEPS)
        self._task = loop.create_task(run_supervised("request_rates", self._sample_forever, failures))

    def stop(self) -> None:
        """Stop the sampling."""
        self._task.cancel()

    def last_minute(self, gate: ScopeGate) -> int:
        """Requests at ``gate`` within the last 50 to 60 seconds, or since it has been known."""
        return gate.requests - self._samples[0].get(gate, 0)

    async def sample(self) -> None:
        """Take one sample of all gates."""
        time_slice = TimeSlice()
        counts: dict[ScopeGate, int] = {}
        for gate in list(self._gates.values()):
            if gate.requests:
                counts[gate] = gate.requests
            if time_slice.expired:
                await time_slice.yield_to_others()
        self._samples.append(counts)

    async def _sample_forever(self) -> None:
        while True:
            await asyncio.sleep(_STEP_SECS)
            await self.sample()
