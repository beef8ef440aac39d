"""Which requests a closed gate holds: by default, all except the harmless ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .harmless_paths import HARMLESS

_UNCLEAR = re.compile(r"//|/\.{1,2}(/|$)")
"""A server may interpret such a path differently from the pattern."""


class PathRules:
    """Decides by path whether a request is held while the gate is closed.

    The first rule that matches decides: ``hold_paths``, ``pass_paths``, ``paths``. Without ``paths``, every
    path outside `HARMLESS` is held. ``OPTIONS`` requests always pass.

    Args:
        hold_paths: paths that are held. ``*`` stands for any characters, slashes included.
        pass_paths: paths that pass, in the same form.
        paths: if given, only ``POST`` requests whose path ends with one of these are held.
    """

    def __init__(
        self, hold_paths: Iterable[str] = (), pass_paths: Iterable[str] = (), paths: Iterable[str] = ()
    ) -> None:
        self._held = _compile(hold_paths, "hold_paths")
        self._passed = _compile(pass_paths, "pass_paths")
        # Request paths are compared without a trailing slash.
        self._ends = tuple(one.rstrip("/") for one in paths if one.rstrip("/"))

    def holds(self, method: str, path: str) -> bool:
        """Whether a closed gate holds a request.

        Args:
            method: its method; empty: it opens a WebSocket.
            path: its decoded path, as the application's routes have it.
        """
        if method == "OPTIONS":
            return False
        path = path.removesuffix("/") or "/"
        if self._held is not None and self._held.fullmatch(path):
            return True
        if self._passed is not None and self._passed.fullmatch(path) and not _UNCLEAR.search(path):
            return False
        if self._ends:
            return method == "POST" and path.rstrip("/").endswith(self._ends)
        return path not in HARMLESS


def split_paths(given: Iterable[str] | None, name: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The paths of an argument: a list or text with commas; None: the paths of the variable ``name``."""
    if given is None:
        given = environ.get(name, "")
    listed = given.split(",") if isinstance(given, str) else given
    return tuple(one.strip() for one in listed if one.strip())


def _compile(patterns: Iterable[str], name: str) -> re.Pattern[str] | None:
    parts = []
    for pattern in patterns:
        if not pattern.startswith(("/", "*")):
            raise ValueError(f"{name}: a path begins with / or *, got {pattern!r}")
        # A request's path is compared without a trailing slash.
        text = pattern if len(pattern) == 1 else pattern.removesuffix("/")
        parts.append(".*".join(map(re.escape, text.split("*"))))
    return re.compile("|".join(parts), re.DOTALL) if parts else None
