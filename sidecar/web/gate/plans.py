"""Request heads that were parsed once: a keep-alive client sends the same bytes again and again."""

from __future__ import annotations

from sidecar.auth import Identity
from sidecar.gates.gate import Gate

from .requests import GateRequest


class RequestPlan:
    """A request head, understood: what to do whenever the same bytes come again.

    Attributes:
        request: what it asks for.
        gate: the nearest known one.
        path: the unnamed scope that was asked for; None: the gate's own.
        wait: seconds to wait at most.
        head: HEAD, so answers have no body.
        close: the connection ends with the answer.
        connection: a whole ``Connection`` line for the answer, where it needs one.
        plain: a snapshot is answered with the gate's own rendered bytes.
        answer: a snapshot as it is answered where it is not plain, as last rendered.
        answer_version: the version of the gate that ``answer`` shows.
        answer_date: what ``answer`` was rendered with.
    """

    __slots__ = (
        "answer", "answer_date", "answer_version", "close", "connection", "gate", "head", "path", "plain",
        "request", "wait",
    )  # fmt: skip

    def __init__(self, request: GateRequest, gate: Gate, path: str | None, *, head: bool) -> None:
        self.request = request
        self.gate = gate
        self.path = path
        self.wait = request.wait_secs(gate.policy.wait_timeout_secs)
        self.head = head
        self.close = False
        self.connection = b""
        self.plain = not head and path is None
        self.answer = b""
        self.answer_date: bytes | None = None
        self.answer_version = 0


class ListenerAccess:
    """A way in: a listener, and who a client's certificate says it is.

    Attributes:
        identity: what may be done without a credential.
        plans: what request heads mean that came this way and were let in.
        plan_bytes: of those heads.
    """

    __slots__ = ("identity", "plan_bytes", "plans")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.plans: dict[bytes, RequestPlan] = {}
        self.plan_bytes = 0

    def forget(self) -> None:
        """Understand heads anew."""
        self.plans.clear()
        self.plan_bytes = 0
