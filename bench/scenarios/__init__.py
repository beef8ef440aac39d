"""What is measured, a scenario a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.stage import Stage

from . import alerts, client, disturbed, fanout, growth, opened, start

Measured = dict[str, float]

SCENARIOS: Mapping[str, Callable[[Stage, int], Measured]] = {
    "a": opened.measure,
    "b": fanout.measure,
    "c": growth.measure,
    "d": disturbed.measure,
    "e": alerts.measure,
    "f": start.measure,
    "g": client.measure,
}
"""By letter: what measures one round of it; the number of the round decides who comes first."""
