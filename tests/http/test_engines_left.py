"""Engines that leave the config while the sidecar is down are resumed by the next run, with any store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.engines import EngineStub
from harness.process import eventually
from harness.redis_server import RedisServer
from harness.sidecar import Sidecar

CUSTOM = {
    "kind": "http",
    "pause": {"path": "/pause"},
    "resume": {"path": "/resume"},
    "asked_path": "/is_paused",
    "asked_member": "is_paused",
}


def engine(name: str, stub: EngineStub, **more) -> dict:
    given = {"name": name, "scope": name, "kind": "vllm", "url": stub.url}
    return {**given, "check_secs": 0.3, "timeout_secs": 0.5, **more}


@pytest.fixture
def stubs() -> Iterator[dict[str, EngineStub]]:
    names = ("gone", "custom", "old_url", "new_url", "driver", "narrowed", "down", "locked", "file", "kept")
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(EngineStub("http" if name == "custom" else "vllm")) for name in names
        }


class Case:
    """Engines before and after a restart of the sidecar."""

    def __init__(self, stubs: dict[str, EngineStub], folder: Path) -> None:
        custom = {
            "pause": {"method": "PUT", "path": "/switch/off", "body": {"why": "gate"}},
            "resume": {"method": "PUT", "path": "/switch/on"},
            "asked_path": "/switch",
            "asked_member": "switch.off",
        }
        (folder / "token").write_text("t0ken")
        self.before = [engine(name, stubs[name]) for name in ("gone", "driver", "down", "kept")]
        self.before += [
            engine("custom", stubs["custom"], kind="http", **custom),
            engine("url", stubs["old_url"]),
            engine("narrowed", stubs["narrowed"], scope="team"),
            engine("locked", stubs["locked"], bearer_token="in-the-config"),
            engine("file", stubs["file"], bearer_token_file=str(folder / "token")),
        ]
        self.after = [
            engine("kept", stubs["kept"]),
            engine("driver", stubs["driver"], **CUSTOM),
            engine("url", stubs["new_url"]),
            engine("narrowed", stubs["narrowed"], scope="team/one"),
        ]


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield "sqlite:state.db"
        return
    with RedisServer() as redis:
        yield redis.url


def test_a_sidecar_resumes_engines_that_were_removed_from_the_config_while_it_was_down(
    stubs: dict[str, EngineStub], store: str, tmp_path: Path
) -> None:
    case = Case(stubs, tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    with Sidecar({"engines": case.before}, store=store, folder=folder) as sidecar:
        for scope in ("gone", "custom", "url", "driver", "team", "down", "locked", "file", "kept"):
            sidecar.pause(scope, max_pause_secs=0)
        paused = [stub for name, stub in stubs.items() if name != "new_url"]
        eventually(lambda: all(stub.paused for stub in paused), "all are paused")
        sidecar.resume("team")
        sidecar.pause("team/two")
        sidecar.kill()
        stubs["narrowed"].paused = True
        stubs["locked"].fault, stubs["down"].fault = "locked", "refuse"
        stubs["kept"].requests.clear()
        sidecar.session.close()
        sidecar.configure({"engines": case.after})
        sidecar.restart()
        for name in ("gone", "custom", "old_url", "narrowed", "file"):
            eventually(lambda name=name: not stubs[name].paused, f"{name} is let go")
        for name in ("new_url", "driver", "kept"):
            eventually(lambda name=name: stubs[name].paused, f"{name} is paused, as its gate is closed")
        stubs["down"].fault = ""
        eventually(lambda: not stubs["down"].paused, "it is tried until it answers")
        assert not any(path == "/resume" for _, path, _ in stubs["kept"].requests)
        check_the_locked_one_is_told(sidecar, stubs["locked"].url)
        assert not [one for one in folder.glob("state.db*") if b"in-the-config" in one.read_bytes()]
        # When it is in the config again, with its token, it is controlled again. When it leaves again, it is
        # resumed with that token.
        locked = engine("locked", stubs["locked"], bearer_token="again")
        sidecar.configure({"engines": [*case.after, locked]})
        stubs["locked"].fault = ""
        sidecar.ok_reload()
        assert sidecar.status()["engines_left_paused"] == []
        sidecar.configure({"engines": case.after})
        sidecar.ok_reload()
        eventually(lambda: not stubs["locked"].paused, "it is let go")
        eventually(lambda: stubs["driver"].paused, "the others follow their gates")
        # A resumed engine is forgotten. All seven must be: the ones below, and the engine "driver" with its
        # old URL.
        sidecar.wait_for_metric('wellbeing_engine_releases_total{result="ok"}', 7)
        sidecar.kill()
        for stub in stubs.values():
            stub.requests.clear()
        sidecar.session.close()
        sidecar.restart()
        sidecar.resume("kept")
        eventually(lambda: not stubs["kept"].paused, "kept follows its gate")
        let_go = ("gone", "custom", "old_url", "down", "locked", "file")
        asked = {name: stubs[name].requests for name in let_go}
        assert not any(asked.values()), asked


def check_the_locked_one_is_told(sidecar: Sidecar, url: str) -> None:
    """The token of this engine was only in the config, so the engine stays paused, and is in log, status and
    metrics."""
    [left] = eventually(lambda: sidecar.logs("engine_left_paused"), "the locked one is given up")
    assert left["engine"] == "locked"
    assert "401" in left["error"]
    assert "the store has no secrets" in left["remedy"]

    def left_paused() -> list[dict[str, Any]]:
        # This includes an engine that was just resumed, until the store has recorded it.
        found = sidecar.status()["engines_left_paused"]
        return found if len(found) == 1 else []

    [told] = eventually(left_paused, "no other engine is left paused")
    assert (told["engine"], told["scope"], told["url"]) == ("locked", "locked", url)
    assert told["remedy"] == left["remedy"]
    assert sidecar.status("gone")["engines_left_paused"] == []
    assert sidecar.metric("wellbeing_engines_left_paused") == 1
    assert sidecar.metric('wellbeing_engine_releases_total{result="failed"}') == 1
    assert "in-the-config" not in "".join(sidecar.lines)
