"""The shared part of both middlewares: which requests are gated, by which scope, and the format of refusals.

In addition to `Settings`, the middlewares have:

========================================  ==========================================================
variable                                  what
========================================  ==========================================================
``WELLBEING_CLIENT_HOLD_PATHS``           paths that a closed gate holds, separated by commas
``WELLBEING_CLIENT_PASS_PATHS``           paths that pass; by default those in `HARMLESS_PATHS`
``WELLBEING_CLIENT_PATHS``                instead: only POST to paths with these ends is held
``WELLBEING_CLIENT_SCOPE_HEADER``         a request header that names a scope inside the own one
``WELLBEING_CLIENT_SCOPE_FROM_MODEL``     ``true``: the member ``model`` of a request's body does
``WELLBEING_CLIENT_MAX_SCOPES``           how many such scopes are followed; others use the own gate
``WELLBEING_CLIENT_SHOW_REASON``          ``false``: refusals do not say why
``WELLBEING_CLIENT_PRIORITY_HEADER``      a request header with the priority, 0 to 9
========================================  ==========================================================
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from sidecar.scope_segments import MAX_SEGMENTS, to_segment

from .errors import InferencePaused
from .fork_safety import PerProcess
from .gate import DEFAULT_PRIORITY, Gate, close_all
from .path_rules import PathRules, split_paths
from .settings import MIDDLEWARE_SETTINGS, PREFIX, Settings, reject_unknown

SERVER_ERROR = 500
"""A response with this status or above is a failed request."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*", re.ASCII)
_DEFAULT_MAX_SCOPES = 32
_MAX_PARSED_BYTES = 64
_MAX_KNOWN_PARTS = 256
_MAX_KNOWN_PART_BYTES = 512
_MODEL = b'"model"'
_BACKSLASH = ord("\\")
_ESCAPED_MODEL = re.compile(rb"\\u00(?:6[4-6cdfCDF])")
"""A letter of ``model``, written as an escape: another member may have the same name."""
_TEXT_MEMBER = re.compile(rb'"model"[ \t\n\r]*:[ \t\n\r]*"[^"\\\x00-\x1f]*"')
_MAX_KNOWN_PATHS = 256


@dataclass(frozen=True, slots=True)
class Refusal:
    """The response to a refused request: status 503 with these headers and this body."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


class GateSelector:
    """Selects the gate for each request: the own gate, or the gate of an inner scope that the request names.

    Args:
        gate: of the own scope; None: one by the other settings.
        hold_paths: paths that a closed gate holds; see `PathRules`.
        pass_paths: paths that pass; see `PathRules`.
        paths: only paths with these ends are held; see `PathRules`.
        scope_header: a header that names a scope inside the own one; empty: none does.
        scope_from_model: whether the ``model`` in a request's body names one.
        max_scopes: how many inner scopes are followed.
        show_reason: whether a refusal says why.
        priority_header: a header with the request's priority, 0 to 9; empty: all have the default.
        settings: the settings of `Settings`.

    Attributes:
        known: what `is_gated` returned for the last methods and paths.

    Raises:
        TypeError: there is no such setting, or both ``gate`` and settings of a gate are given.
        ValueError: an argument or a variable is not allowed.
    """

    def __init__(
        self,
        gate: Gate | None = None,
        *,
        hold_paths: Iterable[str] | None = None,
        pass_paths: Iterable[str] | None = None,
        paths: Iterable[str] | None = None,
        scope_header: str | None = None,
        scope_from_model: bool | None = None,
        max_scopes: int | None = None,
        show_reason: bool | None = None,
        priority_header: str | None = None,
        **settings: Any,  # noqa: ANN401 - see Settings
    ) -> None:
        own = [field.name for field in fields(Settings)]
        reject_unknown(settings, [*own, *MIDDLEWARE_SETTINGS, "gate"])
        if gate is not None and settings:
            raise TypeError(f"give gate or its settings, not both: {', '.join(settings)}")
        environ = os.environ
        self._rules = PathRules(
            split_paths(hold_paths, PREFIX + "HOLD_PATHS", environ),
            split_paths(pass_paths, PREFIX + "PASS_PATHS", environ),
            split_paths(paths, PREFIX + "PATHS", environ),
        )
        self.header = _header("scope_header", scope_header, environ)
        self.priority_header = _header("priority_header", priority_header, environ)
        self.from_model = _flag("SCOPE_FROM_MODEL", scope_from_model, environ, default=False)
        self._show_reason = _flag("SHOW_REASON", show_reason, environ, default=True)
        self._max_scopes = _count(max_scopes, environ)
        # The last step, because it starts a thread.
        self.gate = gate or Gate(**settings)
        self._gates: dict[str, Gate] = {}
        self._gate_by_inner_scope: dict[str, Gate] = {}
        self._gate_by_part: dict[bytes, Gate] = {}
        self.known: dict[tuple[str, str | None], bool] = {}
        # One lock per process: a lock that a forking parent holds would block its child.
        self._locks = PerProcess(threading.Lock)

    def is_gated(self, method: str, path: str) -> bool:
        """Whether a closed gate holds a request; an empty ``method``: it opens a WebSocket."""
        held = self.known.get((method, path))
        if held is None:
            held = self._rules.holds(method, path)
            if len(self.known) >= _MAX_KNOWN_PATHS:
                # Clients may request any number of paths, so the cache is limited.
                self.known.clear()
            self.known[method, path] = held
        return held

    @property
    def has_one_gate(self) -> bool:
        """Whether all requests use the same gate."""
        return not self.header and not self.from_model

    def gate_for(self, inside: str) -> Gate:
        """The gate of the scope ``inside`` the own one; empty: the own one."""
        if not inside:
            return self.gate
        known = self._gate_by_inner_scope.get(inside)
        if known is not None:
            return known
        own = self.gate.settings.scope
        scope = f"{own}/{inside}" if own else inside
        if scope.count("/") >= MAX_SEGMENTS:
            return self.gate
        gate = self._gates.get(scope)
        if gate is None:
            with self._locks.get():
                gate = self._gates.get(scope)
                if gate is None:
                    if len(self._gates) >= self._max_scopes:
                        # Clients may name any scope, and each scope costs a thread and a connection.
                        return self.gate
                    gate = self._gates[scope] = Gate.of(replace(self.gate.settings, scope=scope))
        self._gate_by_inner_scope[inside] = gate
        return gate

    def gate_for_body(self, body: bytes) -> Gate:
        """The gate of the scope that the member ``model`` of a request's JSON body names."""
        part = body if len(body) <= _MAX_PARSED_BYTES else _part_with_model(body)
        # Most clients send the same part again and again.
        gate = self._gate_by_part.get(part)
        if gate is None:
            model = _model_in(part)
            gate = self.gate_for(to_segment(model)) if model else self.gate
            if len(part) <= _MAX_KNOWN_PART_BYTES and gate is not self.gate:
                if len(self._gate_by_part) >= _MAX_KNOWN_PARTS:
                    # Clients may send any number of parts, so the cache is limited.
                    self._gate_by_part.clear()
                self._gate_by_part[part] = gate
        return gate

    def refusal(self, path: str, paused: InferencePaused) -> Refusal:
        """The response to a request whose wait timed out, in the error format of the path's API."""
        message = str(paused) if self._show_reason else "inference is paused; try again later"
        if path.rstrip("/").endswith("/messages"):
            error = {"type": "error", "error": {"type": "overloaded_error", "message": message}}
        else:
            code = "inference_paused"
            error = {"error": {"message": message, "type": code, "param": None, "code": code}}
        body = json.dumps(error).encode()
        headers = (
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("cache-control", "no-store"),
            ("retry-after", str(paused.retry_after)),
        )
        return Refusal(headers, body)

    def close(self) -> None:
        """Close every gate."""
        close_all([self.gate, *self._gates.values()])


def scope_of_header(value: str) -> str:
    """The scope that a header's value names."""
    return "/".join(to_segment(part) for part in value.split("/") if part)


def priority_of_header(value: str) -> int:
    """The priority that a header's value names; the default if it is missing or not 0 to 9."""
    text = value.strip()
    return int(text) if len(text) == 1 and text in "0123456789" else DEFAULT_PRIORITY


def scope_of_model(body: bytes) -> str:
    """The scope that the member ``model`` of a request's JSON body names; empty where there is none."""
    model = _model_of(body)
    return to_segment(model) if model else ""


def _model_of(body: bytes) -> str:
    """The member ``model`` of a JSON body; empty where there is none.

    A body with more than `_MAX_PARSED_BYTES` is not parsed as a whole, if the shorter of two parts is
    enough: the part before the member or the part after it. So the member may be found in a body that is not
    valid JSON. The application refuses such a body.
    """
    return _model_in(body if len(body) <= _MAX_PARSED_BYTES else _part_with_model(body))


def _model_in(body: bytes) -> str:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    model = members.get("model") if isinstance(members, dict) else None
    return model if isinstance(model, str) else ""


def _part_with_model(body: bytes) -> bytes:
    """A shorter JSON object with the same member ``model``; ``body`` itself if that is not certain."""
    start = body.find(_MODEL)
    if start < 0 or body.find(_MODEL, start + 1) >= 0:
        return body
    if b"\\u00" in body and _ESCAPED_MODEL.search(body):
        return body
    # The quotes show that it is not inside a string. The object begins or ends at the other end of the part,
    # so this is a member of the outermost object.
    if start > len(body) // 2 and body[start - 1] != _BACKSLASH:
        return b"{" + body[start:]
    value = _TEXT_MEMBER.match(body, start)
    if value is None:
        return body
    return body[: value.end()] + b"}"


def _header(setting: str, given: str | None, environ: Mapping[str, str]) -> str:
    variable = PREFIX + setting.upper()
    name = given or environ.get(variable, "")
    if not _HEADER_NAME.fullmatch(name):
        source = setting if given else variable
        raise ValueError(f"{source}: not the name of a header: {name!r}")
    return name.lower()


def _count(given: int | None, environ: Mapping[str, str]) -> int:
    text = environ.get(PREFIX + "MAX_SCOPES", "") if given is None else given
    name = PREFIX + "MAX_SCOPES" if given is None else "max_scopes"
    try:
        count = -1 if isinstance(text, bool) else int(text) if text != "" else _DEFAULT_MAX_SCOPES
    except (TypeError, ValueError):
        count = -1
    if count < 0:
        raise ValueError(f"{name}: must be a whole number of at least 0, got {text!r}")
    return count


def _flag(name: str, given: bool | None, environ: Mapping[str, str], *, default: bool) -> bool:  # noqa: FBT001 - may be None
    if given is not None:
        return given
    text = environ.get(PREFIX + name, "").lower()
    if text not in ("", "true", "false"):
        raise ValueError(f"{PREFIX}{name}: must be true or false, got {text!r}")
    return default if not text else text == "true"
