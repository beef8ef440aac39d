"""What an inference worker imports: the gate, and an agent's own claims. Needs `requests` only."""

from .agent import Agent
from .errors import InferencePaused, TooManyWaiting
from .gate import Gate
from .link import Health
from .settings import Settings
from .snapshot import Snapshot

__all__ = ["Agent", "Gate", "Health", "InferencePaused", "Settings", "Snapshot", "TooManyWaiting"]
