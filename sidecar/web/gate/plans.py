"""Request heads that were parsed once: a keep-alive client sends the same bytes again and again."""

from __future__ import annotations

from sidecar.auth import Identity
from sidecar.gates.gate import Gate

from .requests import GateRequest


class RequestPlan:
    """The meaning of a request head: what to do whenever the same bytes come again.

    Attributes:
        request: what it asks for.
        gate: the nearest known gate.
        path: the unnamed scope that was asked for; None: the gate's own.
        identity: who was admitted.
        wait: seconds to wait at most.
        head: HEAD, so responses have no body.
        close: the connection ends with the response.
        connection: a whole ``Connection`` line for the response, where it needs one.
        plain: a snapshot is answered with the gate's own rendered bytes.
        answer: the rendered snapshot where the plan is not plain.
        answer_version: the version of the gate that ``answer`` shows.
        answer_date: the ``Date`` line of ``answer``.
    """

    __slots__ = (
        "answer", "answer_date", "answer_version", "close", "connection", "gate", "head", "identity", "path",
        "plain", "request", "wait",
    )  # fmt: skip

    def __init__(
        self, request: GateRequest, gate: Gate, path: str | None, identity: Identity, *, head: bool
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
        identity: what may be done without a credential in the request.
        plans: the plans of request heads that were admitted.
    """

    __slots__ = ("__weakref__", "identity", "plans")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.plans: dict[bytes, RequestPlan] = {}

    def clear_plans(self) -> None:
        """Parse the next head again."""
        self.plans.clear()
