"""Runs real engines, which ``tests/real/prepare`` fetches and builds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest
import requests

from dashboards.build import BOARDS
from dashboards.panels import Panel

from .process import Process, eventually
from .rules import FILES

REAL = Path(os.environ.get("REAL_DIR", Path.home() / ".cache" / "wellbeing-real"))
PARTS = Path(__file__).parents[1] / "real"
START_SECS = float(os.environ.get("REAL_START_SECS", "600"))


def needs(name: str, file: str) -> pytest.MarkDecorator:
    """Skip tests of an engine that is not prepared. Under ``make real`` such a test fails.

    Args:
        name: the engine's name in ``tests/real/prepare``.
        file: a file that exists when the engine is prepared.
    """
    is_missing = not (REAL / file).exists() and os.environ.get("REAL_REQUIRED") != "1"
    return pytest.mark.skipif(
        is_missing, reason=f"the real {name} was not tried: `tests/real/prepare {name}` prepares it"
    )


class RealServer(Process):
    """A real server with an HTTP endpoint that shows whether the server is up.

    Args:
        command: the command.
        url: a URL that is answered with 200 when the server is up.
        folder: its working folder.
        environ: further variables of its environment.
    """

    def __init__(self, command: Sequence[str | Path], url: str, folder: Path, **environ: str) -> None:
        self.url = url
        super().__init__([str(one) for one in command], folder, {**os.environ, **environ})

    def __enter__(self) -> Self:
        try:
            self.wait_ok(self.url, START_SECS)
        except BaseException:
            self.stop()
            raise
        return self


def await_answer(url: str) -> None:
    """Wait until a server gives any response."""

    def answers() -> bool:
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            return False
        return True

    eventually(answers, f"{url} answers")


def series_of(text: str) -> dict[str, set[str]]:
    """The label names of each series in a scrape."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ", line):
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
    return found


def used_series(subject: str, pattern: str) -> dict[str, set[str]]:
    """The series in an engine's rules and panels whose names match a pattern, with the labels that select them."""
    used: dict[str, set[str]] = {}
    rules = [rule["expr"] for group in FILES[subject] for rule in group["rules"]]
    panels = [part for board in BOARDS for part in board.parts if isinstance(part, Panel)]
    for expression in [*rules, *(query for panel in panels for query, _ in panel.queries)]:
        for name, chosen in re.findall(rf"\b({pattern})(?:\{{([^}}]*)\}})?", expression):
            used.setdefault(name, set()).update(re.findall(r"(\w+)=", chosen))
    return used


def assert_rules_find(
    subject: str, pattern: str, scrape: Callable[[], str], labels: set[str], *apart: str
) -> None:
    """Check that a scrape of the engine has every series of its rules and panels, with the labels that they use.

    Args:
        subject: the name of the engine.
        pattern: a pattern of the names of its series.
        scrape: a function that returns its exposition.
        labels: the labels that each series must have.
        apart: series that are excluded because the engine does not have them on this machine.
    """
    used = used_series(subject, pattern)
    assert used

    def there() -> bool:
        found = series_of(scrape())
        return all(labels | used[name] <= found.get(name, set()) for name in set(used) - set(apart))

    missing = {name: (labels | used[name], series_of(scrape()).get(name)) for name in used}
    eventually(there, f"the series of {subject}.rules.yml: {missing}", 30)
