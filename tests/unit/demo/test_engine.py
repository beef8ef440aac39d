"""The simulated engine behaves as a real one does, and has its metric names."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo.engine.dialects import DIALECTS, Dialect
from demo.engine.model import ANSWER_TOKENS, BATCH, BLOCKS, FAULTS, Sequence
from demo.engine.server import Application

ROOT = Path(__file__).parents[3]
STEP = 0.02
# Counted by SGLang's frontend, not by its scheduler.
FRONT = {
    f"sglang:{name}"
    for name in (
        "prompt_tokens_total",
        "generation_tokens_total",
        "num_requests_total",
        "num_aborted_requests_total",
        "time_to_first_token_seconds",
        "inter_token_latency_seconds",
        "e2e_request_latency_seconds",
        "generation_tokens_histogram",
    )
}


class Run:
    """A model under a load of a given number of requests per second, or of all requests at once."""

    def __init__(self, kind: str = "vllm", fault: str = "none") -> None:
        self.dialect: Dialect = DIALECTS[kind]("m")
        self.dialect.model.fault = fault
        self.now = 0.0
        self.ends: list[str] = []

    def add(self, count: int = 1) -> list[Sequence]:
        sequences = [Sequence(self.now, done=self.ends.append) for _ in range(count)]
        for one in sequences:
            self.dialect.model.add(one)
        return sequences

    def go(self, secs: float, per_sec: float = 0.0) -> None:
        owed = 0.0
        for _ in range(round(secs / STEP)):
            owed += per_sec * STEP
            self.add(int(owed))
            owed %= 1
            self.now += STEP
            self.dialect.model.step(self.now, STEP)

    def value(self, name: str, **labels: str) -> float:
        text = self.dialect.exposition().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def test_the_engine_serves_a_load_within_its_capacity_without_a_queue() -> None:
    run = Run()
    run.go(20, per_sec=4)
    assert len(run.ends) > 70
    assert set(run.ends) == {"stop"}
    assert not run.dialect.model.waiting
    assert run.value("vllm:num_preemptions_total") == 0
    assert run.value("vllm:generation_tokens_total") >= len(run.ends) * ANSWER_TOKENS


def test_throughput_grows_with_the_batch_until_the_cache_is_full() -> None:
    def served(per_sec: float) -> int:
        run = Run()
        run.go(60, per_sec)
        return len(run.ends)

    assert served(6) > served(4) > served(2)
    full, fuller = Run(), Run()
    full.go(30, per_sec=6)
    fuller.go(30, per_sec=30)
    assert fuller.value("vllm:num_preemptions_total") > 0 == full.value("vllm:num_preemptions_total")
    assert len(fuller.ends) < len(full.ends), "sending all requests at once makes it worse"
    assert fuller.dialect.model.cache_usage > 0.9
    assert len(fuller.dialect.model.running) <= BATCH


def test_cache_blocks_are_neither_lost_nor_duplicated() -> None:
    run = Run()
    run.go(20, per_sec=30)
    model = run.dialect.model
    held = sum(one.blocks for one in model.running)
    assert held == round(model.cache_usage * BLOCKS) <= BLOCKS
    model.retract()
    assert model.cache_usage == 0
    assert not model.running
    asked = len(run.ends) + len(model.waiting)
    run.go(200)
    assert (len(run.ends), model.cache_usage) == (asked, 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_the_series_of_a_real_engine_with_that_fault(fault: str) -> None:
    run = Run(fault=fault)
    run.go(30, per_sec=2)
    queue = len(run.dialect.model.waiting)
    told = {
        "nan": run.value("vllm:corrupted_requests_total"),
        "repetition": run.value("vllm:request_success_total", finished_reason="repetition"),
        "error": run.value("vllm:request_success_total", finished_reason="error"),
        "short": run.value("vllm:request_generation_tokens_bucket", le="1.0"),
        "slow": float(queue > 10 and bool(run.ends)),
        "stuck": float(queue > 10 and not run.ends),
    }
    assert {name for name, value in told.items() if value} == {fault} - {"none", "dead"}


@pytest.mark.parametrize("kind", sorted(DIALECTS))
def test_series_have_the_names_and_labels_of_the_real_engine(kind: str) -> None:
    base = {"model_name", "engine_type", "tp_rank", "pp_rank", "moe_ep_rank"}
    # Series of the frontend have no ranks.
    ranks = {"tp_rank", "pp_rank", "moe_ep_rank"}
    rows = (ROOT / "tests" / "fixtures" / "engines" / f"{kind}.tsv").read_text().splitlines()
    real = {name: (type_, labels) for name, type_, labels, *_ in (f"{row}\t".split("\t") for row in rows)}
    run = Run(kind)
    run.go(5, per_sec=4)
    run.dialect.answered("/v1/chat/completions", 200)
    families = [
        one
        for one in text_string_to_metric_families(run.dialect.exposition().decode())
        if not one.name.endswith("_created")
    ]
    assert len(families) > 10
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        type_, labels = real[name]
        assert type_ == family.type
        named = set(labels.split(","))
        expected = named - {"BASE"} | (base if "BASE" in named else set()) - (
            ranks if name in FRONT else set()
        )
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == expected, name


def ask(run: Run, method: str, path: str, **body: str):
    query = body if run.dialect.__class__.__name__ == "Vllm" else {}
    return asyncio.run(run.dialect.control(method, path, query, body))


def meanwhile(run: Run, path: str, secs: float = 5.0, method: str = "GET", **body: str):
    """Send a request while the engine runs."""

    async def both():
        query = body if run.dialect.__class__.__name__ == "Vllm" else {}
        asked = asyncio.create_task(run.dialect.control(method, path, query, body))
        for _ in range(round(secs / STEP)):
            await asyncio.sleep(0)
            run.go(STEP)
        return await asked

    return asyncio.run(both())


def test_vllm_paused_with_keep_stops_and_keeps_its_requests() -> None:
    run = Run()
    run.add(20)
    run.go(0.2)
    ask(run, "POST", "/pause", mode="keep")
    assert ask(run, "GET", "/is_paused") == (200, {"is_paused": True})
    assert not run.dialect.refuses()
    run.go(10)
    assert (len(run.ends), ask(run, "GET", "/health")[0]) == (0, 200)
    ask(run, "POST", "/resume")
    run.go(30)
    assert run.ends == ["stop"] * 20


def test_vllm_paused_by_default_aborts_running_requests_and_refuses_new_ones() -> None:
    run = Run()
    run.add(20)
    run.go(0.2)
    ask(run, "POST", "/pause")
    assert run.ends == ["abort"] * 20
    assert run.dialect.refuses()
    assert run.value("vllm:request_success_total", finished_reason="abort") == 20
    ask(run, "POST", "/resume")
    assert not run.dialect.refuses()


def test_vllm_paused_with_wait_finishes_running_requests_and_then_stops() -> None:
    run = Run()
    run.add(5)
    run.go(0.2)
    assert meanwhile(run, "/pause", method="POST", mode="wait")[0] == 200
    assert run.ends == ["stop"] * 5
    assert run.dialect.refuses()
    assert ask(run, "GET", "/is_paused") == (200, {"is_paused": True})


def test_vllm_resumed_before_its_pause_began_is_not_paused_later() -> None:
    run = Run()
    run.add(5)
    run.go(0.2)

    async def both():
        pausing = asyncio.create_task(run.dialect.control("POST", "/pause", {"mode": "wait"}, {}))
        await asyncio.sleep(0)
        assert run.dialect.refuses()
        await run.dialect.control("POST", "/resume", {}, {})
        assert run.dialect.model.running, "the pause was still waiting"
        async with asyncio.timeout(10):
            await pausing

    asyncio.run(both())
    assert ask(run, "GET", "/is_paused") == (200, {"is_paused": False})
    assert not run.dialect.refuses()


def test_sglang_with_a_long_queue_is_healthy_while_it_generates_tokens() -> None:
    run = Run("sglang")
    run.dialect._health_secs = 1
    run.add(200)
    run.go(0.2)
    queue = len(run.dialect.model.waiting)
    assert meanwhile(run, "/health", 1.0)[0] == 200
    assert queue > 150
    run.dialect.model.fault = "stuck"
    run.dialect._health_secs = 0.05
    assert meanwhile(run, "/health", 1.0)[0] == 503
    assert not any(one.is_probe for one in run.dialect.model.waiting), (
        "the engine sends no probe while it has requests"
    )


def test_sglang_does_not_count_its_own_health_checks() -> None:
    run = Run("sglang")
    for _ in range(5):
        assert meanwhile(run, "/health", 1.0)[0] == 200
    ask(run, "POST", "/pause_generation", mode="in_place")
    run.dialect._health_secs = 0.05
    assert meanwhile(run, "/health", 1.0)[0] == 503
    assert not run.dialect.model.waiting
    assert run.value("sglang:realtime_tokens_total", mode="decode") == 5
    for name in FRONT - {"sglang:prompt_tokens_total", "sglang:generation_tokens_total"}:
        assert run.value(name if name.endswith("_total") else f"{name}_count") == 0, name
    assert run.value("sglang:prompt_tokens_total") == run.value("sglang:generation_tokens_total") == 0


def test_a_client_that_disconnects_is_not_an_error_of_the_engine() -> None:
    engine = Application("m", "sglang")
    messages = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    async def ask_it():
        await engine({"type": "http", "path": "/v1/chat/completions", "method": "POST"}, receive, send)
        engine._ticking.cancel()

    asyncio.run(ask_it())
    text = engine.dialect.exposition().decode()
    assert 'status_code="400"' in text
    assert 'status_code="503"' not in text
    assert not engine.dialect.model.waiting


def test_a_dead_engine_sends_no_response() -> None:
    engine = Application("m")
    messages = [{"type": "http.request"}, {"type": "http.disconnect"}]
    sent: list[object] = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    async def ask_it():
        engine.dialect.model.fault = "dead"
        await engine({"type": "http", "path": "/metrics", "method": "GET"}, receive, send)
        engine._ticking.cancel()

    asyncio.run(ask_it())
    assert (messages, sent) == ([], [])


@pytest.mark.parametrize("mode", ["in_place", "retract", "abort"])
def test_a_paused_sglang_fails_its_health_check_and_queues_requests(mode: str) -> None:
    run = Run("sglang")
    run.dialect._health_secs = 0.01
    run.add(20)
    run.go(0.2)
    ask(run, "POST", "/pause_generation", mode=mode)
    assert ask(run, "GET", "/ready")[0] == 503
    assert ask(run, "GET", "/health")[0] == 503
    assert ask(run, "GET", "/ping")[0] == 200
    assert not run.dialect.refuses()
    assert bool(run.dialect.model.running) == (mode == "in_place")
    assert (run.value("sglang:num_aborted_requests_total") >= 20) == (mode == "abort")
    run.add()
    run.go(5)
    assert run.ends.count("stop") == 0
    ask(run, "POST", "/continue_generation")
    run.go(30)
    assert run.ends.count("stop") == (1 if mode == "abort" else 21)
    assert ask(run, "GET", "/ready")[0] == 200
