"""A WSGI application that creates its gate, and waits for its state, before gunicorn forks
(``--preload``)."""

from __future__ import annotations

import os

from sidecar.client import Gate, InferencePaused

gate = Gate(wait_secs=0)
gate.wait(30)


def app(environ, start_response):
    try:
        gate.wait()
        status = "200 OK"
    except InferencePaused:
        status = "503 Service Unavailable"
    body = str(os.getpid()).encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
