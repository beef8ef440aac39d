"""The client for inference workers: the gate, and agents' own claims. It needs only Python.

A name is imported when it is first used. A program that needs one connection, such as a command of the
command line, does not load the threads and the event loop of the others.
"""

# ruff: noqa: E402 - the check for the other package of this name has to come first.
from sidecar.import_clash import refuse_another_sidecar

refuse_another_sidecar()

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .agent import Agent
    from .errors import InferencePaused, TooManyWaiting
    from .gate import Gate
    from .health import Health
    from .settings import Settings
    from .snapshot import Advice, GateSnapshot
    from .snapshot import GateSnapshot as Snapshot

__all__ = [
    "Advice",
    "Agent",
    "Gate",
    "GateSnapshot",
    "Health",
    "InferencePaused",
    "Settings",
    "Snapshot",
    "TooManyWaiting",
]

_MODULES = {
    "Advice": "snapshot",
    "Agent": "agent",
    "Gate": "gate",
    "GateSnapshot": "snapshot",
    "Health": "health",
    "InferencePaused": "errors",
    "Settings": "settings",
    "Snapshot": "snapshot",
    "TooManyWaiting": "errors",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), "GateSnapshot" if name == "Snapshot" else name)
    globals()[name] = value  # the next access finds it without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
