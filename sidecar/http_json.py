"""Sends one HTTP request and parses the JSON response, with limits of time and size. For use in a thread.

Errors contain no credentials. Redirects are not followed. ``.netrc``, ``REQUESTS_CA_BUNDLE`` and
``CURL_CA_BUNDLE`` of the environment are ignored. A proxy of the environment (``HTTPS_PROXY``,
``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``) is used for other machines, and never for loopback addresses,
unless the caller names a proxy.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sidecar.json_pieces import loads_in_pieces
from sidecar.request_deadline import RequestDeadline

_CHUNK_BYTES = 65_536
_SCHEMES = ("http", "https")
_NOT_IN_A_HEADER = re.compile(r"[^\x21-\x7e]")
_BAD_HEADER = "the credentials or headers have characters that are not allowed in a header"


class HttpRequestFailed(Exception):
    """There was no usable response. The message contains no credentials."""


@dataclass(frozen=True, slots=True)
class HttpAccess:
    """Credentials for a server, and which server certificates are trusted.

    Attributes:
        username: user name for basic authentication.
        password: its password.
        password_file: file with the password, read for every request.
        bearer_token: bearer token.
        bearer_token_file: file with the bearer token, read for every request.
        ca_file: CA bundle; empty: the public certificate authorities (of ``certifi``).
        cert_file: client certificate.
        key_file: its private key.
        insecure_skip_verify: accept any certificate.
    """

    username: str = ""
    password: str = ""
    password_file: str = ""
    bearer_token: str = ""
    bearer_token_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure_skip_verify: bool = False

    @classmethod
    def of(cls, config: object) -> HttpAccess:
        """The access settings of a section of the config."""
        return cls(**{name: getattr(config, name) for name in cls.__slots__ if hasattr(config, name)})


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A complete response.

    Attributes:
        status: HTTP status.
        headers: header fields by name in lower case.
        body: the body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401
        """The JSON of the body; None if it is not JSON."""
        return _json(self.body)


def request_json(
    method: str,
    url: str,
    access: HttpAccess,
    *,
    timeout: float,
    max_bytes: int,
    params: Mapping[str, str | list[str]] | None = None,
    body: Mapping[str, Any] | None = None,
) -> tuple[int, Any]:
    """Send a request. Returns the status and the JSON of the response; None if the body is not JSON.

    Args:
        method: HTTP method.
        url: the URL; it may contain credentials.
        access: credentials and trusted certificates.
        timeout: seconds for the whole request, until the end of the response.
        max_bytes: limit of the response's body.
        params: query parameters.
        body: body of the request, sent as JSON.

    Raises:
        HttpRequestFailed: there was no response in time, or it is invalid or too large.
    """
    data = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    reply = send_request(
        method, url, access, timeout=timeout, max_bytes=max_bytes, params=params, data=data, headers=headers
    )
    return reply.status, reply.json()


def send_request(
    method: str,
    url: str,
    access: HttpAccess,
    *,
    timeout: float,
    max_bytes: int,
    params: Mapping[str, str | list[str]] | None = None,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    proxy_url: str = "",
) -> HttpReply:
    """Send a request. Returns the response, whatever its status.

    Args:
        method: HTTP method.
        url: the URL; it may contain credentials.
        access: credentials and trusted certificates.
        timeout: seconds for the whole request, until the end of the response.
        max_bytes: limit of the response's body.
        params: query parameters.
        data: body of the request.
        headers: further header fields of the request.
        proxy_url: the proxy to use; empty: the proxy that the environment names, if any.

    Raises:
        HttpRequestFailed: there was no response in time, or it is invalid or too large.
    """
    import requests  # noqa: PLC0415 - uses much memory, and only some sidecars send requests

    deadline = RequestDeadline(timeout)
    try:
        with requests.Session() as session, deadline:
            _prepare(session, url, access, headers or {}, proxy_url)
            for scheme in _SCHEMES:
                session.mount(f"{scheme}://", deadline.adapter())
            with session.request(
                method,
                url,
                params=params,
                data=data,
                timeout=timeout,
                stream=True,
                allow_redirects=False,
                verify=False if access.insecure_skip_verify else (access.ca_file or True),
                cert=((access.cert_file, access.key_file) if access.key_file else access.cert_file) or None,
            ) as response:
                names = {name.lower(): value for name, value in response.headers.items()}
                return HttpReply(response.status_code, names, _read(response, deadline, max_bytes))
    except Exception as error:  # noqa: BLE001 - callers handle only one error type
        raise _failure(error, deadline) from None


def _prepare(
    session: Any,  # noqa: ANN401 - a requests.Session
    url: str,
    access: HttpAccess,
    headers: Mapping[str, str],
    proxy_url: str,
) -> None:
    session.trust_env = False
    session.proxies.update(dict.fromkeys(_SCHEMES, proxy_url) if proxy_url else _proxies(url))
    session.headers.update(headers)
    session.headers["Accept-Encoding"] = "identity"
    _authenticate(session, url, access)


def _failure(error: Exception, deadline: RequestDeadline) -> HttpRequestFailed:
    """``error`` as the one error type, without credentials."""
    import requests  # noqa: PLC0415
    import urllib3  # noqa: PLC0415

    if isinstance(error, HttpRequestFailed):
        return error
    if isinstance(error, requests.exceptions.InvalidHeader | UnicodeEncodeError):
        return HttpRequestFailed(_BAD_HEADER)
    what = _without_credentials(str(error))
    # Errors of the library requests are OSErrors. Their texts may contain a URL with its credentials.
    if not isinstance(error, OSError | ValueError | urllib3.exceptions.HTTPError):
        what = f"{type(error).__name__}: {what}"
    return HttpRequestFailed(deadline.passed_text() or what)


def _proxies(url: str) -> dict[str, str]:
    """The proxies of the environment for ``url``: none for loopback addresses."""
    import requests  # noqa: PLC0415

    host = urlsplit(url).hostname or ""
    if is_loopback(host):
        return {}
    return dict(requests.utils.get_environ_proxies(url, no_proxy=None))


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine's own address or name."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
        # ::ffff:127.0.0.1 is 127.0.0.1, which Python 3.12 and earlier do not say.
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        return False


def _authenticate(session: Any, url: str, access: HttpAccess) -> None:  # noqa: ANN401 - a requests.Session
    if access.username:
        password = _secret("password", access.password, access.password_file)
        session.auth = (access.username.encode(), password.encode())
    elif access.bearer_token or access.bearer_token_file:
        token = token_for_header(_secret("token", access.bearer_token, access.bearer_token_file))
        session.headers["Authorization"] = f"Bearer {token}"
        # Credentials in the URL must not replace the token.
        session.auth = _unchanged
    elif "@" not in url:
        session.auth = _unchanged


def _unchanged(request: Any) -> Any:  # noqa: ANN401 - a requests.PreparedRequest
    return request


def token_for_header(token: str) -> str:
    """``token``, which a header field can have as a value. Raises `HttpRequestFailed`."""
    if _NOT_IN_A_HEADER.search(token):
        raise HttpRequestFailed(
            "the token has characters that are not allowed in a header, such as a line break or a space"
        )
    return token


def _secret(what: str, text: str, path: str) -> str:
    return read_secret(what, path) if path else text.strip()


def read_secret(what: str, path: str) -> str:
    """The text of a file with a secret, without white space around it.

    Args:
        what: what is in the file, for the error.
        path: the file.

    Raises:
        HttpRequestFailed: it cannot be read, or it is empty.
    """
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise HttpRequestFailed(f"the file with the {what}, {path!r}, cannot be read: {why}") from None
    if not secret:
        raise HttpRequestFailed(f"the file with the {what}, {path!r}, is empty")
    return secret


def _read(response: Any, deadline: RequestDeadline, max_bytes: int) -> bytes:  # noqa: ANN401
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        # Decompression could use any amount of memory.
        raise HttpRequestFailed("the response is compressed, although the request did not allow it")
    data = bytearray()
    while True:
        # Read what has arrived, not a whole chunk, so that the deadline is checked for a slow response.
        chunk = response.raw.read1(_CHUNK_BYTES)
        if deadline.has_passed:
            raise HttpRequestFailed(deadline.passed_text())
        if not chunk:
            return bytes(data)
        data += chunk
        if len(data) > max_bytes:
            raise HttpRequestFailed(f"the response has more than {max_bytes} bytes")


def _json(data: bytes) -> Any:  # noqa: ANN401
    try:
        return loads_in_pieces(data.decode(json.detect_encoding(data), "surrogatepass"))
    except (ValueError, RecursionError):
        return None


def _without_credentials(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)
