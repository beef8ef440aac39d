"""What both middlewares share: which requests are gated, by which scope, and how a refusal reads.

Beyond `Settings`, they know:

========================================  ==========================================================
variable                                  what
========================================  ==========================================================
``WELLBEING_CLIENT_PATHS``                ends of the paths that are gated, separated by commas
``WELLBEING_CLIENT_SCOPE_HEADER``         a request header that names a scope inside the own one
``WELLBEING_CLIENT_SCOPE_FROM_MODEL``     ``true``: the member ``model`` of a request's body does
``WELLBEING_CLIENT_MAX_SCOPES``           how many such scopes are followed; the own one stands for others
``WELLBEING_CLIENT_SHOW_REASON``          ``false``: refusals do not say why
========================================  ==========================================================
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InferencePaused
from .gate import Gate
from .settings import PREFIX

GENERATING = (
    "/completions",
    "/chat/completions",
    "/messages",
    "/responses",
    "/embeddings",
    "/completion",
    "/embedding",
    "/infill",
    "/generate",
    "/generate_stream",
)
"""Ends of the paths on which OpenAI's and Anthropic's APIs, and the engines' own, generate."""

_SEGMENT = re.compile(r"[A-Za-z0-9._:~-]{1,64}", re.ASCII)
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._:~-]", re.ASCII)
_SEGMENT_LENGTH = 64
_MAX_SEGMENTS = 8
_DIGEST_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a request is answered with that was not let through: 503, these headers, this body."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


class GatedPaths:
    """One gate, and one for each scope that requests name inside it.

    Args:
        gate: of the own scope; None: one by the other settings.
        paths: ends of the paths that are gated; None: `GENERATING`.
        scope_header: a header that names a scope inside the own one; empty: none does.
        scope_from_model: whether a request's ``model`` does.
        max_scopes: how many are followed.
        show_reason: whether a refusal says why.
        settings: those of `Settings`.
    """

    def __init__(
        self,
        gate: Gate | None = None,
        *,
        paths: tuple[str, ...] | None = None,
        scope_header: str | None = None,
        scope_from_model: bool | None = None,
        max_scopes: int | None = None,
        show_reason: bool | None = None,
        **settings: Any,  # noqa: ANN401 - see Settings
    ) -> None:
        self.gate = gate or Gate(**settings)
        environ = os.environ
        listed = environ.get(PREFIX + "PATHS", "")
        self._paths = paths or tuple(one.strip() for one in listed.split(",") if one.strip()) or GENERATING
        self.header = (scope_header or environ.get(PREFIX + "SCOPE_HEADER", "")).lower()
        self.from_model = _flag("SCOPE_FROM_MODEL", given=scope_from_model, default=False)
        self._show_reason = _flag("SHOW_REASON", given=show_reason, default=True)
        self._max_scopes = max_scopes or int(environ.get(PREFIX + "MAX_SCOPES", "32"))
        self._gates: dict[str, Gate] = {}
        self._lock = threading.Lock()

    def gates(self, method: str, path: str) -> bool:
        """Whether a request generates."""
        return method == "POST" and path.rstrip("/").endswith(self._paths)

    @property
    def one_gate(self) -> bool:
        """Whether all requests meet the same gate."""
        return not self.header and not self.from_model

    def gate_for(self, inside: str) -> Gate:
        """The gate of the scope ``inside`` the own one; empty: the own one."""
        if not inside:
            return self.gate
        own = self.gate.settings.scope
        scope = f"{own}/{inside}" if own else inside
        if scope.count("/") >= _MAX_SEGMENTS:
            return self.gate
        gate = self._gates.get(scope)
        if gate is None:
            with self._lock:
                gate = self._gates.get(scope)
                if gate is None:
                    if len(self._gates) >= self._max_scopes:
                        # Strangers may name anything; each scope costs a thread and a connection.
                        return self.gate
                    gate = self._gates[scope] = Gate(**{**_members(self.gate), "scope": scope})
        return gate

    def refusal(self, path: str, paused: InferencePaused) -> Refusal:
        """The answer to a request whose wait ran out, in the shape that the path's API has for errors."""
        message = str(paused) if self._show_reason else "inference is paused; ask again later"
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
        """Close every gate's link."""
        for gate in (self.gate, *self._gates.values()):
            gate.close()


def scope_of_header(value: str) -> str:
    """The scope that a header's value names."""
    return "/".join(segment_of(part) for part in value.split("/") if part)


def segment_of(value: str) -> str:
    """``value`` as a segment of a scope, as the sidecar makes it of an alert's label."""
    if _SEGMENT.fullmatch(value):
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    cut = _SEGMENT_LENGTH - 1 - _DIGEST_LENGTH
    return f"{_NOT_ALLOWED.sub('_', value[:cut])}~{digest}"


def scope_of_model(body: bytes) -> str:
    """The scope that the member ``model`` of a request's JSON body names; empty where there is none."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    model = members.get("model") if isinstance(members, dict) else None
    return segment_of(model) if isinstance(model, str) and model else ""


def _members(gate: Gate) -> dict[str, Any]:
    return {name: getattr(gate.settings, name) for name in type(gate.settings).__slots__}


def _flag(name: str, *, given: bool | None, default: bool, environ: Mapping[str, str] = os.environ) -> bool:
    if given is not None:
        return given
    text = environ.get(PREFIX + name, "").lower()
    if text not in ("", "true", "false"):
        raise ValueError(f"{PREFIX}{name}: must be true or false, got {text!r}")
    return default if not text else text == "true"
