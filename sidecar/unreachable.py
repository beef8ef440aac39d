"""Explains in one sentence why a server could not be reached, and which option to check.

Rules of this file: it imports no other module of the product. It knows most exceptions by their names, so it
needs no HTTP library.
"""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

_MAX_CAUSES = 50
_NOT_TLS = ("wrong version number", "record layer failure", "unknown protocol", "http request")
_NO_PEM = ("pem lib", "no certificate or crl found", "no start line", "")


class ServerOptions(NamedTuple):
    """The options that say where a server is, as the sentences name them.

    Attributes:
        url: the option for the URL.
        ca_file: the option for the CA bundle.
        start: what to do if no server runs; empty: no advice.
    """

    url: str
    ca_file: str
    start: str = ""


def without_credentials(url: str) -> str:
    """``url`` without credentials, query and trailing slash."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub("//[^/]*@", "//", url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def why_unreachable(url: str, error: BaseException, timeout: float, options: ServerOptions) -> str:
    """The sentence that says why ``url`` could not be reached.

    Args:
        url: the URL of the server. It appears in the sentence, so it must not have credentials.
        error: the exception of the request; its causes have the details.
        timeout: the timeout of the request in seconds.
        options: the options that the sentence names.
    """
    causes = list(_causes(error))
    names = {type(one).__name__ for one in causes}
    tls = next((one for one in causes if isinstance(one, ssl.SSLError)), None)
    if tls is not None:
        return _why_tls(url, tls, options)
    system = next((one for one in causes if isinstance(one, OSError) and one.errno), None)
    check = f"check {options.url}"
    why = (
        _why_address(url, names, check)
        or _why_system(url, system, f"{options.start}, or {check}" if options.start else check, check)
        or _why_timeout(names, str(error), timeout, check)
        or _why_response(url, names, check)
        or f": {_shortest(causes)}"
    )
    return f"no answer from {url}{why}"


def _why_address(url: str, names: set[str], check: str) -> str | None:
    if names & {"gaierror", "NameResolutionError"}:
        return f": no host is named {_host(url)}: {check}"
    if names & {"InvalidURL", "LocationParseError", "InvalidSchema", "MissingSchema"}:
        return f": the URL is not valid: {check}"
    return None


def _why_system(url: str, error: OSError | None, start: str, check: str) -> str | None:
    if isinstance(error, ConnectionRefusedError):
        return f": nothing listens there: {start}"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f": there is no such socket: {start}"
    if isinstance(error, PermissionError):
        return f": this user may not use it: {error.strerror}"
    if error is not None and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return f": there is no route to {_host(url)}: {check}"
    return None


def _why_timeout(names: set[str], text: str, timeout: float, check: str) -> str | None:
    if names & {"TimeoutError", "ConnectTimeout", "ReadTimeout", "ReadTimeoutError"}:
        return f" within {timeout:g} s: nothing there answers: {check}"
    if "does not end" in text:
        return f" within {timeout:g} s: the answer does not end"
    return None


def _why_response(url: str, names: set[str], check: str) -> str | None:
    if names & {"BadStatusLine", "LineTooLong", "UnknownProtocol", "DecodeError"}:
        return f": the server there does not speak HTTP: {check}"
    if names & {"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"}:
        hint = " (does it want https://?)" if url.startswith("http://") else ""
        return f": the server closed the connection before the end of its answer{hint}"
    return None


def _why_tls(url: str, error: ssl.SSLError, options: ServerOptions) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {url} is not trusted: {error.verify_message}: "
            f"name the CA that signed it by {options.ca_file}"
        )
    reason = (error.reason or "").lower().replace("_", " ")
    if reason in _NOT_TLS:
        return f"{url} does not speak TLS: use http:// in {options.url}"
    if "certificate required" in reason or "bad certificate" in reason:
        return f"{url} requires a client certificate: give one by --cert-file"
    if reason in _NO_PEM:
        return f"--ca-file or --cert-file has no certificate in PEM: {error.strerror or error}"
    return f"no TLS connection to {url}: {reason}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and everything that caused it: by chaining, as urllib3's ``reason``, or as an argument."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo and len(seen) < _MAX_CAUSES:
        one = todo.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _shortest(causes: list[BaseException]) -> str:
    texts = [str(one) for one in causes if str(one)]
    return min(texts, key=len, default="unknown").splitlines()[0][:200]
