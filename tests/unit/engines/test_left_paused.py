"""At stop, the sidecar reports only the paused engines that the config no longer names."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from sidecar.config import EngineConfig
from sidecar.core.commands import Pause
from sidecar.core.policy import PolicyTable
from sidecar.engines import engine_syncs
from sidecar.engines.engine import EngineSync
from sidecar.engines.engine_syncs import EngineSyncs
from sidecar.engines.paused_engines import PausedEngines
from sidecar.runtime.controller import Controller
from sidecar.store import MemoryStore

CONFIG = EngineConfig("e", "", "vllm", "http://127.0.0.1:1")


class HangingEngine:
    """An engine that can be paused. While ``hangs`` is set, it does not answer until the test ends."""

    repeats_pause = False

    def __init__(self) -> None:
        self.paused = False
        self.hangs = False
        self.ended = threading.Event()

    def is_paused(self) -> bool:
        if self.hangs:
            self.ended.wait(30)
        return self.paused

    def set_paused(self, *, paused: bool) -> None:
        self.paused = paused


@pytest.mark.parametrize(
    ("pauses", "released", "reported"), [(True, True, 1), (False, True, 0), (True, False, 0)]
)
def test_only_a_paused_engine_that_was_removed_from_the_config_is_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, pauses, released, reported
) -> None:
    monkeypatch.setattr(engine_syncs, "_STOP_SECS", 0.0)
    driver = HangingEngine()

    async def scenario() -> None:
        controller = Controller(PolicyTable(), MemoryStore())
        await controller.start()
        if pauses:
            await controller.submit(Pause("", "why", "me", None))
        remembered = PausedEngines(MemoryStore(), controller.clock.now)
        syncs = EngineSyncs(controller, (), remembered)
        engine = EngineSync(controller, CONFIG, remembered, lambda _: driver)
        engine.start()
        async with asyncio.timeout(30):
            while not engine.in_sync:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)
        assert driver.paused is pauses
        driver.hangs = True

        async def leave() -> None:
            await (engine.release() if released else engine.stop())
            await asyncio.Event().wait()

        syncs._remove(engine, leave())
        await asyncio.sleep(0)
        await syncs.stop()
        driver.ended.set()
        await controller.stop()

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert [one.message for one in caplog.records].count("engine_left_paused") == reported
