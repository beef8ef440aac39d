"""A simulated engine: OpenAI's chat route, vLLM's metric names, a batch, a queue, and faults to put in.

It generates nothing, and takes its time as an engine does: requests wait in a queue until the batch has
room, and the tokens that it makes a second are shared by those in the batch.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from sidecar.client.asgi import GateMiddleware

TICK_SECS = 0.05
BATCH = 8
TOKENS_PER_SEC = 400.0
TOKENS_PER_ANSWER = 40.0
FAULTS = {"none": 1.0, "slow": 0.1, "stuck": 0.0}
BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MODEL = "simulated"

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass
class Histogram:
    """Counts by upper bound."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[sum(value > bound for bound in BUCKETS)] += 1
        self.total += value

    def lines(self, name: str, labels: str) -> list[str]:
        """Prometheus' text."""
        lines, count = [f"# TYPE {name} histogram"], 0
        for bound, here in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            count += here
            lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {count}')
        return [*lines, f"{name}_sum{{{labels}}} {self.total}", f"{name}_count{{{labels}}} {count}"]


@dataclass(eq=False)
class Request:
    """One request in the engine."""

    arrived_at: float
    left: float = TOKENS_PER_ANSWER
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Engine:
    """Queue, batch, tokens, and what of them is exposed."""

    def __init__(self) -> None:
        self.fault = "none"
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self._tokens = 0.0
        self._prompts = 0
        self._answers = 0
        self._queue_time = Histogram()
        self._first_token = Histogram()

    async def run(self) -> None:
        """Make tokens, for ever."""
        while True:
            await asyncio.sleep(TICK_SECS)
            self.step(TICK_SECS)

    def step(self, secs: float) -> None:
        """What happens in ``secs``."""
        rate = TOKENS_PER_SEC * FAULTS[self.fault]
        now = time.monotonic()
        while rate and self._waiting and len(self._running) < BATCH:
            request = self._waiting.popleft()
            self._queue_time.observe(now - request.arrived_at)
            self._running.append(request)
            self._prompts += 1
        if not self._running or not rate:
            return
        share = rate * secs / len(self._running)
        for request in list(self._running):
            if request.left == TOKENS_PER_ANSWER:
                self._first_token.observe(now - request.arrived_at)
            self._tokens += min(share, request.left)
            request.left -= share
            if request.left <= 0:
                self._running.remove(request)
                self._answers += 1
                request.done.set()

    async def answer(self) -> None:
        """One request, from its arrival to its end."""
        request = Request(time.monotonic())
        self._waiting.append(request)
        try:
            await request.done.wait()
        finally:
            if request in self._waiting:
                self._waiting.remove(request)
            if request in self._running:
                self._running.remove(request)

    def exposition(self) -> str:
        """By vLLM's names."""
        labels = f'model_name="{MODEL}",engine="0"'
        plain = {
            "num_requests_running": ("gauge", len(self._running)),
            "num_requests_waiting": ("gauge", len(self._waiting)),
            "kv_cache_usage_perc": ("gauge", len(self._running) / BATCH * 0.9),
            "num_preemptions_total": ("counter", 0),
            "prompt_tokens_total": ("counter", self._prompts * 10),
            "generation_tokens_total": ("counter", int(self._tokens)),
        }
        lines = []
        for name, (kind, value) in plain.items():
            lines += [f"# TYPE vllm:{name} {kind}", f"vllm:{name}{{{labels}}} {value}"]
        lines += ["# TYPE vllm:request_success_total counter"]
        lines += [f'vllm:request_success_total{{{labels},finished_reason="stop"}} {self._answers}']
        lines += self._queue_time.lines("vllm:request_queue_time_seconds", labels)
        lines += self._first_token.lines("vllm:time_to_first_token_seconds", labels)
        return "\n".join(lines) + "\n"


class Application:
    """The engine over HTTP; ``POST /fault`` with ``none``, ``slow`` or ``stuck`` puts a fault in."""

    def __init__(self) -> None:
        self.engine = Engine()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] != "http":
            return
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self.engine.run())
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path = scope["path"]
        if path == "/metrics":
            await _send(send, self.engine.exposition().encode(), b"text/plain; version=0.0.4")
        elif path == "/fault":
            fault = body.decode()
            self.engine.fault = fault if fault in FAULTS else self.engine.fault
            await _send(send, self.engine.fault.encode(), b"text/plain")
        elif path == "/v1/chat/completions":
            await self.engine.answer()
            choice = {"index": 0, "message": {"role": "assistant", "content": "…"}, "finish_reason": "stop"}
            await _send(send, json.dumps({"model": MODEL, "choices": [choice]}).encode(), b"application/json")
        else:
            await _send(send, b"ok", b"text/plain")


async def _send(send: Send, body: bytes, content_type: bytes) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    application: Any = Application()
    uvicorn.run(
        GateMiddleware(application),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
