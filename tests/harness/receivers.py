"""Receivers of hooks: a plain HTTP endpoint, one like Slack's, and Grafana's annotation API."""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import jsonschema
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from .ports import free_port

_SCHEMAS = json.loads((Path(__file__).parents[1] / "fixtures" / "grafana" / "annotations.json").read_text())


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Records requests and answers them; use it as a context manager.

    Attributes:
        received: the requests that were answered, in the order of their arrival.
        status: the status of the answers.
        fields: header fields of the answers.
        open: while it is not set, requests hang.
    """

    def __init__(self, port: int = 0, certificate: Path | None = None) -> None:
        self.received: list[Received] = []
        self.status = 200
        self.fields: dict[str, str] = {}
        self.open = threading.Event()
        self.open.set()
        self.tries = 0
        self._port = port or free_port()
        self._certificate = certificate

    def answer(self, request: Received) -> tuple[int, bytes]:
        return self.status, b"ok"

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                receiver.tries += 1
                receiver.open.wait()
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Received(self.command, self.path, headers, body)
                status, answer = receiver.answer(request)
                receiver.received.append(request)
                try:
                    self.send_response(status)
                    for name, value in receiver.fields.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    pass

            do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 - names of http.server

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate, self._certificate.with_name("key.pem"))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if self._certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self._port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()

    def events(self) -> list[tuple[str, str]]:
        """Name and scope of each CloudEvent that was accepted."""
        data = [one.json()["data"] for one in self.received if one.method == "POST"]
        return [(one["event"], one["scope"]) for one in data]


class SlackReceiver(Receiver):
    """Refuses messages that Slack's incoming webhooks refuse, by the limits in Slack's SDK."""

    def answer(self, request: Received) -> tuple[int, bytes]:
        message = request.json()
        if not message.get("text"):
            return 400, b"no_text"
        if set(message) - {"text", "blocks", "unfurl_links", "unfurl_media"}:
            return 400, b"invalid_payload"
        try:
            for block in Block.parse_all(message["blocks"]):
                block.validate_json()
            texts = [one["text"]["text"] for one in message["blocks"] if "text" in one]
        except SlackObjectFormationError as error:
            return 400, f"invalid_blocks: {error}".encode()
        if any(len(text) > 3000 for text in texts) or len(message["text"]) > 40_000:
            return 400, b"msg_too_long"
        return 200, b"ok"


class GrafanaReceiver(Receiver):
    """Grafana's annotation API.

    Attributes:
        annotations: the annotations by id.
        lose_next_answer: whether to store the next annotation, but answer like a broken gateway.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.annotations: dict[int, dict[str, Any]] = {}
        self.lose_next_answer = False

    def answer(self, request: Received) -> tuple[int, bytes]:
        if request.headers.get("authorization") != "Bearer grafana-token":
            return 401, b'{"message": "Unauthorized"}'
        url = urlsplit(request.path)
        if url.path == "/grafana/api/annotations":
            return self._list(parse_qs(url.query)) if request.method == "GET" else self._create(request)
        number = int(url.path.removeprefix("/grafana/api/annotations/"))
        if request.method != "PATCH" or number not in self.annotations:
            return 404, b'{"message": "Could not find annotation to update"}'
        jsonschema.validate(request.json(), _SCHEMAS["PatchAnnotationsCmd"])
        self.annotations[number].update(request.json())
        return 200, b'{"message": "Annotation patched"}'

    def _create(self, request: Received) -> tuple[int, bytes]:
        jsonschema.validate(request.json(), _SCHEMAS["PostAnnotationsCmd"])
        number = len(self.annotations) + 1
        self.annotations[number] = request.json()
        if self.lose_next_answer:
            self.lose_next_answer = False
            return 502, b"bad gateway"
        return 200, json.dumps({"message": "Annotation added", "id": number}).encode()

    def _list(self, query: dict[str, list[str]]) -> tuple[int, bytes]:
        first, last = int(query["from"][0]), int(query["to"][0])
        found = [
            {"id": number, **one}
            for number, one in self.annotations.items()
            if one["time"] <= last
            and one.get("timeEnd", one["time"]) >= first
            and set(query["tags"]) <= set(one["tags"])
        ]
        return 200, json.dumps(found).encode()
