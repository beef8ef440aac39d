"""a. An open gate, on keep-alive connections."""

from __future__ import annotations

from collections.abc import Mapping

from bench.load import Answered, wrk
from bench.peers import Nginx, Ours
from bench.stage import Stage, by_turns, warm

GATE = "/v1/gate/s/0"


def measure(stage: Stage, turn: int) -> dict[str, float]:
    """Measure nginx and the sidecar, with few and with many connections."""
    servers: dict[str, Ours | Nginx] = {"ours": stage.ours(), "nginx": stage.nginx()}
    found: dict[str, float] = {}
    for connections in stage.sizes.connections:
        found |= asked(stage, turn, f"open.{connections}", servers, connections)
    return found


def asked(
    stage: Stage,
    turn: int,
    prefix: str,
    servers: Mapping[str, Ours | Nginx],
    connections: int,
    *,
    in_turn: Mapping[str, int] | None = None,
) -> dict[str, float]:
    """Load all ``servers`` in turn, a second each, so that a disturbance of the machine affects all alike.

    Args:
        stage: the servers.
        turn: number of the round, which decides the order.
        prefix: prefix of the figures' names.
        servers: by name.
        connections: how many at once.
        in_turn: the number of scopes whose gates are asked in turn, by the server's name.
    """
    parts: dict[str, list[Answered]] = {name: [] for name in servers}
    for number in range(stage.sizes.slices):
        for name, server in by_turns(turn + number, servers.items()):
            if not number:
                warm(server.where, GATE)
            many = in_turn[name] if in_turn else 0
            answered = wrk(server.where, GATE, connections, 1, worker=server.worker_pid, in_turn=many)
            parts[name].append(answered)
    found: dict[str, float] = {}
    for name, each in parts.items():
        found |= named(prefix, name, Answered.of(each))
    return found


def named(prefix: str, name: str, answered: Answered) -> dict[str, float]:
    """The measurements of a load, by name."""
    return {
        f"{prefix}.per_sec.{name}": answered.per_sec,
        f"{prefix}.p50.{name}": answered.p50,
        f"{prefix}.p99.{name}": answered.p99,
        f"{prefix}.p999.{name}": answered.p999,
        f"{prefix}.cpu.{name}": answered.cpu,
    }
