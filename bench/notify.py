"""Webhook notifications with any number of alerts."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from .talk import request

_NEVER = "0001-01-01T00:00:00Z"


def notification(
    count: int, *, firing: bool, scopes: int, prefix: str = "e", state: str = "distressed"
) -> bytes:
    """A request with ``count`` alerts, spread over ``scopes`` scopes, and newer than all earlier ones."""
    named = [f"{prefix}/{number % scopes}" for number in range(count)]
    return notification_at(named, firing=firing, state=state)


def notification_at(scopes: Sequence[str], *, firing: bool, state: str = "distressed") -> bytes:
    """A request with an alert for each of ``scopes``, and newer than all earlier ones."""
    now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds")
    status = "firing" if firing else "resolved"
    alerts = [
        {
            "status": status,
            "labels": {
                "alertname": "RequestsPileUp",
                "instance": f"10.0.{number // 250}.{number % 250}:8000",
                "job": "vllm",
                "model_name": "meta-llama/Llama-3.1-8B",
                "namespace": "inference",
                "pod": f"llama-{number}",
                "wellbeing": state,
                "wellbeing_scope": scope,
            },
            "annotations": {"summary": f"{number} requests wait in meta-llama/Llama-3.1-8B"},
            "startsAt": now,
            "endsAt": _NEVER if firing else now,
            "generatorURL": "http://prometheus:9090/graph?g0.expr=vllm%3Anum_requests_waiting+%3E+100&g0.tab=1",
            "fingerprint": f"{number:016x}",
        }
        for number, scope in enumerate(scopes)
    ]
    body = {
        "receiver": "wellbeing-sidecar",
        "status": status,
        "alerts": alerts,
        "groupLabels": {"alertname": "RequestsPileUp"},
        "commonLabels": {"alertname": "RequestsPileUp", "job": "vllm"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}:{alertname="RequestsPileUp"}',
        "truncatedAlerts": 0,
    }
    return request("POST", "/v1/alerts", json.dumps(body).encode())
