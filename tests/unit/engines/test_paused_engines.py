"""The records of paused engines: which sidecar of a fleet resumes an engine that no config names any more."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from harness.in_loop import in_loop, until
from sidecar.config import EngineConfig, EngineRequestConfig
from sidecar.core.commands import Pause, Resume
from sidecar.core.policy import PolicyTable
from sidecar.engines import engine_syncs
from sidecar.engines.driver import DriverFailed
from sidecar.engines.engine_syncs import EngineSyncs
from sidecar.engines.paused_engines import PausedEngine, PausedEngines, with_access
from sidecar.runtime.controller import Controller
from sidecar.store import MemoryStore, StoreUnavailable

REMOTE = EngineConfig("e", "team", "vllm", "http://engines.example:8000", bearer_token="s3cret")
LOCAL = EngineConfig("e", "team", "vllm", "http://127.0.0.1:8000")


class Engine:
    """An engine that can be paused. It records the content of the store at each command."""

    repeats_pause = False

    def __init__(self, store: MemoryStore) -> None:
        self.paused = False
        self.broken = False
        self.known: list[tuple[bool, bool]] = []
        self._store = store

    def is_paused(self) -> bool:
        return self.paused

    def set_paused(self, *, paused: bool) -> None:
        self.known.append((paused, bool(self._store._values)))
        self.paused = paused
        if self.broken:
            raise DriverFailed("the answer was lost")


@contextlib.asynccontextmanager
async def sidecar(
    store: MemoryStore, engine: Engine, *configs: EngineConfig, host: str = "", shared: bool = False
):
    """A sidecar with the engines of ``configs``. It ends as by ``kill -9``, without a command to any
    engine."""
    controller = Controller(PolicyTable(), store)
    await controller.start()
    remembered = PausedEngines(store, controller.clock.now, host=host, address="a", is_shared=shared)
    await remembered.load()
    syncs = EngineSyncs(controller, configs, remembered, lambda _: engine)
    try:
        yield controller, syncs
    finally:
        await syncs.stop()
        await controller.stop()


async def pause(store: MemoryStore, engine: Engine, config: EngineConfig, **how) -> None:
    """Pause the engine by a sidecar, and end the sidecar."""
    async with sidecar(store, engine, config, **how) as (controller, syncs):
        await controller.submit(Pause("team", "why", "me", None))
        await until(lambda: engine.paused and syncs.all[0].in_sync)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def engine(store: MemoryStore) -> Engine:
    return Engine(store)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_syncs, "_REVIEW_SECS", 0.001)
    monkeypatch.setattr(engine_syncs, "_OPEN_SECS", 0.0)


@in_loop
async def test_a_pause_is_stored_before_it_is_sent_and_deleted_after_the_engine_runs(
    store: MemoryStore, engine: Engine
) -> None:
    async with sidecar(store, engine, LOCAL) as (controller, syncs):
        await controller.submit(Pause("team", "why", "me", None))
        await until(lambda: engine.paused and syncs.all[0].in_sync)
        await controller.submit(Resume("team", "me"))
        await until(lambda: not engine.paused and syncs.all[0].in_sync)
    assert engine.known == [(True, True), (False, True)]
    assert not store._values


@in_loop
async def test_a_pause_whose_response_was_lost_is_undone_by_the_next_run(
    store: MemoryStore, engine: Engine
) -> None:
    engine.broken = True
    async with sidecar(store, engine, LOCAL) as (controller, _):
        await controller.submit(Pause("team", "why", "me", None))
        await until(lambda: engine.paused)
    engine.broken = False
    async with sidecar(store, engine) as (_, syncs):
        await until(lambda: not engine.paused and syncs.releases["ok"])
        assert not store._values
        assert syncs.left_paused == []


@in_loop
async def test_a_failing_store_delays_no_pause_and_gets_the_record_later() -> None:
    class Failing(MemoryStore):
        down = True

        async def save_values(self, values) -> None:
            if self.down:
                raise StoreUnavailable("down")
            await super().save_values(values)

    store = Failing()
    engine = Engine(store)
    config = replace(LOCAL, check_secs=0.001)
    async with sidecar(store, engine, config) as (controller, _):
        await controller.submit(Pause("team", "why", "me", None))
        await until(lambda: engine.paused)
        store.down = False
        await until(lambda: store._values)


@pytest.mark.parametrize("config", [REMOTE, LOCAL])
@in_loop
async def test_a_sidecar_of_a_fleet_resumes_its_own_removed_engine_at_once_even_with_a_closed_gate(
    store: MemoryStore, engine: Engine, config
) -> None:
    await pause(store, engine, config, host="h1", shared=True)
    async with sidecar(store, engine, host="h1", shared=True) as (controller, _):
        await controller.submit(Pause("team", "why", "me", None))
        await until(lambda: not engine.paused)


@in_loop
async def test_the_leader_resumes_an_engine_of_a_sidecar_that_is_gone_once_its_gate_is_open(
    store: MemoryStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_syncs, "_OPEN_SECS", 1e9)

    await pause(store, engine, REMOTE, host="h1", shared=True)
    async with sidecar(store, engine, host="h2", shared=True) as (controller, syncs):
        await controller.submit(Pause("team", "why", "me", None))
        monkeypatch.setattr(engine_syncs, "_OPEN_SECS", 0.0)
        for _ in range(5):
            await syncs._review()
        assert engine.paused, "its gate is closed"
        assert store._values
        await controller.submit(Resume("team", "me"))
        await until(lambda: not engine.paused)
        await until(lambda: not store._values)


@in_loop
async def test_an_engine_on_the_loopback_of_another_host_is_left_alone_and_forgotten_after_a_week(
    store: MemoryStore, engine: Engine
) -> None:
    await pause(store, engine, LOCAL, host="h1", shared=True)
    async with sidecar(store, engine, host="h2", shared=True) as (_, syncs):
        for _ in range(5):
            await syncs._review()
        assert engine.paused
        assert store._values
        [record] = syncs._remembered.all
        syncs._remembered._records[record.key] = replace(record, since=record.since - 8 * 86_400)
        await syncs._review()
        assert not store._values
        assert engine.paused


@in_loop
async def test_an_engine_that_another_sidecar_still_keeps_paused_is_not_resumed(
    store: MemoryStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_syncs, "_OPEN_SECS", 1e9)

    await pause(store, engine, REMOTE, host="h1", shared=True)
    await pause(store, engine, REMOTE, host="h2", shared=True)
    assert len(store._values) == 2
    async with sidecar(store, engine, host="h2", shared=True):
        await until(lambda: len(store._values) == 1)
    assert engine.paused


def test_a_record_contains_no_secret_and_keeps_members_of_a_newer_version() -> None:
    custom = replace(
        LOCAL,
        kind="http",
        url="http://user:pa55@e.example:1/",
        bearer_token="s3cret",
        resume=EngineRequestConfig("PUT", "/on", {"a": [1]}),
    )
    remembered = PausedEngines(MemoryStore(), lambda: 7.0)
    text = remembered.record_of(custom).to_text()
    assert "s3cret" not in text
    assert "pa55" not in text
    record = PausedEngine.from_text(text.replace('"since"', '"newer": 1, "since"'))
    assert record.config.resume == custom.resume
    assert record.config.url == "http://e.example:1"
    assert record.has_secret
    # Another engine at the same URL has the credentials.
    token = replace(REMOTE, url="http://e.example:1/v1")
    assert with_access(record.config, [REMOTE, token]).bearer_token == "s3cret"
    assert with_access(record.config, [REMOTE]) == record.config
    for bad in ("", "{", "[]", '{"config": {}}', '{"since": 1, "config": {"name": "x"}}'):
        with pytest.raises(ValueError):  # noqa: PT011 - any
            PausedEngine.from_text(bad)
