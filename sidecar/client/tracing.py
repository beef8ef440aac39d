"""The wait at a closed gate as an OpenTelemetry span, in programs that use OpenTelemetry.

This file imports ``opentelemetry`` only if the program has imported ``opentelemetry.trace`` already: a
program without that import has no tracer provider, and its spans would be discarded. Nothing is imported or
looked up while the gate is open.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sidecar.supervision import Failures
from sidecar.trace_context import HEADER, STATE_HEADER, parse_traceparent

if TYPE_CHECKING:
    from .routing import Refusal

SPAN = "wellbeing.gate.wait"
"""The name of the span. Its attributes are ``wellbeing.scope``, ``.outcome`` and ``.reason``."""
_TASK = "wait_span"
_REFUSED = "timed_out"


class WaitSpan:
    """The span of one wait; it does nothing in a program without OpenTelemetry.

    An exception of a span processor is counted and logged. It never disturbs the wait.

    Args:
        failures: counts and logs exceptions.
    """

    __slots__ = ("_failures", "_span")

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._span: Any = None

    def begin(self, scope: str, reason: str) -> None:
        """Begin the span of a wait at the gate of ``scope``, which is closed for ``reason``."""
        if (trace := _opentelemetry()) is None:
            return
        try:
            self._span = trace.get_tracer("sidecar.client").start_span(
                SPAN, attributes={"wellbeing.scope": scope, "wellbeing.reason": reason}
            )
        except Exception:  # noqa: BLE001 - recorded; the wait continues
            self._failures.record(_TASK)

    def end(self, outcome: str) -> None:
        """End the span with the outcome ``waited``, ``timed_out`` (an error) or ``abandoned``."""
        span, self._span = self._span, None
        if span is None:
            return
        try:
            span.set_attribute("wellbeing.outcome", outcome)
            if outcome == _REFUSED and (trace := _opentelemetry()) is not None:
                span.set_status(trace.Status(trace.StatusCode.ERROR, "inference is paused"))
            span.end()
        except Exception:  # noqa: BLE001 - recorded; the request continues
            self._failures.record(_TASK)


@contextmanager
def parent_from(traceparent: str | None, tracestate: str = "") -> Iterator[None]:
    """Within this context, a wait's span is a child of the span that ``traceparent`` names.

    If the program's own instrumentation already has a current span, that span stays the parent.

    Args:
        traceparent: a valid trace context, or None.
        tracestate: the header of this name.
    """
    trace = _opentelemetry() if traceparent is not None else None
    if trace is None or trace.get_current_span().get_span_context().is_valid:
        yield
        return
    from opentelemetry import context  # noqa: PLC0415 - it is loaded already
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    headers = {HEADER: traceparent, STATE_HEADER: tracestate}
    token = context.attach(TraceContextTextMapPropagator().extract(headers))
    try:
        yield
    finally:
        context.detach(token)


def trace_headers(headers: list[tuple[bytes, bytes]]) -> tuple[str | None, str]:
    """``traceparent``, if it is valid, and ``tracestate`` of an ASGI request."""
    traceparent = parse_traceparent([value for name, value in headers if name == HEADER.encode()])
    states = [value.decode("latin-1") for name, value in headers if name == STATE_HEADER.encode()]
    return traceparent, ",".join(states)


def with_traceparent(refusal: Refusal, traceparent: str | None) -> Refusal:
    """Add the trace context of the refused request to its refusal, as a header and in ``error``."""
    if traceparent is None:
        return refusal
    document = json.loads(refusal.body)
    document["error"][HEADER] = traceparent
    body = json.dumps(document).encode()
    headers = [
        (name, str(len(body)) if name == "content-length" else value) for name, value in refusal.headers
    ]
    return replace(refusal, headers=(*headers, (HEADER, traceparent)), body=body)


def _opentelemetry() -> Any:  # noqa: ANN401 - its types are not there where it is not
    module = sys.modules.get("opentelemetry.trace")
    # Another thread may be importing it just now.
    return module if hasattr(module, "StatusCode") and hasattr(module, "get_tracer") else None
