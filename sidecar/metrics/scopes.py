"""Per-scope metric families with cached text: a scope is rendered again only when a value changed.

All lines of a family must be adjacent, so a scope's lines are kept by family. They have two parts: counts
change with every request and while a gate is closed; state changes only with a command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from sidecar.core.state import WellbeingState
from sidecar.gates.advice import advice_of
from sidecar.gates.gate import ScopeGate
from sidecar.gates.limits import trial_of

_MAX_REASON = 120
"""The most characters of a reason in a label. Status and history have the whole reason."""

_STATES = tuple(WellbeingState)
_SCOPES_PER_CHUNK = 256

# Counts by sample name: whether it is a counter, and the help text.
_COUNT_METRICS = {
    "wellbeing_current_pause_duration_seconds": (False, "How long the gate has been closed; 0: open."),
    "wellbeing_paused_seconds_total": (True, "Time that the gate was closed, since the sidecar started."),
    "wellbeing_advised_paused_seconds_total": (
        True,
        "Time that the gate would have been closed by advice, since the sidecar started.",
    ),
    "wellbeing_waiters": (False, "Gate requests that are waiting."),
    "wellbeing_requests_total": (True, "Gate requests."),
    "wellbeing_requests_blocked_total": (True, "Gate requests that met a closed gate."),
    "wellbeing_requests_waited_total": (True, "Blocked requests that were let through."),
    "wellbeing_requests_timed_out_total": (True, "Blocked requests whose wait timed out."),
    "wellbeing_requests_abandoned_total": (True, "Blocked requests whose client disconnected."),
    "wellbeing_requests_rejected_total": (True, "Blocked requests that the sidecar rejected."),
}

Lines = tuple[bytes, ...]


def families() -> list[Metric]:
    """All per-scope families, without samples, in the order of `CachedScopeLines.lines`."""
    return [
        GaugeMetricFamily("wellbeing_state", "1 for the current effective state, else 0."),
        GaugeMetricFamily("wellbeing_state_level", "The effective state: 0 healthy to 3 distressed."),
        GaugeMetricFamily("wellbeing_signals", "Current signals."),
        GaugeMetricFamily("wellbeing_paused", "1 while the gate is closed."),
        GaugeMetricFamily(
            "wellbeing_pause_until_timestamp_seconds",
            "When the pause ends by itself; 0: never. Present only while the gate is closed.",
        ),
        GaugeMetricFamily(
            "wellbeing_pause_info",
            "1 while the gate is closed, with the hold's scope, kind, source, alert and reason.",
        ),
        GaugeMetricFamily("wellbeing_restricted", "1 while the gate is under a restriction or on trial."),
        GaugeMetricFamily(
            "wellbeing_admit_per_second",
            "Requests per second that a restricted gate, or one with a resume ramp, admits. "
            "Present only while it does.",
        ),
        GaugeMetricFamily(
            "wellbeing_priority_starved_seconds",
            "How long requests of this priority have waited while only higher priorities passed. "
            "Present only while they do.",
        ),
        GaugeMetricFamily("wellbeing_trial", "1 while the gate is on trial after a recovery."),
        CounterMetricFamily("wellbeing_admitted", "Outcomes of admitted requests, as clients reported them."),
        GaugeMetricFamily("wellbeing_advised", "1 while the policy advises a pause and does not pause."),
        GaugeMetricFamily(
            "wellbeing_advised_admit_per_second",
            "Requests per second that an advised restriction would admit. Present only while one is advised.",
        ),
        CounterMetricFamily("wellbeing_interventions", "Changes of the own state."),
        CounterMetricFamily("wellbeing_pauses", "Pauses, by cause."),
        CounterMetricFamily("wellbeing_resumes", "Resumes, by cause."),
        CounterMetricFamily(
            "wellbeing_advised_pauses", "Pauses that the policy advised and did not put, because it observes."
        ),
        *(
            CounterMetricFamily(name.removesuffix("_total"), documentation)
            if is_counter
            else GaugeMetricFamily(name, documentation)
            for name, (is_counter, documentation) in _COUNT_METRICS.items()
        ),
    ]


class CachedScopeLines:
    """The lines of one scope.

    Attributes:
        lines: the text of each family.
        size: the size of all lines in bytes.
    """

    __slots__ = ("_count_lines", "_counts", "_state", "_state_lines", "lines", "size")

    def __init__(self) -> None:
        self._state: object = None
        self._counts: object = None
        self._state_lines: Lines = ()
        self._count_lines: Lines = ()
        self.lines: Lines = ()
        self.size = 0

    def refresh(self, gate: ScopeGate, now: float, imported_pause_secs: float) -> None:
        """Render the changed parts again.

        Args:
            gate: the gate of the scope.
            now: monotonic seconds.
            imported_pause_secs: seconds that an imported controller has been paused.
        """
        starved = gate.starved(now) if gate.limiters or gate.limiting else {}
        state = (
            tuple(starved.items()),
            gate.record,
            gate.version,
            gate.admit_per_sec,
            gate.succeeded,
            gate.failed,
            gate.interventions,
            *gate.pauses.values(),
            *gate.resumes.values(),
            gate.advised_pauses,
        )
        counts = (
            max(gate.paused_for(now), imported_pause_secs),
            gate.paused_secs + gate.counted_pause(now),
            gate.advised_secs(now),
            gate.waiting,
            gate.requests,
            gate.blocked,
            gate.waited,
            gate.timed_out,
            gate.abandoned,
            gate.rejected,
        )
        if state != self._state:
            self._state = state
            self._state_lines = tuple(_render_state(gate, starved))
        elif counts == self._counts:
            return
        if counts != self._counts:
            self._counts = counts
            self._count_lines = tuple(_render_counts(gate.scope, counts))
        self.lines = self._state_lines + self._count_lines
        self.size = sum(map(len, self.lines))


def _render_state(gate: ScopeGate, starved: Mapping[int, float]) -> Iterator[bytes]:
    scope = gate.scope
    label = f'{{scope="{scope}"}}'
    yield "".join(
        f'wellbeing_state{{scope="{scope}",state="{one.label}"}} {float(one is gate.effective)}\n'
        for one in _STATES
    ).encode()
    yield f"wellbeing_state_level{label} {float(gate.effective)}\n".encode()
    yield "".join(
        f'wellbeing_signals{{scope="{scope}",source="{source}",state="{state}"}} {float(count)}\n'
        for (source, state), count in _signals(gate).items()
    ).encode()
    yield f"wellbeing_paused{label} {float(gate.closed)}\n".encode()
    hold = gate.hold
    if hold is None:
        yield b""
        yield b""
    else:
        until = _number(hold.until or 0.0)
        yield f"wellbeing_pause_until_timestamp_seconds{label} {until}\n".encode()
        reason, source = _escaped(hold.reason[:_MAX_REASON]), _escaped(hold.by)
        alertname, held_by = _escaped(hold.alertname), gate.held_by or "(root)"
        yield (
            f'wellbeing_pause_info{{alertname="{alertname}",held_by="{held_by}",kind="{hold.kind.value}",'
            f'reason="{reason}",scope="{scope}",source="{source}"}} 1.0\n'
        ).encode()
    yield f"wellbeing_restricted{label} {float(gate.is_restricted)}\n".encode()
    rate = gate.admit_per_sec
    yield b"" if rate is None else f"wellbeing_admit_per_second{label} {_number(rate)}\n".encode()
    yield "".join(
        f'wellbeing_priority_starved_seconds{{priority="{priority}",scope="{scope}"}} {_number(secs)}\n'
        for priority, secs in sorted(starved.items())
    ).encode()
    on_trial = not gate.closed and bool(trial_of(gate.limits))
    yield f"wellbeing_trial{label} {float(on_trial)}\n".encode()
    yield "".join(
        f'wellbeing_admitted_total{{outcome="{outcome}",scope="{scope}"}} {_number(count)}\n'
        for outcome, count in (("succeeded", gate.succeeded), ("failed", gate.failed))
    ).encode()
    yield f"wellbeing_advised{label} {float(gate.advice is not None)}\n".encode()
    advice = advice_of(gate)
    rate = None if advice is None else advice.admit_per_sec
    yield b"" if rate is None else f"wellbeing_advised_admit_per_second{label} {_number(rate)}\n".encode()
    yield f"wellbeing_interventions_total{label} {_number(gate.interventions)}\n".encode()
    yield _by_cause("wellbeing_pauses_total", scope, gate.pauses)
    yield _by_cause("wellbeing_resumes_total", scope, gate.resumes)
    yield f"wellbeing_advised_pauses_total{label} {_number(gate.advised_pauses)}\n".encode()


def _signals(gate: ScopeGate) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for signal in gate.record.signals.values():
        key = (signal.kind, signal.state.label)
        found[key] = found.get(key, 0) + 1
    return found


def _by_cause(name: str, scope: str, counts: Mapping[str, int]) -> bytes:
    return "".join(
        f'{name}{{cause="{cause}",scope="{scope}"}} {_number(count)}\n' for cause, count in counts.items()
    ).encode()


def _render_counts(scope: str, counts: tuple[float, ...]) -> Iterator[bytes]:
    for name, count in zip(_COUNT_METRICS, counts, strict=True):
        yield f'{name}{{scope="{scope}"}} {_number(count)}\n'.encode()


def _number(value: float) -> str:
    """``value`` as prometheus_client writes it."""
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def chunks(scope_lines: list[Lines], headers: list[bytes]) -> Iterator[bytes]:
    """The families with their headers, in chunks of a few hundred scopes."""
    for index, header in enumerate(headers):
        yield header
        rest = iter(scope_lines)
        while some := [lines[index] for lines in islice(rest, _SCOPES_PER_CHUNK)]:
            yield b"".join(some)
