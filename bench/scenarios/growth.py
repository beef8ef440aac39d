"""c. The cost of a check with many scopes and rules, and of a wake-up while many others stay parked."""

from __future__ import annotations

import statistics

from bench.parked import Parked
from bench.peers import Ours
from bench.stage import Stage, by_turns, warm
from bench.talk import Connection, request

from .opened import asked

_FEW = "s/0"
_OTHERS = "s/1"


def measure(stage: Stage, turn: int) -> dict[str, float]:
    """Measure both."""
    return _checks(stage, turn) | _wakes(stage, turn)


def _checks(stage: Stage, turn: int) -> dict[str, float]:
    sizes = stage.sizes
    servers = {str(scopes): stage.ours(scopes, scopes) for scopes in sizes.scopes}
    found: dict[str, float] = {}
    for connections in sizes.connections:
        found |= asked(stage, turn, f"scopes.{connections}", servers, connections)
    many = {name: int(name) for name in servers}
    return found | asked(stage, turn, "scopes.in_turn", servers, sizes.connections[-1], in_turn=many)


def _wakes(stage: Stage, turn: int) -> dict[str, float]:
    """Wake few requests, in alternation without and with many others parked."""
    sizes = stage.sizes
    wait = request("GET", f"/v1/gate/{_FEW}?wait=600")
    elsewhere = request("GET", f"/v1/gate/{_OTHERS}?wait=600")
    took: dict[str, list[float]] = {"alone": [], "beside": []}
    with (
        Ours(stage.machine, scopes=2) as alone,
        Ours(stage.machine, scopes=2) as beside,
        Connection(alone.where) as by_alone,
        Connection(beside.where) as by_beside,
    ):
        for server, operator in ((alone, by_alone), (beside, by_beside)):
            warm(server.where, f"/v1/gate/{_FEW}")
            operator.ask(_pause(_OTHERS))
            operator.ask(_pause(_FEW))
        with (
            Parked(beside.where, elsewhere, sizes.most_waiters),
            Parked(alone.where, wait, sizes.few) as few_alone,
            Parked(beside.where, wait, sizes.few) as few_beside,
        ):
            both = (
                ("alone", alone, by_alone, few_alone),
                ("beside", beside, by_beside, few_beside),
            )
            for number in range(sizes.few_wakes):
                for name, server, operator, few in by_turns(turn + number, both):
                    if number:
                        operator.ask(_pause(_FEW))
                        few.again()
                    server.machine.settle(server.pid)
                    resume = request("POST", f"/v1/resume/{_FEW}", b"{}")
                    took[name].append(few.woken(operator, resume).last)
    return {f"few.last.{name}": statistics.median(each) * 1e3 for name, each in took.items()}


def _pause(scope: str) -> bytes:
    return request("POST", f"/v1/pause/{scope}", b'{"reason": "a benchmark"}')
