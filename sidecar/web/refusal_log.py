"""Logs requests that look like configuration mistakes, a few lines a minute.

These are refused webhooks, and gate requests for scopes that look misspelt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import islice

from sidecar.gates.gate import ScopeGate
from sidecar.runtime.controller import Controller
from sidecar.supervision import Failures

from .problems import Problem

logger = logging.getLogger(__name__)

_LINES_PER_MINUTE = 10
_CHECKS_PER_MINUTE = 60
_MAX_SEEN = 1_000
_MAX_NAMES = 1_000
_SHORT_NAME = 6


class LineLimit:
    """A token bucket for log lines. It counts the lines that were suppressed.

    Args:
        per_minute: maximum number of lines in a minute. All of them may come at once.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._tokens = float(per_minute)
        self._at = 0.0
        self._suppressed = 0

    def take(self, now: float) -> int | None:
        """Take one line. Returns the number of lines suppressed since the last one; None: suppress this line.

        Args:
            now: monotonic time in seconds.
        """
        gained = (now - self._at) * self._per_minute / 60.0
        self._tokens = min(float(self._per_minute), self._tokens + gained)
        self._at = now
        if self._tokens < 1.0:
            self._suppressed += 1
            return None
        self._tokens -= 1.0
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed


class RefusalLog:
    """Logs refused webhooks and scopes that look misspelt.

    Args:
        controller: has the known scopes.
        failures: counts and logs exceptions of the comparison.
    """

    def __init__(self, controller: Controller, failures: Failures) -> None:
        self._controller = controller
        self._loop = controller.loop
        self._failures = failures
        self._limits: dict[str, LineLimit] = {}
        self._checks = LineLimit(_CHECKS_PER_MINUTE)
        self._seen: dict[str, None] = {}

    def log_refused_webhook(self, problem: Problem, peer: str) -> None:
        """Log that a notification from ``peer`` was refused with ``problem``."""
        # There are few problem names, so there are few limits.
        suppressed = self._take_line(f"webhook_refused {problem.name}")
        if suppressed is None:
            return
        fields = {
            "peer": peer,
            "status": problem.status,
            "problem": problem.name,
            "reason": str(problem),
            "suppressed": suppressed,
        }
        logger.warning("webhook_refused", extra={"fields": fields})

    def check_spelling(self, scope: str, gate: ScopeGate, peer: Callable[[], str]) -> None:
        """Log ``scope``, which is unknown, if it looks misspelt.

        A thread compares the names. A scope is not logged again while it is remembered.

        Args:
            scope: the scope that a gate request or watch asks for.
            gate: the nearest known gate.
            peer: returns the client's address.
        """
        if scope in self._seen:
            return
        children = self._controller.tree.children(gate)
        first = next(children, None)
        if first is None or self._checks.take(self._loop.time()) is None:
            return
        self._remember(scope)
        names = [first.scope, *(child.scope for child in islice(children, _MAX_NAMES))]
        job = self._loop.run_in_executor(None, find_misspelling, scope, gate.scope, names)
        client = peer()
        job.add_done_callback(lambda done: self._log_misspelling(done, scope, gate, client))

    def _log_misspelling(
        self, job: asyncio.Future[tuple[str, str | None] | None], scope: str, gate: ScopeGate, peer: str
    ) -> None:
        try:
            found = job.result()
        except Exception:  # noqa: BLE001 - recorded; requests are still served
            self._failures.record("refusal_log")
            return
        if found is None or (found[0] != scope and found[0] in self._seen):
            return
        self._remember(found[0])
        suppressed = self._take_line("unknown_scope")
        if suppressed is None:
            return
        fields = {"scope": scope, "follows": gate.scope, "peer": peer, "did_you_mean": found[1]}
        logger.warning("unknown_scope", extra={"fields": {**fields, "suppressed": suppressed}})

    def _remember(self, scope: str) -> None:
        if len(self._seen) >= _MAX_SEEN:
            self._seen.clear()
        self._seen[scope] = None

    def _take_line(self, kind: str) -> int | None:
        limit = self._limits.get(kind)
        if limit is None:
            limit = self._limits[kind] = LineLimit(_LINES_PER_MINUTE)
        return limit.take(self._loop.time())


def find_misspelling(scope: str, follows: str, names: list[str]) -> tuple[str, str | None] | None:
    """The part of ``scope`` that looks misspelt, and a known scope that may be meant; None: there is none.

    A segment looks misspelt if it is unknown but similar to a known one, digits aside. An unknown first
    segment looks misspelt even if nothing similar is known.

    Args:
        scope: the requested scope.
        follows: its nearest known ancestor; ``""``: the root.
        names: the known scopes inside that ancestor.
    """
    parts = scope.split("/")
    known = [name.split("/") for name in names]
    depth = follows.count("/") + 1 if follows else 0
    while True:
        segments = dict.fromkeys(one[depth] for one in known if len(one) > depth)
        if depth == len(parts) or not segments:
            return None
        if parts[depth] not in segments:
            break
        known = [one for one in known if len(one) > depth and one[depth] == parts[depth]]
        depth += 1
    segment, wrong = parts[depth], "/".join(parts[: depth + 1])
    if any(_without_digits(name) == _without_digits(segment) for name in segments):
        # agent-7 is no misspelling of agent-8.
        return None
    for letters in range(1, 2 if len(segment) < _SHORT_NAME else 3):
        for name in segments:
            if is_similar(segment, name, letters):
                return wrong, _nearest_known([*parts[:depth], name, *parts[depth + 1 :]], depth + 1, names)
    return (wrong, None) if depth == 0 else None


def _nearest_known(parts: list[str], corrected: int, names: list[str]) -> str:
    """The longest known scope on the path ``parts``, else a known one inside its corrected segments."""
    known = set(names)
    for length in range(len(parts), corrected - 1, -1):
        if (scope := "/".join(parts[:length])) in known:
            return scope
    prefix = "/".join(parts[:corrected]) + "/"
    return next(name for name in names if name.startswith(prefix))


def _without_digits(name: str) -> str:
    return "".join(letter for letter in name if not letter.isdigit())


def is_similar(one: str, other: str, max_edits: int) -> bool:
    """Whether ``max_edits`` insertions, deletions, replacements or swaps of letters make the names equal."""
    if abs(len(one) - len(other)) > max_edits:
        return False
    older: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        new = [at]
        for to, wanted in enumerate(other, 1):
            cost = min(row[to] + 1, new[to - 1] + 1, row[to - 1] + (letter != wanted))
            if at > 1 and to > 1 and letter == other[to - 2] and one[at - 2] == wanted:
                cost = min(cost, older[to - 2] + 1)
            new.append(cost)
        older, row = row, new
        if min(row) > max_edits:
            return False
    return row[-1] <= max_edits
