"""The servers that run for the whole benchmark. Each is started on its first use."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

from .machine import Machine
from .peers import Nginx, Ours
from .sizes import Sizes
from .talk import Connection, request

T = TypeVar("T")


class Stage:
    """The servers that scenarios share; use it as a context manager.

    Args:
        machine: assigns the cores.
        sizes: the sizes of all measurements.

    Attributes:
        events: name, beginning and end of each event that was measured, by the monotonic clock.
    """

    def __init__(self, machine: Machine, sizes: Sizes) -> None:
        self.machine = machine
        self.sizes = sizes
        self.events: list[tuple[str, float, float]] = []
        self._stack = ExitStack()
        self._kept: dict[object, Any] = {}

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _keep(self, key: object, made: AbstractContextManager[T]) -> T:
        self._kept[key] = kept = self._stack.enter_context(made)
        return kept

    def nginx(self) -> Nginx:
        """A sidecar without policies and rules."""
        found: Nginx | None = self._kept.get("nginx")
        return found or self._keep("nginx", Nginx(self.machine))

    def ours(self, scopes: int = 1, rules: int = 1) -> Ours:
        """A sidecar with ``scopes`` scopes and rules."""
        found: Ours | None = self._kept.get((scopes, rules))
        return found or self._keep((scopes, rules), Ours(self.machine, scopes, rules))


def by_turns(turn: int, items: Iterable[T]) -> list[T]:
    """The items, in reverse order in every second round, so that none is always first."""
    found = list(items)
    return found[::-1] if turn % 2 else found


def warm(where: tuple[str, int], target: str, times: int = 2_000) -> None:
    """Send requests until caches are filled."""
    data = request("GET", target)
    with Connection(where) as connection:
        for _ in range(times):
            connection.ask(data)
