"""The address of a sidecar, and the proxy for it.

By default, the client takes only the proxy for a remote host from the environment.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from .errors import Misconfigured

_PORTS = {"http": 80, "https": 443}


class Endpoint(NamedTuple):
    """A parsed URL of a sidecar.

    Attributes:
        scheme: ``http``, ``https`` or ``unix``.
        host: ASCII, without brackets; the name in the Host header for a Unix socket.
        port: the TCP port; 0 for a Unix socket.
        path: the path of a Unix socket; otherwise the URL path before ``/v1``, without a trailing slash.
        basic_auth: the value of an ``Authorization`` header from the URL's user and password; empty: none.
    """

    scheme: str
    host: str
    port: int
    path: str
    basic_auth: str = ""

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme == "https"

    @property
    def is_local(self) -> bool:
        """Whether the sidecar is on this machine: a Unix socket or loopback."""
        return self.scheme == "unix" or _is_loopback(self.host)

    @property
    def authority(self) -> str:
        """``HOST:PORT``, as in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        """The URL, without user and password."""
        return (
            f"unix:{self.path}" if self.scheme == "unix" else f"{self.scheme}://{self.authority}{self.path}"
        )


def parse_endpoint(url: object) -> Endpoint:
    """The endpoint of ``url``.

    Raises:
        ValueError: it is not ``http://HOST:PORT``, ``https://…`` or ``unix:/path``. The message does not
            contain a password.
    """
    if not isinstance(url, str) or not url.startswith(("http://", "https://", "unix:/")):
        got = _without_credentials(url) if isinstance(url, str) else url
        raise ValueError(f"url: must be http://…, https://… or unix:/path, got {got!r}")
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("url: has a blank or a control character")
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        return Endpoint("unix", "wellbeing-sidecar", 0, path)
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _ascii_host(parts.hostname or "")
    except ValueError as error:
        # The error may contain a part of the password.
        what = "is not valid; percent-encode the user and the password" if "@" in url else error
        raise ValueError(f"url: {what}") from None
    if not host:
        raise ValueError("url: has no host")
    if parts.query or parts.fragment:
        raise ValueError("url: must not have a query or a fragment")
    auth = ""
    if parts.username is not None:
        auth = _basic(parts.username, parts.password or "")
    if port is None:
        port = _PORTS[parts.scheme]
    return Endpoint(parts.scheme, host, port, parts.path.rstrip("/"), auth)


def _without_credentials(url: str) -> str:
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    return f"{scheme}{separator}***@{rest.rpartition('@')[2]}" if "@" in rest else url


def proxy_for(endpoint: Endpoint, environ: Mapping[str, str] = os.environ) -> Endpoint | None:
    """The HTTP proxy that the environment names for ``endpoint``; None: there is none.

    ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``ALL_PROXY`` (the lower-case names take precedence) apply only to a
    remote sidecar. ``NO_PROXY`` excludes hosts, domains and networks.

    Raises:
        Misconfigured: the proxy is not an ``http://`` proxy.
    """
    if endpoint.is_local:
        return None
    given = (_variable(environ, name) for name in (f"{endpoint.scheme}_proxy", "all_proxy"))
    url = next((one for one in given if one), "")
    # In a CGI program, HTTP_PROXY comes from a request header, which any client can send.
    if not url or ("REQUEST_METHOD" in environ and endpoint.scheme == "http"):
        return None
    if _is_exempt(endpoint, _variable(environ, "no_proxy")):
        return None
    try:
        proxy = parse_endpoint(url if "://" in url else f"http://{url}")
    except ValueError as error:
        raise Misconfigured(f"the proxy of the environment: {error}") from None
    if proxy.scheme != "http":
        raise Misconfigured(f"the proxy of the environment: only http:// proxies can be used, got {proxy}")
    return proxy


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _is_exempt(endpoint: Endpoint, no_proxy: str) -> bool:
    for one in (part.strip().lower() for part in no_proxy.split(",")):
        if one == "*":
            return True
        if one and (_same_network(endpoint.host, one) or _same_domain(endpoint, one)):
            return True
    return False


def _same_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _same_domain(endpoint: Endpoint, domain: str) -> bool:
    name, _, port = domain.partition(":")
    if port and port != str(endpoint.port):
        return False
    name = name.removeprefix("*").removeprefix(".")
    host = endpoint.host.lower()
    return bool(name) and (host == name or host.endswith("." + name))


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or address.is_unspecified


def _ascii_host(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{host!r} is not a host name") from None


def _basic(user: str, password: str) -> str:
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")
