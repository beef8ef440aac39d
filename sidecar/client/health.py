"""The state of a client's connection to its sidecar."""

from __future__ import annotations

from dataclasses import dataclass

from .snapshot import GateSnapshot


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the connection to the sidecar.

    Attributes:
        reachable: whether the last request succeeded; None: there was no request yet.
        since: wall time when ``reachable`` last changed.
        error: why the last request failed; empty: it succeeded.
        fallback: whether the gate's state is unknown, so that the setting ``unreachable`` decides.
        snapshot: the last received snapshot; None: there was none.
        misconfigured: the sidecar refuses this client (400, 401, 403, 404, …), or a file that the settings
            name cannot be read. Waiting does not help; the settings have to be corrected.
        failures: unexpected exceptions in background threads since the process began; each is in the log.
    """

    reachable: bool | None
    since: float
    error: str
    fallback: bool
    snapshot: GateSnapshot | None
    misconfigured: bool = False
    failures: int = 0
