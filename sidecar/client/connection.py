"""Requests to one sidecar."""

from __future__ import annotations

import http.client
import json
import socket
import time
import zlib
from collections.abc import Iterator, Mapping
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from .access import AccessSettings, check_token
from .endpoint import parse_endpoint, proxy_for
from .errors import Misconfigured, Unreachable
from .transport import HttpTransport

_OK = 200
_MAX_BYTES = 1_048_576
_MAX_TOKEN_BYTES = 65_536
_READ_BYTES = 65_536
# Detects gzip and zlib by their headers.
_ANY_ZLIB_WINDOW = 47


class SidecarResponse:
    """A status, headers, and the JSON body; None: the body is not JSON."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Message, body: Any) -> None:  # noqa: ANN401
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def detail(self) -> str:
        """The detail of a problem document; empty: there is none."""
        return str(self.body.get("detail", "")) if isinstance(self.body, dict) else ""


class Connection:
    """Sends requests to the routes of one scope, from one thread at a time except `interrupt` and `close`.

    From the environment it takes only the proxy for a sidecar on another machine.

    Args:
        settings: the URL of the sidecar, and the credentials.
        name: the name of the program, for the sidecar's log.
        max_bytes: the largest body that is accepted.
    """

    def __init__(
        self, settings: AccessSettings, name: str = "wellbeing-client", max_bytes: int = _MAX_BYTES
    ) -> None:
        self._settings = settings
        self._name = name
        self._max_bytes = max_bytes
        self._endpoint = parse_endpoint(settings.url)
        self._transport: HttpTransport | None = None
        self._interrupted = False

    def request(
        self,
        method: str,
        route: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> SidecarResponse:
        """Send a request to ``/v1/ROUTE/SCOPE``; return the response, whatever its status.

        The request may be sent a second time if a kept-alive connection turns out to be closed.

        Args:
            method: the HTTP method.
            route: the segment after ``/v1``.
            timeout: seconds for the whole exchange.
            headers: additional headers.
            params: query parameters.
            body: the body, sent as JSON.

        Raises:
            Unreachable: there was no answer within ``timeout``, or it was incomplete, too large or not HTTP.
            Misconfigured: a file that the settings name cannot be used.
        """
        scope = self._settings.scope
        path = f"/v1/{route}" + (f"/{quote(scope)}" if scope else "")
        target = path + (f"?{urlencode(params)}" if params else "")
        content = None if body is None else json.dumps(body).encode()
        try:
            sent = {**self._headers(content), **(headers or {})}
            return self._exchange(method, target, content, sent, time.monotonic() + timeout)
        except Unreachable as error:
            self.close()
            raise type(error)(f"{self._endpoint}{path}: {error}") from error
        except Exception as error:
            self.close()
            raise Unreachable(f"{self._endpoint}{path}: {_describe(error, timeout)}") from error
        except BaseException:
            # Otherwise the rest of this answer would be read as the next answer.
            self.close()
            raise

    def stream(self, route: str, quiet_secs: float) -> Iterator[str | SidecarResponse]:
        """The lines of an endless response. If its status is not 200, only the response itself.

        Args:
            route: the segment after ``/v1``.
            quiet_secs: seconds in which the next line must arrive.

        Raises:
            Unreachable: there is no connection.
            Misconfigured: a file that the settings name cannot be used.
        """
        scope = self._settings.scope
        path = f"/v1/{route}" + (f"/{quote(scope)}" if scope else "")
        try:
            transport = self._ready_transport()
            transport.begin(time.monotonic() + quiet_secs)
            headers = {**self._headers(None), "Accept": "*/*"}
            with _send(transport, "GET", path, None, headers) as response:
                if response.status != _OK:
                    yield SidecarResponse(response.status, response.headers, _json(self._read(response)))
                    return
                while line := response.readline(self._max_bytes):
                    yield line.decode("utf-8", "replace").rstrip("\r\n")
                    transport.extend(time.monotonic() + quiet_secs)
        except Unreachable as error:
            raise type(error)(f"{self._endpoint}{path}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self._endpoint}{path}: {_describe(error, quiet_secs)}") from error

    def close(self) -> None:
        """Close the socket."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def interrupt(self) -> None:
        """End the current request of another thread. Every later request fails at once."""
        self._interrupted = True
        transport = self._transport
        if transport is not None:
            transport.interrupt()

    # -- one exchange -----------------------------------------------------------------------------

    def _exchange(
        self, method: str, target: str, content: bytes | None, headers: Mapping[str, str], deadline: float
    ) -> SidecarResponse:
        transport = self._ready_transport()
        if transport.begin(deadline):
            try:
                response = _send(transport, method, target, content, headers)
            except (http.client.RemoteDisconnected, ConnectionError):
                # The server had closed the kept-alive connection.
                transport.close()
                transport.begin(deadline)
                response = _send(transport, method, target, content, headers)
        else:
            response = _send(transport, method, target, content, headers)
        with response:
            data = self._read(response)
        return SidecarResponse(response.status, response.headers, _json(data))

    def _ready_transport(self) -> HttpTransport:
        if self._transport is None:
            self._transport = HttpTransport(
                self._endpoint,
                proxy_for(self._endpoint),
                ca_file=self._settings.ca_file,
                cert_file=self._settings.cert_file,
                max_bytes=self._max_bytes,
            )
        if self._interrupted:
            self._transport.interrupt()
        return self._transport

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        data = bytearray()
        while chunk := response.read(_READ_BYTES):
            data += chunk
            if len(data) > self._max_bytes:
                raise Unreachable("the answer is too large")
        if response.length:
            # http.client does not report an incomplete body.
            raise http.client.IncompleteRead(bytes(data), response.length)
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if not data or coding in ("", "identity"):
            return bytes(data)
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise Unreachable(f"the answer is encoded as {coding[:50]!r}, which was not asked for")
        inflate = zlib.decompressobj(_ANY_ZLIB_WINDOW)
        plain = inflate.decompress(bytes(data), self._max_bytes + 1)
        if len(plain) > self._max_bytes or not inflate.eof:
            raise Unreachable("the answer is too large or cut")
        return plain

    def _headers(self, content: bytes | None) -> dict[str, str]:
        headers = {"User-Agent": self._name, "Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if authorization := self._authorization():
            headers["Authorization"] = authorization
        proxy = None if self._endpoint.is_tls else proxy_for(self._endpoint)
        if proxy and proxy.basic_auth:
            headers["Proxy-Authorization"] = proxy.basic_auth
        return headers

    def _authorization(self) -> str:
        token = self._settings.token
        if self._settings.token_file:
            token = _read_token(self._settings.token_file)
        return f"Bearer {token}" if token else self._endpoint.basic_auth


def _send(
    transport: HttpTransport, method: str, target: str, content: bytes | None, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    transport.request(method, transport.target(target), content, dict(headers))
    return transport.getresponse()


def _read_token(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            token = file.read(_MAX_TOKEN_BYTES).decode("utf-8").strip()
        check_token(token, "token_file")
    except (OSError, ValueError) as error:
        reason = str(error) if isinstance(error, OSError) else f"{path!r} does not hold a token"
        raise Misconfigured(f"token_file: {reason}") from error
    return token


def _json(data: bytes) -> Any:  # noqa: ANN401
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        # The body may be a proxy's own page. Its status is enough.
        return None


def _describe(error: Exception, timeout: float) -> str:
    """The error as one sentence."""
    if isinstance(error, TimeoutError):
        return f"no whole answer within {timeout:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there"
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    if isinstance(error, socket.gaierror):
        return f"the host name does not resolve: {error.strerror}"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {str(error)[:200]}".removesuffix(": ")
