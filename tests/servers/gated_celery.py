"""A Celery application that creates its gate, and waits for its state, before the pool forks."""

from __future__ import annotations

import os

from celery_queue import app

from sidecar.client import Gate, InferencePaused

gate = Gate(wait_secs=0)
gate.wait(30)


@app.task(name="ask")
def ask() -> tuple[str, int]:
    """Whether a request passes the gate, and the process that asked."""
    try:
        gate.wait()
    except InferencePaused:
        return "paused", os.getpid()
    return "passed", os.getpid()
