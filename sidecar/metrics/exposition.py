"""Renders /metrics on the event loop in small time slices, so that scrapes do not delay gate requests.

A thread would block the interpreter for several milliseconds at a time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.samples import Sample

from sidecar.gates.gate import ScopeGate
from sidecar.time_slice import TimeSlice

from .process import MetricsSource, ProcessMetrics
from .scopes import CachedScopeLines, Lines, chunks, families

_SENT_AT_ONCE = 32_768
_MAX_FORMATS = 8
_END = b"# EOF\n"
_ESCAPING = re.compile(r";\s*escaping=[^;,]*")
_WEIGHT = re.compile(r";\s*q=([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", re.IGNORECASE)
_, _DEFAULT_TYPE = choose_encoder("")

Encode = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class Scrape:
    """The response to one scrape.

    Attributes:
        content_type: the content type of the text format or of OpenMetrics.
        size: the size of the body in bytes.
        parts: the body, in parts.
    """

    content_type: str
    size: int
    parts: AsyncIterator[bytes]


class Exposition:
    """Renders the metrics of a running sidecar in its event loop.

    Args:
        source: the running sidecar.
    """

    def __init__(self, source: MetricsSource) -> None:
        self._source = source
        self._process = ProcessMetrics(source)
        self._runtime = CollectorRegistry()
        ProcessCollector(registry=self._runtime)
        GCCollector(registry=self._runtime)
        self._cached: dict[ScopeGate, CachedScopeLines] = {}
        self._formats: dict[str, _Format] = {}

    async def scrape(self, accept: str) -> Scrape:
        """Render the metrics in the format of ``accept``. The values of one scope are consistent."""
        encode, content_type = _encoder(accept)
        ends = [_END] if content_type.startswith("application/openmetrics-text") else []
        metric_format = self._formats.get(content_type)
        if metric_format is None:
            if len(self._formats) >= _MAX_FORMATS:
                self._formats.clear()
            metric_format = self._formats[content_type] = _Format(encode)
        headers = metric_format.headers
        scope_lines, size = await self._refresh_scopes()
        process_lines = await self._encode_process(metric_format)
        size += sum(map(len, (*headers, *process_lines, *ends)))
        return Scrape(content_type, size, _parts(scope_lines, headers, [*process_lines, *ends]))

    async def _refresh_scopes(self) -> tuple[list[Lines], int]:
        """The lines of every scope, and their size in bytes."""
        controller = self._source.controller
        imports = self._source.imports.all
        imported_pauses = {one.config.scope: one.reading.pause_secs for one in imports if one.reading}
        gates = controller.tree.gates
        cached = self._cached
        scope_lines: list[Lines] = []
        size = 0
        time_slice = TimeSlice()
        only_own = self._source.only_own_scopes
        for gate in list(gates.values()):
            if only_own and not _is_own(gate):
                continue
            one = cached.get(gate)
            if one is None:
                one = cached[gate] = CachedScopeLines()
            one.refresh(gate, controller.clock.monotonic(), imported_pauses.get(gate.scope, 0.0))
            scope_lines.append(one.lines)
            size += one.size
            if time_slice.expired:
                await time_slice.yield_to_others()
        if len(cached) > len(gates):
            self._cached = {gate: cached[gate] for gate in gates.values() if gate in cached}
        return scope_lines, size

    async def _encode_process(self, metric_format: _Format) -> list[bytes]:
        """The families of the process and of the Python runtime, encoded."""
        # Run in a thread, because the process collector lists all open files, one for each connection.
        runtime = await asyncio.to_thread(lambda: list(self._runtime.collect()))
        process_lines: list[bytes] = []
        time_slice = TimeSlice()
        for family in chain(self._process.collect(), runtime):
            if time_slice.expired:
                await time_slice.yield_to_others()
            process_lines.append(metric_format.encoded(family))
            if time_slice.expired:
                await time_slice.yield_to_others()
        return process_lines


class _Format:
    """One exposition format, with a cache of encoded families.

    Args:
        encode: prometheus_client's encoder.

    Attributes:
        headers: the headers of the per-scope families.
    """

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._last: dict[str, tuple[list[Sample], bytes]] = {}
        self.headers = [_encoded(encode, family) for family in families()]

    def encoded(self, family: Metric) -> bytes:
        """``family`` in this format. It is encoded again only if its samples changed."""
        last = self._last.get(family.name)
        if last is not None and last[0] == family.samples:
            return last[1]
        text = _encoded(self._encode, family)
        self._last[family.name] = (family.samples, text)
        return text


def _encoder(accept: str) -> tuple[Encode, str]:
    # The metric names never need escaping, whatever scheme is requested.
    wanted = [_ESCAPING.sub("", one) for one in accept.split(",")]
    # `choose_encoder` ignores the weights.
    ranked = sorted((one for one in wanted if _weight(one) > 0.0), key=_weight, reverse=True)
    for one in ranked:
        try:
            encode, content_type = choose_encoder(one)
        except (TypeError, ValueError):
            # The version is not a number.
            continue
        if content_type != _DEFAULT_TYPE or one.partition(";")[0].strip() == "text/plain":
            return encode, content_type
    return choose_encoder("")


def _weight(accepted: str) -> float:
    """The weight of one media range of an ``Accept`` header (RFC 9110, section 12.4.2), by default 1."""
    found = _WEIGHT.search(accepted)
    return float(found[1]) if found else 1.0


async def _parts(
    scope_lines: list[Lines], headers: list[bytes], rest: Iterable[bytes]
) -> AsyncIterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    time_slice = TimeSlice()
    for piece in chain(chunks(scope_lines, headers), rest):
        waiting.append(piece)
        size += len(piece)
        if size >= _SENT_AT_ONCE:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
        if time_slice.expired:
            await time_slice.yield_to_others()
    yield b"".join(waiting)


class _SingleFamily:
    """A collector with one family."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """The family."""
        return (self._family,)


def _encoded(encode: Encode, family: Metric) -> bytes:
    return encode(_SingleFamily(family)).removesuffix(_END)


def _is_own(gate: ScopeGate) -> bool:
    """Whether this sidecar was asked about the gate, or decided on it."""
    asked = gate.requests or gate.clients or gate.watchers
    return bool(asked or gate.interventions or any(gate.pauses.values()) or any(gate.resumes.values()))
