"""The state of a client's link to its sidecar."""

from __future__ import annotations

from dataclasses import dataclass

from .snapshot import GateSnapshot


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the link to the sidecar.

    Attributes:
        reachable: whether the last request was answered as it should be; None: there was none yet.
        since: wall time since when that is so.
        error: why the last request failed; empty: it did not.
        fallback: the gate's state is not known, and the setting ``unreachable`` decides.
        snapshot: the last one that was received; None: there was none.
        misconfigured: the sidecar refuses this client (400, 401, 403, 404, …), or a file that the settings
            name cannot be read. Waiting does not help; somebody has to mend the settings.
        failures: unexpected exceptions in background threads since the process began; each is in the log.
    """

    reachable: bool | None
    since: float
    error: str
    fallback: bool
    snapshot: GateSnapshot | None
    misconfigured: bool = False
    failures: int = 0
