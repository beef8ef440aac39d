"""A TCP server that answers each HTTP request as a test decides, correctly or not."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any, Self

from .ports import free_port

Answer = Callable[[socket.socket], None]


class Request:
    """A request that the server received."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ")
        self.headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        self.body = body

    @property
    def is_watch(self) -> bool:
        return "/v1/watch" in self.target


class HostileServer:
    """The server; use it as a context manager. ``answers`` is called with each request and returns its answer.

    If it returns None, reports and states are accepted, and a watch is parked until the server stops.
    """

    def __init__(self, answers: Callable[[Request], Answer | None]) -> None:
        self.answers = answers
        self.requests: list[Request] = []
        self.ending = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.url = f"http://127.0.0.1:{self.port}"
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(10)

    @property
    def watches(self) -> list[Request]:
        return [request for request in list(self.requests) if request.is_watch]

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.ending.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        # `stop` closes the known connections. Another one may be accepted at that moment.
        with sock, contextlib.suppress(OSError):
            while (request := _receive(sock)) is not None:
                self.requests.append(request)
                answer = self.answers(request)
                if answer is not None:
                    answer(sock)
                elif request.is_watch:
                    self.ending.wait()
                else:
                    sock.sendall(answered({}))


def _receive(sock: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    request = Request(head, body)
    while len(body) < int(request.headers.get("content-length", 0)):
        body += sock.recv(65536)
    request.body = body
    return request


def snapshot(gate: str = "open", version: int = 1, **members: Any) -> dict[str, Any]:
    closed = gate == "closed"
    return {
        "scope": "",
        "gate": gate,
        "state": "distressed" if closed else "healthy",
        "effective_state": "distressed" if closed else "healthy",
        "reason": "a reason" if closed else None,
        "since": "2026-01-01T00:00:00.000Z" if closed else None,
        "until": None,
        "held_by": "" if closed else None,
        "version": version,
        **members,
    }


def answered(body: Any, status: int = 200, **headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


def sends(data: bytes) -> Answer:
    return lambda sock: sock.sendall(data)


def cuts(data: bytes) -> Answer:
    """Send ``data`` and close the connection."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_RDWR)

    return answer


def resets(data: bytes) -> Answer:
    """Send ``data`` and reset the connection."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(data)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    return answer


def stalls(server: HostileServer, data: bytes) -> Answer:
    """Send ``data`` and then nothing."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(data)
        server.ending.wait()

    return answer


def drips(server: HostileServer, data: bytes, drop: bytes = b"x", every: float = 0.02) -> Answer:
    """Send ``data``, and then send ``drop`` repeatedly."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(data)
        while not server.ending.wait(every):
            sock.sendall(drop)

    return answer
