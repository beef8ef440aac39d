"""An internal error is answered with 500, is counted, and ends at most one connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.raw import Connection
from harness.sidecar import Sidecar

# Planted faults: a request for a path below "broken" raises in its handler.
PLANTED = """
import sidecar.web.api.history, sidecar.web.api.status, sidecar.web.gate.fast_path, sidecar.web.gate.protocol
import sidecar.web.api.command_routes, sidecar.web.asgi, sidecar.web.guard, sidecar.web.waiting_routes

def planted(module, name, is_broken):
    sound = getattr(module, name)
    def maybe(*args, **kwargs):
        if is_broken(args, kwargs):
            raise KeyError("planted")
        return sound(*args, **kwargs)
    setattr(module, name, maybe)

def broken(args, kwargs):
    return any("broken" in str(one) for one in args)

planted(sidecar.web.waiting_routes, "snapshot_response", lambda a, k: len(a) > 1 and "broken" in str(a[1]))
planted(sidecar.web.gate.protocol, "ended_response", lambda a, k: "broken" in str(a[3]))
planted(sidecar.web.gate.fast_path, "snapshot_response", lambda a, k: len(a) > 1 and "broken" in str(a[1]))
planted(sidecar.web.gate.protocol, "snapshot_response", lambda a, k: len(a) > 1 and "broken" in str(a[1]))
planted(sidecar.web.asgi, "scope_in", lambda a, k: "/v1/state/broken" in a[0])
planted(sidecar.web.asgi, "route_of", lambda a, k: "/very/broken" in a[0])
import sidecar.web.api.flask_app
for name in ("read_status", "query_of"):
    planted(sidecar.web.api.flask_app, name, broken)
planted(sidecar.web.api.command_routes, "scope_of", broken)
"""


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder: Path = tmp_path_factory.mktemp("planted")
    (folder / "sitecustomize.py").write_text(PLANTED)
    root = str(Path(__file__).parents[2])
    with Sidecar(env={"PYTHONPATH": f"{folder}:{root}"}) as own:
        yield own


@pytest.mark.parametrize("asgi", [False, True])
@pytest.mark.parametrize(
    ("method", "target", "task"),
    [
        ("GET", "/v1/gate/broken", None),
        ("HEAD", "/v1/gate/broken", None),
        ("GET", "/v1/watch/broken", None),
        ("GET", "/v1/status/broken", "request"),
        ("GET", "/v1/history/broken", "request"),
        ("POST", "/v1/pause/broken", "request"),
        ("PUT", "/v1/state/broken", "request"),
        ("GET", "/very/broken", "request"),
    ],
)
def test_an_internal_error_is_answered_with_500_and_counted(
    sidecar: Sidecar, method: str, target: str, task: str | None, asgi: bool
) -> None:
    task = task or ("request" if asgi else "gate_connection")
    series = f'wellbeing_task_failures_total{{task="{task}"}}'
    before = sidecar._metric(series) or 0.0
    with Connection(sidecar) as other, Connection(sidecar) as connection:
        other.get("/v1/gate")
        assert other.receive().status == 200
        if asgi:
            connection.get("/-/healthy")
            connection.receive()
        length = () if method in ("GET", "HEAD") else ("Content-Length: 0",)
        connection.get(target, *length, method=method)
        answer = connection.receive(head=method == "HEAD")
        assert answer.status == 500
        assert answer.headers["content-type"] == "application/problem+json"
        other.get("/v1/gate")
        assert other.receive().status == 200
    assert sidecar.metric(series) == before + 1


def test_an_internal_error_at_the_end_of_a_wait_does_not_stop_other_waiters(sidecar: Sidecar) -> None:
    sidecar.pause("")
    with Connection(sidecar) as broken, Connection(sidecar) as sound:
        broken.get("/v1/gate/broken")
        sound.get("/v1/gate/sound")
        sidecar.wait_for_waiters("", 2)
        sidecar.resume("")
        assert broken.receive().status == 500
        assert sound.receive().status == 200
    assert sidecar.counters("")["waiters"] == 0
