"""Test doubles of the pause APIs of inference servers, with the contracts and faults of the real ones."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class EngineStub:
    """An engine that can be paused by an API.

    Attributes:
        paused: whether it is paused.
        requests: all requests: method, path with query, JSON body.
        fault: ``refuse`` answers 500, ``slow`` takes a second, ``lie`` answers 200 and does nothing; empty: none.
    """

    def __init__(self, kind: str, port: int = 0) -> None:
        self.kind = kind
        self.paused = False
        self.fault = ""
        self.requests: list[tuple[str, str, Any]] = []
        self.values: dict[str, Any] = {}
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._answer(json.loads(data) if data else None)

            def do_PUT(self) -> None:
                self.do_POST()

            def _answer(self, body: Any) -> None:
                stub.requests.append((self.command, self.path, body))
                status, answer = stub.answer(self.command, self.path, body)
                payload = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(payload)))
                    self.end_headers()
                    self.wfile.write(payload)
                except OSError:
                    pass

            def log_message(self, *_: object) -> None:
                pass

        self._handler = Handler
        self._serve(port)

    def _serve(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server. The engine is no longer paused."""
        self._server.shutdown()
        self._server.server_close()
        self.paused = False

    def start(self) -> None:
        """Start the server again at the same port."""
        self._serve(self.port)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON of the response, by the contract of the kind."""
        if self.fault == "refuse":
            return 500, {}
        if self.fault == "slow":
            time.sleep(1.0)
        parts = urlsplit(path)
        route = (method, parts.path)
        turns = {
            "vllm": {("POST", "/pause"): True, ("POST", "/resume"): False},
            "ray": {("POST", "/pause"): True, ("POST", "/resume"): False},
            "sglang": {("POST", "/pause_generation"): True, ("POST", "/continue_generation"): False},
            "http": {("PUT", "/switch/off"): True, ("PUT", "/switch/on"): False},
            "import": {},
        }[self.kind]
        if route in turns:
            if self.kind == "ray" and body.get("model") != "m":
                return 404, {}
            if self.fault != "lie":
                self.paused = turns[route]
            return 200, {}
        asked = {
            "vllm": "/is_paused",
            "ray": "/is_paused",
            "sglang": "/ready",
            "http": "/switch",
            "import": "/metrics",
        }
        if route != ("GET", asked[self.kind]):
            return 404, {}
        if self.kind == "sglang":
            return (503 if self.paused else 200), {}
        if self.kind == "ray" and parse_qs(parts.query) != {"model": ["m"]}:
            return 404, {}
        if self.kind == "http":
            return 200, {"switch": {"off": self.paused}}
        return 200, self.values if self.kind == "import" else {"is_paused": self.paused}
