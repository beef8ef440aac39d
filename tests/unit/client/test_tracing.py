"""The wait at a closed gate as a span, recorded by the real SDK."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sidecar.client import Gate, InferencePaused, TooManyWaiting
from sidecar.client.asgi import GateMiddleware as AsgiMiddleware
from sidecar.client.snapshot import GateSnapshot
from sidecar.client.wsgi import GateMiddleware as WsgiMiddleware

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
CLOSED = GateSnapshot.of(
    {
        "scope": "team-a",
        "gate": "closed",
        "state": "distressed",
        "effective_state": "distressed",
        "reason": "too hot",
        "since": None,
        "until": None,
        "held_by": "team-a",
        "version": 1,
    }
)
_provider = TracerProvider()
_exporter = InMemorySpanExporter()
_provider.add_span_processor(SimpleSpanProcessor(_exporter))


@pytest.fixture(autouse=True)
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", _provider)
    _exporter.clear()
    return _exporter


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that its sidecar closed. The sidecar does not respond any more."""
    with Gate(
        "unix:/nowhere/at/all",
        scope="team-a",
        report_secs=0,
        wait_secs=0,
        unreachable="closed",
        max_waiting=1,
    ) as gate:
        gate._decided.wait()
        close(gate)
        yield gate


def close(gate: Gate) -> None:
    gate._followers.get()._on_state(False, CLOSED)


def open_(gate: Gate) -> None:
    gate._followers.get()._on_state(True, None)


def only(spans: InMemorySpanExporter):
    [span] = spans.get_finished_spans()
    assert span.name == "wellbeing.gate.wait"
    assert span.attributes["wellbeing.scope"] == "team-a"
    assert span.attributes["wellbeing.reason"] == "too hot"
    return span


def test_a_wait_that_times_out_is_a_span_with_an_error(gate: Gate, spans: InMemorySpanExporter) -> None:
    with pytest.raises(InferencePaused):
        gate.wait(0.01)
    span = only(spans)
    assert span.attributes["wellbeing.outcome"] == "timed_out"
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.end_time > span.start_time


def test_an_open_gate_creates_no_span(gate: Gate, spans: InMemorySpanExporter) -> None:
    open_(gate)
    gate.wait()
    asyncio.run(gate.wait_async())
    assert spans.get_finished_spans() == ()


def test_a_woken_task_ends_its_span(gate: Gate, spans: InMemorySpanExporter) -> None:
    async def main() -> None:
        with trace.get_tracer("program").start_as_current_span("request"):
            waiting = asyncio.ensure_future(gate.wait_async(60))
            await asyncio.sleep(0)
            open_(gate)
            await waiting

    asyncio.run(main())
    wait, request = spans.get_finished_spans()
    assert wait.attributes["wellbeing.outcome"] == "waited"
    assert wait.status.status_code is trace.StatusCode.UNSET
    assert wait.parent.span_id == request.context.span_id


def test_the_span_of_a_cancelled_task_is_abandoned(gate: Gate, spans: InMemorySpanExporter) -> None:
    async def main() -> None:
        waiting = asyncio.ensure_future(gate.wait_async(60))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(main())
    assert only(spans).attributes["wellbeing.outcome"] == "abandoned"


def test_a_request_beyond_the_limit_has_a_span(gate: Gate, spans: InMemorySpanExporter) -> None:
    async def main() -> None:
        waiting = asyncio.ensure_future(gate.wait_async(60))
        await asyncio.sleep(0)
        with pytest.raises(TooManyWaiting):
            await gate.wait_async(60)
        assert only(spans).attributes["wellbeing.outcome"] == "timed_out"
        open_(gate)
        await waiting

    asyncio.run(main())


class Raises(SpanProcessor):
    def on_start(self, span, parent_context=None) -> None:
        raise OSError("the exporter is broken")

    def on_end(self, span) -> None:
        raise OSError("the exporter is broken")


def test_a_broken_span_processor_does_not_disturb_requests(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = TracerProvider()
    broken.add_span_processor(Raises())
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", broken)
    with pytest.raises(InferencePaused):
        gate.wait(0)
    assert gate.counts["timed_out"] == 1
    assert gate.health.failures == 1


async def _chat(middleware: AsgiMiddleware, headers: list[tuple[bytes, bytes]]) -> list[dict]:
    sent: list[dict] = []

    async def receive() -> dict:
        if not sent:
            sent.append({})
            return {"type": "http.request", "body": b"{}"}
        return await asyncio.Event().wait()

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
    await middleware(scope, receive, send)
    return sent[1:]


def test_the_asgi_middleware_continues_the_trace(gate: Gate, spans: InMemorySpanExporter) -> None:
    headers = [(b"traceparent", TRACEPARENT.encode()), (b"tracestate", b"vendor=1")]
    start, body = asyncio.run(_chat(AsgiMiddleware(None, gate), headers))
    sent = dict(start["headers"])
    assert start["status"] == 503
    assert sent[b"traceparent"] == TRACEPARENT.encode()
    assert json.loads(body["body"])["error"]["traceparent"] == TRACEPARENT
    assert int(sent[b"content-length"]) == len(body["body"])
    span = only(spans)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.context.trace_state["vendor"] == "1"


def test_the_span_of_the_program_is_the_parent_under_the_asgi_middleware(
    gate: Gate, spans: InMemorySpanExporter
) -> None:
    async def main() -> None:
        with trace.get_tracer("program").start_as_current_span("request"):
            await _chat(AsgiMiddleware(None, gate), [(b"traceparent", TRACEPARENT.encode())])

    asyncio.run(main())
    wait, request = spans.get_finished_spans()
    assert wait.parent.span_id == request.context.span_id


def test_an_invalid_trace_context_is_ignored(gate: Gate, spans: InMemorySpanExporter) -> None:
    start, body = asyncio.run(_chat(AsgiMiddleware(None, gate), [(b"traceparent", b"what")]))
    assert b"traceparent" not in dict(start["headers"])
    assert "traceparent" not in json.loads(body["body"])["error"]
    assert only(spans).parent is None


def test_the_wsgi_middleware_continues_the_trace(gate: Gate, spans: InMemorySpanExporter) -> None:
    answered = {}

    def start_response(status: str, headers: list[tuple[str, str]]) -> None:
        answered.update(headers, status=status)

    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/v1/messages", "HTTP_TRACEPARENT": TRACEPARENT}
    [body] = WsgiMiddleware(None, gate)(environ, start_response)
    assert answered["status"].startswith("503")
    assert answered["Traceparent"] == TRACEPARENT
    assert json.loads(body)["error"]["traceparent"] == TRACEPARENT
    assert f"{only(spans).parent.span_id:016x}" == PARENT


def test_a_program_without_opentelemetry_imports_nothing_of_it() -> None:
    program = """
import sys
from sidecar.client import Gate, InferencePaused
from sidecar.client.asgi import GateMiddleware
with Gate("unix:/nowhere", report_secs=0, unreachable="closed") as gate:
    try:
        gate.wait(0)
    except InferencePaused:
        print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
