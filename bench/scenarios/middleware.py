"""j. What the middleware costs an application: CPU time of its server for each request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from bench.load import Answered, wrk
from bench.peers import Ours, Uvicorn
from bench.stage import Stage, by_turns
from bench.talk import TOKEN, Connection, request

_APPLICATIONS = ("empty", "gated", "by_model")
_TARGET = "/v1/chat/completions"
_BODY = b'{"messages":[],"model":"llama"}'
_CONNECTIONS = 8
_WARM_TIMES = 200


def measure(stage: Stage, turn: int) -> dict[str, float]:
    """Load each application in turn, a second at a time."""
    sidecar = stage.ours()
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(Uvicorn(stage.machine, name, _environment(sidecar)))
            for name in _APPLICATIONS
        }
        for server in servers.values():
            _warm(server)
        parts: dict[str, list[Answered]] = {name: [] for name in servers}
        for name, server in _turns(servers, turn, stage.sizes.slices):
            parts[name].append(wrk(server.where, _TARGET, _CONNECTIONS, 1, worker=server.pid, post=True))
    return {f"middleware.{name}": Answered.of(found).cpu for name, found in parts.items()}


def _environment(sidecar: Ours) -> dict[str, str]:
    return {"WELLBEING_URL": sidecar.url, "WELLBEING_SCOPE": "w", "WELLBEING_TOKEN": TOKEN}


def _turns(servers: dict[str, Uvicorn], turn: int, slices: int) -> Iterator[tuple[str, Uvicorn]]:
    for number in range(slices):
        yield from by_turns(turn + number, servers.items())


def _warm(server: Uvicorn) -> None:
    """Send requests until caches are filled, and the gates are known."""
    data = request("POST", _TARGET, _BODY)
    with Connection(server.where) as connection:
        for _ in range(_WARM_TIMES):
            connection.ask(data)
