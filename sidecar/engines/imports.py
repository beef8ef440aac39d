"""Polls other controllers for JSON, and adds their counts to this sidecar's counters.

The counts are added like the counts of a client (`ClientReports`). Counts from before the first poll are left
out. A lower count means that the controller restarted. A controller that is unreachable for three intervals
is gone. Its state is a claim with a TTL. The claim ends when the TTL expires or the import leaves the config.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sidecar.blocking_calls import BlockingCalls, CallHangs
from sidecar.config import ImportConfig
from sidecar.core.commands import ClaimState
from sidecar.core.errors import CoreError, InvalidState
from sidecar.core.state import WellbeingState
from sidecar.core.text import clean_text
from sidecar.core.values import AGENT_PREFIX
from sidecar.gates.client_reports import (
    GONE_INTERVALS,
    ClientReport,
    ClientReports,
    InvalidReport,
    ReportedCounts,
    TooManyClients,
)
from sidecar.http_json import HttpAccess, HttpRequestFailed, request_json
from sidecar.runtime.command_queue import ShuttingDown
from sidecar.runtime.controller import Controller
from sidecar.store import StoreUnavailable
from sidecar.supervision import run_supervised

logger = logging.getLogger(__name__)

_MAX_ANSWER_BYTES = 1_048_576
_MAX_COUNT = 2**53
_OK = 200
_COUNTED = ("interventions_total", "pauses_total", "resumes_total")
_MAX_REASON_LENGTH = 1000
_HANG_FACTOR = 3.0


class ImportFailed(Exception):
    """The controller did not answer, or its answer lacks a member that the config names."""


@dataclass(frozen=True, slots=True)
class ImportReading:
    """The result of one poll.

    Attributes:
        counts: request counts.
        totals: interventions, pauses and resumes, in this order.
        pause_secs: seconds that the controller has been paused; 0: it is not paused.
        paused: whether it is paused; None: it does not say.
        state: its own state; None: it does not say.
        reason: the reason for its state; may be empty.
    """

    counts: ReportedCounts
    totals: tuple[int, int, int]
    pause_secs: float
    paused: bool | None
    state: WellbeingState | None
    reason: str


def fetch(config: ImportConfig) -> Any:  # noqa: ANN401 - JSON
    """Fetch the JSON at the URL of ``config``. Raises `ImportFailed`."""
    try:
        status, answer = request_json(
            "GET",
            config.url,
            HttpAccess.of(config),
            timeout=config.timeout_secs,
            max_bytes=_MAX_ANSWER_BYTES,
        )
    except HttpRequestFailed as error:
        raise ImportFailed(str(error)) from None
    if status != _OK:
        raise ImportFailed(f"it answered {status}")
    return answer


def parse_reading(answer: object, config: ImportConfig) -> ImportReading:
    """Parse ``answer`` with the fields that the config names. Raises `ImportFailed`."""
    fields = config.fields
    blocked = _count(answer, fields.requests_blocked)
    requests = max(_count(answer, fields.requests_total, optional=True), blocked)
    waited, timed_out = _count(answer, fields.requests_waited), _count(answer, fields.requests_timed_out)
    state, reason = _member(answer, fields.state), _member(answer, fields.reason)
    paused, pause_secs = _member(answer, fields.paused), _member(answer, fields.current_pause_duration_secs)
    if paused is not None and not isinstance(paused, bool):
        raise ImportFailed(f"{fields.paused} is neither true nor false")
    if pause_secs is not None and (isinstance(pause_secs, bool) or not isinstance(pause_secs, int | float)):
        raise ImportFailed(f"{fields.current_pause_duration_secs} is not a number")
    try:
        return ImportReading(
            counts=ReportedCounts(requests, blocked, waited, timed_out),
            totals=(
                _count(answer, fields.interventions_total),
                _count(answer, fields.pauses_total),
                _count(answer, fields.resumes_total),
            ),
            pause_secs=max(0.0, float(pause_secs or 0.0)),
            paused=paused,
            state=None if state is None else WellbeingState.parse(str(state).lower()),
            reason=clean_text(str(reason), _MAX_REASON_LENGTH) if reason else "",
        )
    except (InvalidReport, InvalidState) as error:
        raise ImportFailed(str(error)) from None


def _member(answer: object, path: str) -> object:
    if not path:
        return None
    for name in path.split("."):
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer


def _count(answer: object, path: str, *, optional: bool = False) -> int:
    value = _member(answer, path)
    if value is None and (optional or not path):
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        raise ImportFailed(f"{path} is not a count")
    return value


class CounterImport:
    """Polls one controller.

    Args:
        controller: receives its state.
        reports: receives its counts.
        config: its URL and fields.
        fetch: fetches its JSON, in a thread.
    """

    def __init__(
        self,
        controller: Controller,
        reports: ClientReports,
        config: ImportConfig,
        fetch: Callable[[ImportConfig], Any] = fetch,
    ) -> None:
        self.config = config
        self.up: bool | None = None
        self.reading: ImportReading | None = None
        self._controller = controller
        self._reports = reports
        self._fetch = fetch
        self._generation = 0
        self._sequence = 0
        self._last: ImportReading | None = None
        self._claimed = False
        self._calls = BlockingCalls(controller.loop, "import", config.timeout_secs * _HANG_FACTOR)
        self._task = controller.loop.create_task(
            run_supervised("import", self._run, controller.counters.task_failures)
        )

    async def stop(self) -> None:
        """Stop polling."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._reports.client_gone(self.config.scope, self._client)

    async def release(self) -> None:
        """Stop polling a controller that left the config, and withdraw its claim."""
        await self.stop()
        if not self._claimed:
            return
        claim = ClaimState(self.config.scope, AGENT_PREFIX + self.config.name, WellbeingState.HEALTHY)
        try:
            await self._controller.submit(claim)
        except (StoreUnavailable, CoreError, ShuttingDown) as failure:
            # The claim ends with its TTL.
            logger.warning("import_not_withdrawn", extra={"fields": {**self._fields, "error": str(failure)}})

    @property
    def _client(self) -> str:
        return f"import:{self.config.name}:{self._generation}"

    async def _run(self) -> None:
        while True:
            error = ""
            try:
                await self._poll()
            except (ImportFailed, CallHangs, InvalidReport, TooManyClients) as failure:
                error = str(failure)
            except (StoreUnavailable, CoreError, ShuttingDown) as failure:
                logger.warning(
                    "import_not_claimed", extra={"fields": {**self._fields, "error": str(failure)}}
                )
            except Exception:
                logger.exception("an import failed")
                error = "see the log"
            if error and self.up is not False:
                logger.warning("import_down", extra={"fields": {**self._fields, "error": error}})
            elif not error and self.up is False:
                logger.warning("import_up", extra={"fields": self._fields})
            self.up = not error
            if error:
                self.reading = None
            await asyncio.sleep(self.config.interval_secs)

    async def _poll(self) -> None:
        reading = parse_reading(await self._calls.run(lambda: self._fetch(self.config)), self.config)
        last = self._last
        if last is not None and _went_back(last, reading):
            logger.warning("import_restarted", extra={"fields": self._fields})
            self._reports.client_gone(self.config.scope, self._client)
            self._generation += 1
            last = ImportReading(ReportedCounts(), (0, 0, 0), 0.0, None, None, "")
        self._take(reading, last)
        self._last = self.reading = reading
        await self._claim(reading)

    def _take(self, reading: ImportReading, last: ImportReading | None) -> None:
        self._sequence += 1
        known = reading.counts if last is None else last.counts
        report = ClientReport(self._client, self._sequence, self.config.interval_secs, reading.counts, known)
        self._reports.take(self.config.scope, report)
        if last is None:
            return
        gate, _ = self._controller.tree.find(self.config.scope)
        interventions, pauses, resumes = (
            now - before for now, before in zip(reading.totals, last.totals, strict=True)
        )
        gate.interventions += interventions
        if pauses:
            gate.pauses["imported"] = gate.pauses.get("imported", 0) + pauses
        if resumes:
            gate.resumes["imported"] = gate.resumes.get("imported", 0) + resumes

    async def _claim(self, reading: ImportReading) -> None:
        state = reading.state
        if state is None or (state is WellbeingState.HEALTHY and not self._claimed):
            return
        ttl = GONE_INTERVALS * self.config.interval_secs
        source = AGENT_PREFIX + self.config.name
        reason = reading.reason or f"{self.config.name} says that it is {state.label}"
        await self._controller.submit(ClaimState(self.config.scope, source, state, reason, ttl))
        self._claimed = state is not WellbeingState.HEALTHY

    @property
    def _fields(self) -> dict[str, object]:
        return {"import": self.config.name, "scope": self.config.scope}


def _went_back(before: ImportReading, now: ImportReading) -> bool:
    names = ("requests", "blocked", "waited", "timed_out")
    return any(getattr(now.counts, name) < getattr(before.counts, name) for name in names) or any(
        new < old for new, old in zip(now.totals, before.totals, strict=True)
    )


class CounterImports:
    """All imports of the config.

    Args:
        controller: receives their states.
        reports: receives their counts.
        configs: one for each import.
    """

    def __init__(
        self, controller: Controller, reports: ClientReports, configs: tuple[ImportConfig, ...]
    ) -> None:
        self._controller = controller
        self._reports = reports
        self.all: list[CounterImport] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self.configure(configs)

    def configure(self, configs: tuple[ImportConfig, ...]) -> None:
        """Use ``configs`` from now on. An import with an unchanged config is not disturbed."""
        kept = [one for one in self.all if one.config in configs]
        names = {(config.scope, config.name) for config in configs}
        for one in self.all:
            if one not in kept:
                # The claim continues if the config has an import with the same scope and name.
                continues = (one.config.scope, one.config.name) in names
                task = self._controller.loop.create_task(one.stop() if continues else one.release())
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
        known = [one.config for one in kept]
        self.all = kept + [
            CounterImport(self._controller, self._reports, config)
            for config in configs
            if config not in known
        ]

    async def stop(self) -> None:
        """Stop polling all imports."""
        await asyncio.gather(*(one.stop() for one in self.all), *self._leaving, return_exceptions=True)
