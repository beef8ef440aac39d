"""The scenarios, one per file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.stage import Stage

from . import alerts, client, disturbed, fanout, growth, middleware, opened, restricted, stalls, start

Measured = dict[str, float]

SCENARIOS: Mapping[str, Callable[[Stage, int], Measured]] = {
    "a": opened.measure,
    "b": fanout.measure,
    "c": growth.measure,
    "d": disturbed.measure,
    "e": alerts.measure,
    "f": start.measure,
    "g": client.measure,
    "h": restricted.measure,
    "i": stalls.measure,
    "j": middleware.measure,
}
"""By letter: the function that measures one round. Its number decides which server comes first."""
