"""The client for inference workers: the gate, and agents' own claims. It needs only Python."""

# ruff: noqa: E402 - the check for the other package of this name has to come first.
from sidecar.import_clash import refuse_another_sidecar

refuse_another_sidecar()

from .agent import Agent
from .errors import InferencePaused, TooManyWaiting
from .gate import Gate
from .health import Health
from .settings import Settings
from .snapshot import GateSnapshot
from .snapshot import GateSnapshot as Snapshot

__all__ = [
    "Agent",
    "Gate",
    "GateSnapshot",
    "Health",
    "InferencePaused",
    "Settings",
    "Snapshot",
    "TooManyWaiting",
]
