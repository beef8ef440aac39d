"""Steps that tests of the client share."""

from __future__ import annotations

from harness.process import eventually
from harness.sidecar import Sidecar
from sidecar.client import Gate


def make_known(sidecar: Sidecar, scope: str) -> None:
    """Make ``scope`` known to the sidecar.

    Reports for an unknown scope count for its nearest known ancestor.
    """
    sidecar.claim(scope, "cautious")
    sidecar.claim(scope, "healthy")


def close_gate(sidecar: Sidecar, gate: Gate, reason: str = "a test") -> None:
    """Pause the scope of ``gate``, and wait until the client has seen it."""
    sidecar.pause(gate.settings.scope, reason)
    eventually(lambda: not gate.is_open, "the gate is seen to close")


def wait_for_equal_counts(sidecar: Sidecar, gate: Gate) -> None:
    """Wait until the counts of the client equal those of the sidecar."""

    def same() -> bool:
        counters, counts = sidecar.counters(gate.settings.scope), gate.counts
        names = {"requests": "total", **{n: n for n in ("blocked", "waited", "timed_out", "abandoned")}}
        return all(counters[f"requests_{theirs}"] == counts[ours] for ours, theirs in names.items())

    eventually(same, "the reports arrive")
