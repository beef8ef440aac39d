"""a. An open gate, over connections that are kept alive."""

from __future__ import annotations

from bench.load import Answered, wrk
from bench.peers import Nginx, Ours
from bench.stage import Stage, by_turns, warm

GATE = "/v1/gate/s/0"


def measure(stage: Stage, turn: int) -> dict[str, float]:
    """Ask nginx and us, with few and with many connections."""
    servers: dict[str, Ours | Nginx] = {"ours": stage.ours(), "nginx": stage.nginx()}
    found: dict[str, float] = {}
    for connections in stage.sizes.connections:
        for name, server in by_turns(turn, servers.items()):
            warm(server.where, GATE)
            answered = wrk(server.where, GATE, connections, stage.sizes.secs, worker=server.worker_pid)
            found |= named(f"open.{connections}", name, answered)
    return found


def named(prefix: str, name: str, answered: Answered) -> dict[str, float]:
    """Its figures, each by a name of its own."""
    return {
        f"{prefix}.per_sec.{name}": answered.per_sec,
        f"{prefix}.p50.{name}": answered.p50,
        f"{prefix}.p99.{name}": answered.p99,
        f"{prefix}.p999.{name}": answered.p999,
        f"{prefix}.cpu.{name}": answered.cpu,
    }
