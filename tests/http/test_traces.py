"""The refusal of a gate request has the trace context of the request, on the fast path and on the ASGI
path."""

from __future__ import annotations

import json

import pytest
import requests

from harness.raw import Connection
from harness.sidecar import Sidecar

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("before", [(), ("/-/healthy",)], ids=["fast-path", "asgi-path"])
def test_a_refusal_carries_the_trace_context_of_its_request(
    sidecar: Sidecar, scope: str, before: tuple[str, ...]
) -> None:
    sidecar.pause(scope)
    with Connection(sidecar) as connection:
        for path in before:
            connection.get(path)
            connection.receive()
        for _ in range(2):
            connection.get(f"/v1/gate/{scope}?wait=0.01", f"traceparent: {TRACEPARENT}")
            answer = connection.receive()
            assert answer.status == 503
            assert answer.headers["traceparent"] == TRACEPARENT
            assert json.loads(answer.body)["traceparent"] == TRACEPARENT
        connection.get(f"/v1/gate/{scope}?wait=0", "traceparent: no trace\t")
        answer = connection.receive()
        assert answer.status == 503
        assert "traceparent" not in answer.headers
        assert "traceparent" not in json.loads(answer.body)


def test_a_trace_context_is_never_used_for_another_request(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    with requests.Session() as session:
        url = f"{sidecar.url}/v1/gate/{scope}?wait=0"
        for number in (1, 2, 3):
            trace = f"00-{number:032x}-{number:016x}-01"
            assert session.get(url, headers={"traceparent": trace}).headers["traceparent"] == trace
        assert "traceparent" not in session.get(url).headers
