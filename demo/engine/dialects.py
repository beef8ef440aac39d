"""The metric names and pause APIs of the simulated engines: those of vLLM 0.33 and of SGLang 0.5.23.

Names and labels are those in ``tests/fixtures/engines``. The drivers in ``sidecar/engines`` use the pause
APIs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .model import ENDS, End, Model, Sequence

Answer = tuple[int, dict[str, Any]]
OK: Answer = (200, {})
MANY_SECS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
TOKEN_SECS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 10.0, 60.0)
TOKENS = (1, 2, 5, 10, 20, 50, 100)
_LOOK_SECS = 0.05


class Dialect(Protocol):
    """Names, pause API and counters of one kind of engine."""

    model: Model

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""

    def refuses(self) -> bool:
        """Whether a request that arrives now is rejected."""

    def answered(self, path: str, status: int) -> None:
        """Count an HTTP response."""

    async def control(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any]
    ) -> Answer | None:
        """Handle a request to the engine's own API; None: there is no such path."""


class Vllm:
    """Behaves as vLLM 0.33 does with ``VLLM_SERVER_DEV_MODE=1``."""

    def __init__(self, name: str) -> None:
        self.model = Model(self)
        self._mode = "keep"
        self._pausing = False
        self._registry = CollectorRegistry()
        labels = {"model_name": name, "engine": "0"}
        make = _Maker(self._registry, "vllm:", labels)
        make.gauge("num_requests_running", lambda: len(self.model.running))
        make.gauge("num_requests_waiting", lambda: len(self.model.waiting))
        make.gauge("kv_cache_usage_perc", lambda: self.model.cache_usage)
        self._preemptions = make.counter("num_preemptions")
        self._prompts = make.counter("prompt_tokens")
        self._tokens = make.counter("generation_tokens")
        self._corrupted = make.counter("corrupted_requests")
        ends = make.family("request_success", "finished_reason")
        self._ends = {end: ends.labels(*labels.values(), end) for end in ENDS}
        self._queue_time = make.histogram("request_queue_time_seconds", MANY_SECS)
        self._first_token = make.histogram("time_to_first_token_seconds", MANY_SECS)
        self._between = make.histogram("inter_token_latency_seconds", TOKEN_SECS)
        self._latency = make.histogram("e2e_request_latency_seconds", MANY_SECS)
        self._lengths = make.histogram("request_generation_tokens", TOKENS)

    def exposition(self) -> bytes:
        return generate_latest(self._registry)

    def refuses(self) -> bool:
        return (self.model.paused or self._pausing) and self._mode != "keep"

    def answered(self, path: str, status: int) -> None:
        pass

    async def control(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any]
    ) -> Answer | None:
        del body
        if (method, path) == ("POST", "/pause"):
            mode = query.get("mode", "abort")
            if mode not in ("keep", "wait", "abort"):
                return 400, {"error": "mode"}
            self._mode = mode
            if mode == "abort":
                self.model.drop_all()
            self._pausing = True
            while mode == "wait" and self._pausing and self.model.running:  # noqa: ASYNC110 - the model has no events
                await asyncio.sleep(_LOOK_SECS)
            # If the engine was resumed meanwhile, it stays resumed.
            self.model.paused, self._pausing = self._pausing, False
            return 200, {"status": "paused"}
        if (method, path) == ("POST", "/resume"):
            self.model.paused = self._pausing = False
            return 200, {"status": "resumed"}
        if (method, path) == ("GET", "/is_paused"):
            return 200, {"is_paused": self.model.paused}
        return OK if path == "/health" else None

    # Events of the model.

    def queued(self, secs: float) -> None:
        self._queue_time.observe(secs)

    def prefilled(self, sequence: Sequence, tokens: int) -> None:
        del sequence
        self._prompts.inc(tokens)

    def token(self, sequence: Sequence, secs: float, *, first: bool) -> None:
        del sequence
        self._tokens.inc()
        (self._first_token if first else self._between).observe(secs)

    def preempted(self) -> None:
        self._preemptions.inc()

    def ended(self, sequence: Sequence, end: End, secs: float) -> None:
        self._ends[end].inc()
        self._lengths.observe(sequence.made)
        self._latency.observe(secs)
        if sequence.corrupted:
            self._corrupted.inc()


class Sglang:
    """As SGLang 0.5.23 with ``--enable-metrics``: its health check waits for a token, so it fails while paused.

    Args:
        name: of the model.
        health_secs: how long the health check waits for a token, of whatever request; 20 in the real one.
    """

    def __init__(self, name: str, health_secs: float = 20.0) -> None:
        self.model = Model(self)
        self._health_secs = health_secs
        self._made = 0
        self._registry = CollectorRegistry()
        front = {"model_name": name, "engine_type": "unified"}
        scheduler = {**front, "tp_rank": "0", "pp_rank": "0", "moe_ep_rank": "0"}
        make = _Maker(self._registry, "sglang:", scheduler)
        make.gauge("num_running_reqs", lambda: len(self.model.running))
        make.gauge("num_queue_reqs", lambda: len(self.model.waiting))
        make.gauge("token_usage", lambda: self.model.cache_usage)
        self._retracted = make.counter("num_retracted_requests")
        real = make.family("realtime_tokens", "mode")
        self._computed = {
            mode: real.labels(*scheduler.values(), mode) for mode in ("prefill_compute", "decode")
        }
        self._queue_time = make.histogram("queue_time_seconds", MANY_SECS)
        at_front = _Maker(self._registry, "sglang:", front)
        self._aborted = at_front.counter("num_aborted_requests")
        self._between = at_front.histogram("inter_token_latency_seconds", TOKEN_SECS)
        self._lengths = at_front.histogram("generation_tokens_histogram", TOKENS)
        by_stream = _Maker(self._registry, "sglang:", {**front, "is_streaming": "false"})
        self._prompts = by_stream.counter("prompt_tokens")
        self._tokens = by_stream.counter("generation_tokens")
        self._requests = by_stream.counter("num_requests")
        self._first_token = by_stream.histogram("time_to_first_token_seconds", MANY_SECS)
        self._latency = by_stream.histogram("e2e_request_latency_seconds", MANY_SECS)
        self._responses = _Maker(self._registry, "sglang:", {}).family(
            "http_responses", "endpoint", "status_code", "method"
        )

    def exposition(self) -> bytes:
        return generate_latest(self._registry)

    def refuses(self) -> bool:
        return False

    def answered(self, path: str, status: int) -> None:
        self._responses.labels(path, str(status), "GET" if path.startswith("/health") else "POST").inc()

    async def control(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any]
    ) -> Answer | None:
        del query
        if (method, path) == ("POST", "/pause_generation"):
            mode = body.get("mode", "abort")
            if mode not in ("in_place", "retract", "abort"):
                return 400, {"error": "mode"}
            if mode == "abort":
                self.model.drop_all()
            if mode == "retract":
                self.model.retract()
            self.model.paused = True
            return OK
        if (method, path) == ("POST", "/continue_generation"):
            self.model.paused = False
            return OK
        if path == "/ready":
            return 503 if self.model.paused else 200, {}
        if path in ("/health", "/health_generate"):
            return (200 if await self._generates() else 503), {}
        return OK if path == "/ping" else None

    async def _generates(self) -> bool:
        """Whether any request gets a token in time. An idle engine gets a request for it."""
        seen = self._made
        probe = None
        if not (self.model.running or self.model.waiting):
            probe = Sequence(asyncio.get_running_loop().time(), wanted=1, to_prefill=1, is_probe=True)
            self.model.add(probe)
        try:
            async with asyncio.timeout(self._health_secs):
                while self._made == seen:  # noqa: ASYNC110 - the model has no events
                    await asyncio.sleep(_LOOK_SECS)
        except TimeoutError:
            return False
        finally:
            if probe is not None:
                self.model.drop(probe)
        return True

    # Events of the model.

    def queued(self, secs: float) -> None:
        self._queue_time.observe(secs)

    def prefilled(self, sequence: Sequence, tokens: int) -> None:
        self._computed["prefill_compute"].inc(tokens)
        if not sequence.is_probe:
            self._prompts.inc(tokens)

    def token(self, sequence: Sequence, secs: float, *, first: bool) -> None:
        self._made += 1
        self._computed["decode"].inc()
        if not sequence.is_probe:
            (self._first_token if first else self._between).observe(secs)

    def preempted(self) -> None:
        self._retracted.inc()

    def ended(self, sequence: Sequence, end: End, secs: float) -> None:
        # For the scheduler, a health check is a request like any other. The metrics leave it out.
        if sequence.is_probe:
            return
        self._requests.inc()
        self._tokens.inc(sequence.made)
        self._lengths.observe(sequence.made)
        self._latency.observe(secs)
        if end == "abort":
            self._aborted.inc()


Kind = Literal["vllm", "sglang"]
DIALECTS: dict[Kind, type[Vllm | Sglang]] = {"vllm": Vllm, "sglang": Sglang}


class _Maker:
    """Metrics of one registry with the same labels."""

    def __init__(self, registry: CollectorRegistry, prefix: str, labels: dict[str, str]) -> None:
        self._registry = registry
        self._prefix = prefix
        self._labels = labels

    def gauge(self, name: str, value: Any) -> None:  # noqa: ANN401
        gauge = Gauge(self._prefix + name, name, list(self._labels), registry=self._registry)
        gauge.labels(*self._labels.values()).set_function(value)

    def counter(self, name: str) -> Counter:
        return self.family(name).labels(*self._labels.values())

    def family(self, name: str, *more: str) -> Counter:
        return Counter(self._prefix + name, name, [*self._labels, *more], registry=self._registry)

    def histogram(self, name: str, buckets: Iterable[float]) -> Histogram:
        family = Histogram(
            self._prefix + name, name, list(self._labels), registry=self._registry, buckets=tuple(buckets)
        )
        return family.labels(*self._labels.values())
