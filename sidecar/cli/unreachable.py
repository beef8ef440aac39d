"""Explains in one sentence why a sidecar could not be reached, and how to fix it."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

_MAX_CAUSES = 50


_CHECK = "check --url (WELLBEING_URL)"


def why_unreachable(url: str, error: BaseException, timeout: float) -> str:
    """Return the sentence.

    Args:
        url: the URL of the sidecar.
        error: the client's exception; its causes have the details.
        timeout: the timeout of the request in seconds.
    """
    causes = list(_causes(error))
    names = {type(one).__name__ for one in causes}
    tls = next((one for one in causes if isinstance(one, ssl.SSLError)), None)
    if tls is not None:
        return _why_tls(url, tls)
    system = next((one for one in causes if isinstance(one, OSError) and one.errno), None)
    why = _why_address(url, names) or _why_system(url, system) or _why_timeout(names, timeout)
    if why is None and "does not end" in str(error):
        why = f"within {timeout:g} s: the answer does not end"
    why = why or _why_answer(url, names) or f": {_shortest(causes)}"
    return f"no answer from {url}{'' if why.startswith(':') else ' '}{why}"


def _why_address(url: str, names: set[str]) -> str | None:
    if "gaierror" in names:
        return f": no host is named {_host(url)}: {_CHECK}"
    return None


def _why_system(url: str, error: OSError | None) -> str | None:
    if isinstance(error, ConnectionRefusedError):
        return f": nothing listens there: start the sidecar (wellbeing-sidecar serve), or {_CHECK}"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f": there is no such socket: start the sidecar, or {_CHECK}"
    if isinstance(error, PermissionError):
        return f": this user may not use it: {error.strerror}"
    if error is not None and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return f": there is no way to {_host(url)}: {_CHECK}"
    return None


def _why_timeout(names: set[str], timeout: float) -> str | None:
    if "TimeoutError" in names:
        return f"within {timeout:g} s: nothing there answers: {_CHECK}"
    return None


def _why_answer(url: str, names: set[str]) -> str | None:
    if names & {"BadStatusLine", "LineTooLong", "UnknownProtocol"}:
        return f": what answers there does not speak HTTP: {_CHECK}"
    if names & {"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"}:
        hint = " (does it want https://?)" if url.startswith("http://") else ""
        return f": the connection was closed before there was one{hint}"
    return None


def _why_tls(url: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {url} is not trusted: {error.verify_message}: "
            "name the CA that signed it by --ca-file (WELLBEING_CLIENT_CA_FILE)"
        )
    reason = (error.reason or "").lower().replace("_", " ")
    if reason in ("wrong version number", "record layer failure", "unknown protocol", "http request"):
        return f"{url} does not speak TLS: use http:// in --url (WELLBEING_URL)"
    if "certificate required" in reason or "bad certificate" in reason:
        return f"{url} wants a client's certificate: give one by --cert-file"
    if reason in ("pem lib", "no certificate or crl found", "no start line", ""):
        return f"--ca-file or --cert-file has no certificate in PEM: {error.strerror or error}"
    return f"no TLS with {url}: {reason}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and everything that caused it: by chaining, or as an argument."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo and len(seen) < _MAX_CAUSES:
        one = todo.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__, *one.args]


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _shortest(causes: list[BaseException]) -> str:
    texts = [str(one) for one in causes if str(one)]
    return min(texts, key=len, default="unknown").splitlines()[0][:200]
