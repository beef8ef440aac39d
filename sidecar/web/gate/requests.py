"""Parses gate, watch and authorization requests, for both the fast path and the ASGI path."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, unquote_to_bytes

from sidecar.core.errors import InvalidScope, closest_match, short_repr
from sidecar.core.policy import DENY_STATUSES, Policy
from sidecar.core.scope import parse_scope
from sidecar.gates.etag import is_current
from sidecar.gates.gate import ScopeGate
from sidecar.gates.priorities import DEFAULT_PRIORITY, PRIORITIES
from sidecar.web.problems import Problem

from .authz import AUTHZ, split_authz

GATE = "/v1/gate"
WATCH = "/v1/watch"
ADMIT = "/v1/admit"
PRIORITY_HEADER = "wellbeing-priority"
READY = "/v1/ready"
WATCH_WAIT_SECS = 30.0
WATCH_WAIT_CAP_SECS = 300.0

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    GATE: ("wait", "deny_status", "priority"),
    WATCH: ("wait",),
    ADMIT: ("client", "waiting", "wait"),
    READY: (),
    "/v1/events": (),
    "/v1/alerts": ("dry_run",),
    "/v1/reports": (),
    "/v1/state": (),
    "/v1/pause": (),
    "/v1/resume": (),
    "/v1/status": ("below",),
    "/v1/history": ("limit", "cursor", "kind", "below", "since", "until"),
    "/": ("scope", "q", "state", "page"),
    "/ui/scope": ("q", "state", "page", "signals", "before", "done"),
    "/ui/pause": (),
    "/ui/extend": (),
    "/ui/resume": (),
}
"""The query parameters of each route. A misspelt parameter is refused, not ignored.

The query of ``/v1/authz`` comes from the proxy's client and is ignored.
"""

_DENY_STATUSES = {str(status): status for status in DENY_STATUSES}


_SECONDS = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
_PRIORITY_TEXTS = tuple(map(str, range(PRIORITIES)))


class GateRequest:
    """A gate request, an authorization request or a watch.

    Attributes:
        watch: whether it is a watch.
        scope: the requested scope.
        wait: seconds to wait at most; None: the default.
        deny_status: the status of a refusal; None: the policy's.
        if_none_match: the ``If-None-Match`` header, with the version that the client has; None: it is
            missing.
        traceparent: the W3C trace context of the request; None: it has none.
        priority: 0 to 9; from the parameter, else from the header ``Wellbeing-Priority``, else 5.
    """

    __slots__ = ("deny_status", "if_none_match", "priority", "scope", "traceparent", "wait", "watch")

    def __init__(
        self,
        path: str,
        query: str,
        if_none_match: str | None,
        traceparent: str | None = None,
        priority: str | None = None,
    ) -> None:
        self.watch = path.startswith(WATCH)
        self.if_none_match = if_none_match
        self.traceparent = traceparent
        if path.startswith(AUTHZ):
            scope, deny_status = split_authz(path)
            self.scope = _scope(scope)
            self.wait = None
            self.deny_status = _deny_status(deny_status)
            # The header comes from the proxy's client.
            self.priority = DEFAULT_PRIORITY
            return
        route = WATCH if self.watch else GATE
        self.scope = scope_of(path, route)
        parameters = parse_parameters(query)
        if parameters:
            _refuse_unknown(parameters, PARAMETERS[route])
        self.wait = seconds_of(parameters.get("wait"))
        self.deny_status = _deny_status(parameters.get("deny_status"))
        self.priority = _priority(parameters.get("priority"), None if self.watch else priority)

    @classmethod
    def parse(
        cls,
        target: bytes,
        if_none_match: bytes | None,
        traceparent: str | None = None,
        priority: bytes | None = None,
    ) -> GateRequest:
        """Parse a raw request ``target``, whose path is percent-encoded.

        Raises:
            Problem: the scope or a parameter is not valid.
        """
        path, _, query = target.partition(b"?")
        return cls(
            unquote_to_bytes(path).decode("utf-8", "replace"),
            query.decode("latin-1"),
            None if if_none_match is None else if_none_match.decode("latin-1"),
            traceparent,
            None if priority is None else priority.decode("latin-1"),
        )

    def wait_secs(self, cap: float) -> float:
        """Seconds to wait; ``cap`` is the default and the maximum of a gate request."""
        if self.watch:
            return WATCH_WAIT_SECS if self.wait is None else min(self.wait, WATCH_WAIT_CAP_SECS)
        return cap if self.wait is None else min(self.wait, cap)

    def denial_status(self, policy: Policy) -> int:
        """The status of a refusal at a closed gate with ``policy``."""
        return self.deny_status or policy.deny_status

    def knows(self, gate: ScopeGate, path: str | None) -> bool:
        """Whether the client has the current snapshot of ``gate``, or of ``path``, which follows it."""
        return self.if_none_match is not None and is_current(self.if_none_match.split(","), gate, path)


def check_parameters(route: str | None, query: str) -> None:
    """Refuse parameters that ``route`` does not have, or that are given twice.

    Raises:
        Problem: a parameter is unknown, or given twice. The message suggests a similar name.
    """
    allowed = PARAMETERS.get(route or "")
    if query and allowed is not None:
        _refuse_unknown(parse_parameters(query), allowed)


def is_dry_run(query: str) -> bool:
    """Whether the parameter ``dry_run`` is true.

    Raises:
        Problem: it is neither true nor false.
    """
    value = parse_parameters(query).get("dry_run", "false")
    if value not in ("true", "false"):
        raise Problem("invalid-parameter", f"dry_run: must be true or false, got {short_repr(value)}")
    return value == "true"


def parse_parameters(query: str) -> dict[str, str]:
    """The parameters of ``query``.

    Raises:
        Problem: a parameter is given twice. Programs disagree about which one counts.
    """
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in parameters:
            raise Problem("invalid-parameter", f"{short_repr(name)}: is given twice")
        parameters[name] = value
    return parameters


def _refuse_unknown(parameters: Iterable[str], allowed: tuple[str, ...]) -> None:
    for name in parameters:
        if name not in allowed:
            near = closest_match(name, allowed)
            takes = f"may be {', '.join(allowed)}" if allowed else "there are none here"
            hint = f"did you mean {near}?" if near else takes
            raise Problem("invalid-parameter", f"{short_repr(name)}: no such parameter ({hint})")


def scope_of(path: str, prefix: str) -> str:
    """The scope that follows ``prefix`` in a decoded ``path``.

    Raises:
        Problem: it is not a valid scope.
    """
    return _scope(path[len(prefix) :].removeprefix("/"))


def _scope(text: str) -> str:
    try:
        return parse_scope(text)
    except InvalidScope as error:
        raise Problem("invalid-scope", str(error)) from None


def _priority(parameter: str | None, header: str | None) -> int:
    """The priority of a request: from its parameter, else from its header, else the default.

    Both are checked.
    """
    priority = DEFAULT_PRIORITY
    for name, text in (("Wellbeing-Priority", header), ("priority", parameter)):
        if text is None:
            continue
        if text not in _PRIORITY_TEXTS:
            raise Problem(
                "invalid-parameter", f"{name}: must be a whole number from 0 to 9, got {short_repr(text)}"
            )
        priority = int(text)
    return priority


def seconds_of(text: str | None) -> float | None:
    """The seconds of the parameter ``wait``; None: it is missing.

    Raises:
        Problem: they are not valid.
    """
    if text is None:
        return None
    # `float` skips spaces, such as a "+" in a query, and takes digits of other scripts.
    secs = float(text) if _SECONDS.fullmatch(text) else math.nan
    if not secs >= 0:
        raise Problem(
            "invalid-parameter", f"wait: must be seconds, a number of at least 0, got {short_repr(text)}"
        )
    # Remove the sign of -0.
    return abs(secs)


def _deny_status(text: str | None) -> int | None:
    if text is None:
        return None
    status = _DENY_STATUSES.get(text)
    if status is None:
        allowed = ", ".join(_DENY_STATUSES)
        raise Problem("invalid-parameter", f"deny_status: must be one of {allowed}, got {short_repr(text)}")
    return status
