"""Cached plans for request heads: a keep-alive client usually sends the same bytes for each request."""

from __future__ import annotations

from sidecar.auth import Identity
from sidecar.gates.gate import ScopeGate

from .requests import GateRequest


class RequestPlan:
    """The parsed meaning of a request head, for reuse when the same bytes come again.

    Attributes:
        request: the parsed request.
        gate: the nearest known gate.
        path: the requested scope if it is unknown; None: it is the gate's scope.
        identity: the admitted identity.
        wait: seconds to wait at most.
        head: the method is HEAD, so responses have no body.
        close: the connection is closed after the response.
        connection: a complete ``Connection`` line for the response; empty: it needs none.
        plain: the gate's own pre-rendered response is the response to this request.
        answer: the rendered snapshot, if the plan is not plain.
        answer_version: the version of the gate that ``answer`` shows.
        answer_date: the ``Date`` line of ``answer``.
    """

    __slots__ = (
        "answer", "answer_date", "answer_version", "close", "connection", "gate", "head", "identity", "path",
        "plain", "request", "wait",
    )  # fmt: skip

    def __init__(
        self, request: GateRequest, gate: ScopeGate, path: str | None, identity: Identity, *, head: bool
    ) -> None:
        self.request = request
        self.gate = gate
        self.path = path
        self.identity = identity
        self.wait = request.wait_secs(gate.policy.wait_timeout_secs)
        self.head = head
        self.close = False
        self.connection = b""
        self.plain = not head and path is None
        self.answer = b""
        self.answer_date: bytes | None = None
        self.answer_version = 0


class ListenerAccess:
    """The access of connections to one listener with the same client certificate, or without one.

    Attributes:
        identity: the identity of requests without a credential.
        plans: the plans of requests that were admitted, by their whole head; for authorization requests, by
            the operator's part of the target.
    """

    __slots__ = ("__weakref__", "identity", "plans")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.plans: dict[bytes, RequestPlan] = {}

    def clear_plans(self) -> list[RequestPlan]:
        """Drop all plans, so that every head is parsed again. Returns them, for their release."""
        plans = list(self.plans.values())
        self.plans.clear()
        return plans
