"""A Dynamo worker whose engine counts up to the requested number of tokens, with the pause API of Dynamo's
vLLM workers.

Started by test_dynamo.py, in Dynamo's own environment: python dynamo_worker.py TOKENIZER
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvloop
from dynamo.llm import ModelInput, ModelType, WorkerType, register_model
from dynamo.runtime import DistributedRuntime, dynamo_worker

TOKEN_SECS = 0.02


class Engine:
    """Generates tokens while it is not paused."""

    def __init__(self) -> None:
        self._runs = asyncio.Event()
        self._runs.set()

    async def pause(self, _: dict[str, Any]) -> dict[str, str]:
        self._runs.clear()
        return {"status": "ok"}

    async def resume(self, _: dict[str, Any]) -> dict[str, str]:
        self._runs.set()
        return {"status": "ok"}

    async def generate(self, request: dict[str, Any], context: object) -> AsyncIterator[dict[str, Any]]:
        count = request["stop_conditions"]["max_tokens"]
        for number in range(1, count + 1):
            await self._runs.wait()
            await asyncio.sleep(TOKEN_SECS)
            yield {
                "token_ids": [10 + number % 20],
                **({"finish_reason": "length"} if number == count else {}),
            }


@dynamo_worker()
async def main(runtime: DistributedRuntime) -> None:
    engine = Engine()
    runtime.register_engine_route("pause_generation", engine.pause)
    runtime.register_engine_route("resume_generation", engine.resume)
    endpoint = runtime.endpoint("dynamo.backend.generate")
    kinds = ModelType.Chat | ModelType.Completions
    await register_model(
        ModelInput.Tokens, kinds, endpoint, sys.argv[1], "m", worker_type=WorkerType.Aggregated
    )
    await endpoint.serve_endpoint(engine.generate)


if __name__ == "__main__":
    uvloop.run(main())
