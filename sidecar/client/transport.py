"""HTTP/1.1 over TCP, TLS, a proxy or a Unix socket, with a deadline for every step.

`http.client` parses and writes. This file adds a deadline for the whole exchange, a limit on received bytes,
Unix sockets, and a shutdown from another thread.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import Any

# `getaddrinfo` needs this module. If a thread imported it later, a forked child could wait for the import
# lock forever.
import encodings.idna  # noqa: F401  # isort: skip

from .endpoint import Endpoint
from .errors import Misconfigured, Unreachable

_CONNECT_SECS = 5.0
_MAX_HEAD_BYTES = 262_144


class HttpTransport(http.client.HTTPConnection):
    """A connection to one sidecar. It is opened when needed and kept alive.

    Args:
        endpoint: the address of the sidecar.
        proxy: the proxy, or None.
        ca_file: a CA bundle (PEM); None: the system's trust store.
        cert_file: client certificate and key (PEM).
        max_bytes: the largest body that is accepted.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        proxy: Endpoint | None,
        *,
        ca_file: str | None,
        cert_file: str | None,
        max_bytes: int,
    ) -> None:
        super().__init__(endpoint.host, endpoint.port or None)
        self._endpoint = endpoint
        self._proxy = proxy
        self._ca_file = ca_file
        self._cert_file = cert_file
        self._max_bytes = max_bytes
        self._deadline = 0.0
        self._connect_by = 0.0
        self._received = 0
        self._interrupted = False
        self.default_port = 443 if endpoint.is_tls else 80  # The Host header leaves out this port.
        self.response_class: Any = self._response
        if proxy and endpoint.is_tls:
            headers = {"Proxy-Authorization": proxy.basic_auth} if proxy.basic_auth else {}
            self.set_tunnel(endpoint.host, endpoint.port, headers)

    def target(self, path: str) -> str:
        """The target in the request line for ``path``."""
        if self._endpoint.scheme == "unix":
            return path
        path = self._endpoint.path + path
        plain_proxy = self._proxy and not self._endpoint.is_tls
        return f"http://{self._endpoint.authority}{path}" if plain_proxy else path

    def begin(self, deadline: float) -> bool:
        """Start an exchange with a ``deadline`` (monotonic); return whether it reuses a connection.

        Raises:
            Unreachable: `interrupt` was called.
        """
        self._deadline = deadline
        self._received = 0
        if self.sock is not None and not _is_idle(self.sock):
            # The server has closed the connection, or sent unexpected bytes.
            self.close()
        self._raise_if_interrupted()
        if self.sock is not None:
            self.sock.settimeout(self.remaining_secs())
        return self.sock is not None

    def extend(self, deadline: float) -> None:
        """Give the exchange a later ``deadline`` (monotonic), and count its bytes from 0 again."""
        self._deadline = deadline
        self._received = 0

    def remaining_secs(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: it has passed.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def received(self, count: int) -> None:
        """Count bytes that were received in this exchange.

        Raises:
            Unreachable: there are too many.
        """
        self._received += count
        if self._received > self._max_bytes + _MAX_HEAD_BYTES:
            raise Unreachable("the answer is too large")

    def interrupt(self) -> None:
        """End the current exchange of another thread, and allow no new one."""
        self._interrupted = True
        sock = self.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def connect(self) -> None:
        """Open the connection.

        Raises:
            OSError: it cannot be opened in time.
            Misconfigured: a file cannot be used.
        """
        self._connect_by = min(self._deadline, time.monotonic() + _CONNECT_SECS)
        self.sock = self._open_unix() if self._endpoint.scheme == "unix" else self._open_tcp()
        self._raise_if_interrupted()
        if self._endpoint.is_tls:
            if self._proxy:
                self._tunnel()  # type: ignore[attr-defined]  # of http.client
            context = _tls_context(self._ca_file, self._cert_file)
            self.sock.settimeout(self.remaining_secs())
            self.sock = context.wrap_socket(self.sock, server_hostname=self._endpoint.host)
            self._raise_if_interrupted()
        self.sock.settimeout(self.remaining_secs())

    def _open_unix(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        return self._connected(sock, self._endpoint.path)

    def _open_tcp(self) -> socket.socket:
        where = self._proxy or self._endpoint
        error: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(
            where.host, where.port, type=socket.SOCK_STREAM
        ):
            try:
                sock = self._connected(socket.socket(family, kind, protocol), address)
            except OSError as failed:
                error = failed
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        raise error or OSError("the name has no address")

    def _connected(self, sock: socket.socket, address: Any) -> socket.socket:  # noqa: ANN401 - socket's
        try:
            # A timeout of 0 would make the socket non-blocking.
            sock.settimeout(max(0.001, self._connect_by - time.monotonic()))
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock

    def _raise_if_interrupted(self) -> None:
        if self._interrupted:
            raise Unreachable("the client is being closed")

    def _response(self, sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:  # noqa: ANN401
        return http.client.HTTPResponse(_DeadlineSocket(sock, self), *args, **kwargs)  # type: ignore[arg-type]


class _DeadlineSocket:
    """The part of a socket that `http.client.HTTPResponse` uses."""

    def __init__(self, sock: socket.socket, transport: HttpTransport) -> None:
        self._sock = sock
        self._transport = transport

    def makefile(self, _: str) -> io.BufferedReader:
        raw = self._sock.makefile("rb", buffering=0)
        return io.BufferedReader(_DeadlineReader(raw, self._sock, self._transport))


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until the deadline, and up to the byte limit."""

    def __init__(self, raw: Any, sock: socket.socket, transport: HttpTransport) -> None:  # noqa: ANN401 - SocketIO
        self._raw = raw
        self._sock = sock
        self._transport = transport

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - a buffer
        self._sock.settimeout(self._transport.remaining_secs())
        count: int | None = self._raw.readinto(buffer)
        self._transport.received(count or 0)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def _is_idle(sock: socket.socket) -> bool:
    """Whether a connection is idle: it has no end of input and no unexpected bytes."""
    try:
        sock.settimeout(0)
        # The plain socket's method: TLS sockets do not support flags.
        socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except (OSError, ValueError):
        return False
    return False


def _tls_context(ca_file: str | None, cert_file: str | None) -> ssl.SSLContext:
    # The context is created for each connection, because mounted files may change.
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file:
            context.load_cert_chain(cert_file)
    except OSError as error:
        name = f"cert_file {cert_file!r}" if cert_file and not ca_file else f"ca_file {ca_file!r}"
        if ca_file and cert_file:
            name += f" or cert_file {cert_file!r}"
        raise Misconfigured(f"{name} cannot be used: {error}") from error
    # Ignore SSLKEYLOGFILE: the client must not write TLS secrets to a file.
    context.keylog_filename = None  # type: ignore[assignment]
    return context
