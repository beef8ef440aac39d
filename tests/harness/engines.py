"""Test doubles of the pause APIs of inference servers, with the contracts and faults of the real ones."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from .ports import free_port


class EngineStub:
    """An engine that can be paused by an API.

    Attributes:
        paused: whether it is paused.
        requests: all requests: method, path with query, JSON body.
        fault: ``refuse`` answers 500, ``locked`` 401, ``slow`` takes a second, ``lie`` answers 200 and does nothing; empty: none.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.paused = False
        self.asleep = False
        self.deployments = {"a": False, "b": False}
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
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start the server, or start it again at the same port."""
        self._stopped = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler)
        self._server.daemon_threads = True
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server. The engine is no longer paused."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self.paused = self.asleep = False
        self.deployments = dict.fromkeys(self.deployments, False)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON of the response, by the contract of the kind."""
        if self.fault == "refuse":
            return 500, {}
        if self.fault == "locked":
            return 401, {}
        if self.fault == "slow":
            self._stopped.wait(1.0)
        parts = urlsplit(path)
        route = (method, parts.path)
        turns = {
            "vllm": {("POST", "/pause"): True, ("POST", "/resume"): False},
            "ray": {("POST", "/pause"): True, ("POST", "/resume"): False},
            "sglang": {("POST", "/pause_generation"): True, ("POST", "/continue_generation"): False},
            "dynamo": {
                ("POST", "/engine/pause_generation"): True,
                ("POST", "/engine/resume_generation"): False,
            },
            "litellm": {},
            "http": {("PUT", "/switch/off"): True, ("PUT", "/switch/on"): False},
            "import": {},
        }[self.kind]
        if self.kind == "litellm":
            return self._answer_as_litellm(route, body)
        if self.kind == "vllm" and parts.path in ("/sleep", "/wake_up"):
            # As vLLM does: sleep pauses, and waking up resumes.
            self.asleep = self.paused = parts.path == "/sleep"
            return 200, {"status": "sleeping" if self.asleep else "awake"}
        if route in turns:
            if self.kind == "vllm" and not turns[route]:
                assert not self.asleep, "vLLM would compute without weights"
            if self.kind == "ray" and body.get("model") != "m":
                return 404, {}
            if self.fault != "lie":
                self.paused = turns[route]
            return 200, {}
        asked = {
            "vllm": "/is_paused",
            "ray": "/is_paused",
            "sglang": "/ready",
            "dynamo": "/live",
            "http": "/switch",
            "import": "/metrics",
        }
        if route != ("GET", asked[self.kind]):
            return 404, {}
        if self.kind == "dynamo":
            return 200, {}
        if self.kind == "sglang":
            return (503 if self.paused else 200), {}
        if self.kind == "ray" and parse_qs(parts.query) != {"model": ["m"]}:
            return 404, {}
        if self.kind == "http":
            return 200, {"switch": {"off": self.paused}}
        return 200, self.values if self.kind == "import" else {"is_paused": self.paused}

    def _answer_as_litellm(self, route: tuple[str, str], body: Any) -> tuple[int, Any]:
        if route == ("GET", "/model/info"):
            ours = [
                {"model_name": "m", "model_info": {"id": one, "db_model": True, "blocked": blocked}}
                for one, blocked in self.deployments.items()
            ]
            config = {"model_name": "from-config", "model_info": {"id": "c", "db_model": False}}
            return 200, {"data": [*ours, config]}
        if route in (("POST", "/model/block"), ("POST", "/model/unblock")):
            if self.fault != "lie":
                self.deployments[body["model_id"]] = route[1] == "/model/block"
            self.paused = all(self.deployments.values())
            return 200, {}
        return 404, {}
