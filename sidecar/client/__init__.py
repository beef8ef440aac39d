"""What an inference worker imports: the gate, and an agent's own claims. Needs nothing but Python."""

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
