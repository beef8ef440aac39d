"""Error messages do not contain secrets."""

from __future__ import annotations

import base64
import socket
import struct
import threading
from pathlib import Path
from typing import Self

import pytest
import requests

from sidecar.http_json import HttpAccess, HttpRequestFailed, _proxies, request_json

NOBODY = "http://user:S3CRET@127.0.0.1:1/x"


def failure(url: str = NOBODY, **access) -> str:
    with pytest.raises(HttpRequestFailed) as caught:
        request_json("GET", url, HttpAccess(**access), timeout=1.0, max_bytes=100)
    return str(caught.value)


@pytest.mark.parametrize("token", ["S3CRET\nand more", "S3CRET x", "S3CRET\u00e9"])
def test_the_error_for_an_invalid_token_does_not_reveal_it(token: str, tmp_path: Path) -> None:
    assert "S3CRET" not in failure(bearer_token=token)
    (tmp_path / "token").write_text(token)
    assert "S3CRET" not in failure(bearer_token_file=str(tmp_path / "token"))


def test_an_empty_file_with_a_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    path = str(tmp_path / "secret")
    for access in ({"bearer_token_file": path}, {"username": "me", "password_file": path}):
        assert failure("http://127.0.0.1:1/x", **access).endswith("is empty")


def test_errors_do_not_reveal_credentials_of_a_url() -> None:
    assert "S3CRET" not in failure()
    assert "S3CRET" not in failure("http://user:S3CRET@[bad")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "nothing-here" in failure(bearer_token_file=str(tmp_path / "nothing-here"))


# -- servers of all kinds -------------------------------------------------------------------------


class Server:
    """Answers each connection with the same bytes, in several pieces."""

    def __init__(self, *pieces: bytes, pause: float = 0.0, linger: bool = False) -> None:
        self.pieces, self.pause, self.linger = pieces, pause, linger
        self.requests: list[bytes] = []
        self.stopped = threading.Event()
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/x"
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            with client:
                try:
                    self.requests.append(client.recv(65_536))
                    for piece in self.pieces:
                        client.sendall(piece)
                        self.stopped.wait(self.pause)
                    if self.linger:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                except OSError:
                    continue


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def ask(url: str, timeout: float = 5.0, max_bytes: int = 1000, **access):
    return request_json("GET", url, HttpAccess(**access), timeout=timeout, max_bytes=max_bytes)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 2",
        b"\x00\x01\x02\r\n\r\n",
        HEAD + b"Content-Length: 100\r\n\r\n{",
        HEAD + b"Content-Length: no\r\n\r\n" + b"{" * 2000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
        HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n{}",
        HEAD + b"".join(b"X-%d: x\r\n" % number for number in range(500)) + b"\r\n{}",
        HEAD + b"Content-Length: 5000\r\n\r\n" + b" " * 5000,
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=lambda answer: repr(answer[-20:]),
)
@pytest.mark.parametrize("linger", [False, True])
def test_every_broken_response_raises_one_error_type(answer: bytes, linger: bool) -> None:
    with Server(answer, linger=linger) as server, pytest.raises(HttpRequestFailed):
        ask(server.url)


@pytest.mark.parametrize(
    "start", [b"", HEAD, HEAD + b"Content-Length: 9000\r\n\r\n"], ids=["status", "head", "body"]
)
def test_a_slow_response_ends_at_the_timeout(start: bytes) -> None:
    drops = [b"X"] if start != HEAD else [b"X: y\r\n"]
    with (
        Server(start, *(drops * 400), pause=0.05) as server,
        pytest.raises(HttpRequestFailed, match=r"was not complete within 0\.5 s"),
    ):
        ask(server.url, timeout=0.5, max_bytes=100_000)


def test_every_exception_of_a_library_raises_one_error_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("http://user:S3CRET@host/")

    monkeypatch.setattr(requests.Session, "request", broken)
    assert "S3CRET" not in failure()


# -- variables of the environment --------------------------------------------------------------------

OK = HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    (tmp_path / ".netrc").write_text(
        "machine 127.0.0.1 login somebody password FOREIGN\ndefault login a password FOREIGN\n"
    )
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "no-such-bundle.pem"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    return monkeypatch


@pytest.mark.parametrize("access", [{}, {"bearer_token": "mine"}, {"username": "me", "password": "mine"}])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_credentials_and_proxies_of_the_environment_are_ignored(
    hostile: pytest.MonkeyPatch, access: dict[str, str], host: str
) -> None:
    with Server(OK) as server:
        assert ask(f"http://{host}:{server.port}/x", **access) == (200, {})
    head = server.requests[0]
    assert b"FOREIGN" not in head
    given = [line for line in head.split(b"\r\n") if line.lower().startswith(b"authorization")]
    assert len(given) == bool(access)
    assert not given or b"somebody" not in base64.b64decode(given[0].split()[-1] + b"==")


def test_a_proxy_is_used_for_another_machine(hostile: pytest.MonkeyPatch) -> None:
    with Server(OK) as proxy:
        hostile.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert ask("http://alertmanager.example/x", bearer_token="mine") == (200, {})
        hostile.setenv("no_proxy", "alertmanager.example")
        with pytest.raises(HttpRequestFailed):
            ask("http://alertmanager.example/x", timeout=1.0)
    assert proxy.requests[0].startswith(b"GET http://alertmanager.example/x ")
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"])
def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    assert _proxies(f"http://{host}:9093/") == {}
    assert _proxies("http://am.example:9093/") != {}
