"""Why a Prometheus could not be reached, in one plain sentence."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

_CHECK = "check --prometheus"
_MAX_CAUSES = 50


def name_of(url: str) -> str:
    """``url`` without the credentials that it may have."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def why_unreachable(url: str, error: BaseException, timeout: float) -> str:
    """The sentence.

    Args:
        url: of Prometheus.
        error: what the request raised; its causes say more.
        timeout: seconds that were waited for an answer.
    """
    causes = list(_causes(error))
    names = {type(one).__name__ for one in causes}
    name = name_of(url)
    tls = next((one for one in causes if isinstance(one, ssl.SSLError)), None)
    if tls is not None:
        return _why_tls(name, tls)
    if names & {"gaierror", "NameResolutionError"}:
        return f"no answer from {name}: no host is named {urlsplit(url).hostname}: {_CHECK}"
    if names & {"ConnectionRefusedError"}:
        return f"no answer from {name}: nothing listens there: {_CHECK}"
    if names & {"InvalidURL", "LocationParseError", "InvalidSchema", "MissingSchema"}:
        return f"{name} is no URL of a Prometheus: {_CHECK}"
    if any(getattr(one, "errno", None) in (errno.ENETUNREACH, errno.EHOSTUNREACH) for one in causes):
        return f"no answer from {name}: there is no way to that host: {_CHECK}"
    if names & {"ConnectTimeout", "ReadTimeout", "ReadTimeoutError", "TimeoutError"}:
        return f"no answer from {name} within {timeout:g} s"
    if names & {
        "BadStatusLine",
        "RemoteDisconnected",
        "ConnectionResetError",
        "IncompleteRead",
        "DecodeError",
    }:
        hint = " (does it want https://?)" if url.startswith("http://") else ""
        return f"no answer from {name}: what listens there speaks no HTTP{hint}: {_CHECK}"
    return f"no answer from {name}: {str(error).splitlines()[0][:200] if str(error) else 'unknown'}"


def _why_tls(name: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {name} is not trusted: {error.verify_message}: "
            "name the CA that signed it by --ca-file"
        )
    reason = (error.reason or "").lower().replace("_", " ")
    if reason in ("wrong version number", "record layer failure", "unknown protocol", "http request"):
        return f"{name} does not speak TLS: use http:// in --prometheus"
    if "certificate required" in reason or "bad certificate" in reason:
        return f"{name} wants a client's certificate: give one by --cert-file"
    return f"no TLS with {name}: {reason or error}"


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
