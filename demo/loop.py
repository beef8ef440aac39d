"""The closed loop, tried: does a pause end when its cause does, by whatever way the engine is paused?

For each cause and each way of pausing an engine of its own, all behind one sidecar, one Prometheus with the shipped
rules (times divided, nothing else changed), one Alertmanager. The cause is put in, the gate closes; the cause is
taken out, and the gate has to open by itself, and to stay open.

One engine more has a planted rule: progress, not masked, paused by the engine's own switch. Its gate has to stay
closed, or this would prove nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from .engine.dialects import Kind
from .engine.model import Fault
from .load import Clients, Load
from .stage import (
    Alertmanager,
    Engines,
    Prometheus,
    Sidecar,
    eventually,
    free_port,
    is_up,
    put_fault,
    shipped_rules,
)

FASTER = 20.0
USUAL_PER_SEC, OVERLOAD_PER_SEC = 3.0, 15.0
HOLD_SECS = 45.0
"""How long a cause stays at least: long enough to see a gate swing."""
CALM_SECS = 45.0
"""A gate that stays open for so long has settled: longer than any rule needs to fire again."""
MOST_SECS = 420.0
PLANTED = "planted"

Cause = Literal["overload", "stuck", "slow", "bad"]
Way = Literal["door", "kept", "aborting"]
CAUSES: tuple[Cause, ...] = ("overload", "stuck", "slow", "bad")
WAYS: tuple[Way, ...] = ("door", "kept", "aborting")
MODES: dict[Kind, dict[Way, str]] = {
    "vllm": {"kept": "keep", "aborting": "abort"},
    "sglang": {"kept": "in_place", "aborting": "abort"},
}
# What the model does wrong: SGLang has no metric for repetition, so its answers are too short.
BAD: dict[Kind, Fault] = {"vllm": "repetition", "sglang": "short"}
DAMPED = {"min_pause_secs": 60 / FASTER, "resume_ramp_per_sec": 2}
MAX_PAUSE_SECS = 1800 / FASTER


@dataclass(frozen=True)
class Case:
    """One engine, and what happens to it."""

    kind: Kind
    cause: Cause
    way: Way
    damped: bool

    @property
    def name(self) -> str:
        """Its model, and its scope."""
        return f"{self.kind}-{self.cause}-{self.way}" + ("-damped" if self.damped else "")

    @property
    def fault(self) -> Fault:
        """What is put into the engine; its clients see to an overload."""
        faults: dict[Cause, Fault] = {
            "overload": "none",
            "stuck": "stuck",
            "slow": "slow",
            "bad": BAD[self.kind],
        }
        return faults[self.cause]

    @property
    def needs_baseline(self) -> bool:
        """Whether what tells of it compares with the day before."""
        return self.cause == "slow" or (self.cause == "bad" and self.kind == "sglang")


GRID = [
    Case(kind, cause, way, damped)
    for damped in (False, True)
    for kind in ("vllm", "sglang")
    for cause in CAUSES
    for way in WAYS
]
SHORT = [
    Case("vllm", "stuck", "door", damped=False),
    Case("vllm", "stuck", "kept", damped=True),
    Case("vllm", "overload", "door", damped=True),
    Case("vllm", "bad", "aborting", damped=False),
    Case("sglang", "stuck", "kept", damped=False),
]


@dataclass
class Result:
    """What came of a case; seconds, as they passed here.

    Attributes:
        closed: from the cause to the first closed gate.
        mended: from the cause to its end.
        pauses: how often the gate closed in all.
        pauses_after: of them, after the cause was gone.
        recovered: from the end of the cause until the gate opened for good.
        paused: how long the gate was closed in all.
        lost: requests that were not answered as they should be.
        answered: those that were.
        ended_by_max_pause: pauses that nothing else has ended.
        settled: the gate opened by itself, and stayed open.
    """

    name: str
    kind: str
    cause: str
    way: str
    damped: bool
    closed: float | None = None
    mended: float = 0.0
    pauses: int = 0
    pauses_after: int = 0
    recovered: float | None = None
    paused: float = 0.0
    lost: int = 0
    answered: int = 0
    ended_by_max_pause: int = 0
    settled: bool = False


@dataclass
class Subject:
    """A case under way."""

    case: Case
    url: str
    load: Load
    caused_at: float = 0.0
    mended_at: float | None = None
    turns: list[tuple[float, str]] = field(default_factory=list)

    @property
    def is_closed(self) -> bool:
        """By what was last seen."""
        return bool(self.turns) and self.turns[-1][1] == "pause"

    def begin(self, at: float) -> None:
        """Put the cause in."""
        self.caused_at = at
        self._turn(self.case.fault, OVERLOAD_PER_SEC if self.case.cause == "overload" else USUAL_PER_SEC)

    def mend(self, at: float) -> None:
        """Take the cause out."""
        self.mended_at = at
        self._turn("none", USUAL_PER_SEC)

    def is_settled(self, now: float) -> bool:
        """The cause is gone, and the gate open, for long enough."""
        since = max(self.mended_at or now, self.turns[-1][0] if self.turns else now)
        return self.mended_at is not None and not self.is_closed and now - since > CALM_SECS

    def _turn(self, fault: Fault, per_sec: float) -> None:
        put_fault(self.url, fault)
        self.load.per_sec = per_sec


class Loop:
    """All cases at once.

    Args:
        cases: with an engine each.
        planted: whether there is one with the planted rule.
    """

    def __init__(self, cases: Iterable[Case], *, planted: bool = True) -> None:
        self._cases = list(cases)
        self._planted = planted
        self._stack = ExitStack()
        self._rest = threading.Event()
        self.began_at = time.time()

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _begin(self) -> None:
        enter = self._stack.enter_context
        folder = Path(enter(tempfile.TemporaryDirectory(prefix="wellbeing-loop-")))
        stuck = Case("vllm", "stuck", "kept", damped=False)
        named = [(case.name, case) for case in self._cases] + ([(PLANTED, stuck)] if self._planted else [])
        ports = {name: free_port() for name, _ in named}
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        port = free_port()
        self.alertmanager: Alertmanager = enter(Alertmanager(f"http://127.0.0.1:{port}/v1/alerts"))
        config = self._config(urls, dict(named))
        self.sidecar: Sidecar = enter(Sidecar(config, store="sqlite:loop.db", folder=folder, port=port))
        tolds = [
            f"{ports[name]}:{name}:{case.kind}" + (":door" if case.way == "door" else "")
            for name, case in named
        ]
        engines = enter(Engines(tolds, self.sidecar.url, folder))
        eventually(lambda: all(is_up(engines, url) for url in urls.values()), "the engines are up")
        targets = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        rules = [*shipped_rules(FASTER, "vllm", "sglang"), *([planted_rule()] if self._planted else [])]
        self.prometheus: Prometheus = enter(
            Prometheus({"sidecar": self.sidecar.address, **targets}, rules, self.alertmanager.address)
        )
        self._subjects = {name: Subject(case, urls[name], Load(ports[name])) for name, case in named}
        enter(Clients(*(one.load for one in self._subjects.values())))

    def _config(self, urls: dict[str, str], cases: dict[str, Case]) -> dict[str, Any]:
        return {
            "defaults": {"pause_on_concerned": True, "max_pause_secs": MAX_PAUSE_SECS},
            "policies": [
                # It would end by that alone.
                {"match": PLANTED, "max_pause_secs": 0},
                *({"match": name, **DAMPED} for name, case in cases.items() if case.damped),
            ],
            "engines": [
                {
                    "scope": name,
                    "kind": case.kind,
                    "url": urls[name],
                    "mode": MODES[case.kind][case.way],
                    "check_secs": 1,
                }
                for name, case in cases.items()
                if case.way != "door"
            ],
            "alerts": {
                "alertmanager_urls": [self.alertmanager.url],
                "reconcile_secs": 5,
                "alertmanager": {"min_uptime_secs": 5},
            },
        }

    def run(self) -> list[Result]:
        """Through all of it; what came of each case."""
        subjects = self._subjects.values()
        for one in subjects:
            one.load.per_sec = USUAL_PER_SEC
        # Latencies are compared with those of (scaled) 15 minutes before, of which there have to be 30.
        self._rest.wait(15 * 60 / FASTER + 40 if any(case.needs_baseline for case in self._cases) else 10)
        for one in subjects:
            one.begin(time.time())
        ends_at = time.monotonic() + MOST_SECS
        while time.monotonic() < ends_at:
            self._rest.wait(0.5)
            now = time.time()
            for name, one in self._subjects.items():
                one.turns = self._turns(name)
                if one.mended_at is None and one.turns and now - one.caused_at > HOLD_SECS:
                    one.mend(now)
            if all(one.is_settled(now) for name, one in self._subjects.items() if name != PLANTED):
                break
        self.ended_at = time.time()
        return [self._result(one) for name, one in self._subjects.items() if name != PLANTED]

    @property
    def planted_holds(self) -> bool:
        """The planted rule's gate closed once, and is closed, though its engine has long been well."""
        one = self._subjects[PLANTED]
        since = time.time() - (one.mended_at or time.time())
        return [kind for _, kind in one.turns] == ["pause"] and since > CALM_SECS

    def series(self) -> dict[str, dict[str, list[tuple[float, float]]]]:
        """By case: whether its gate was closed, requests in its engine, requests at its gate; seconds since the cause."""
        queries = {
            "closed": "max by (scope) (wellbeing_paused)",
            "inside": 'sum by (model_name) ({__name__=~"vllm:num_requests_(running|waiting)|sglang:num_(running|queue)_reqs"})',
            "at_gate": "max by (scope) (wellbeing_waiters)",
        }
        found: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in self._subjects}
        began = min(one.caused_at for one in self._subjects.values())
        for what, query in queries.items():
            for labels, points in self.prometheus.range(query, began - 10, self.ended_at):
                name = labels.get("scope") or labels.get("model_name", "")
                if name in found:
                    found[name][what] = [(round(when - began, 1), value) for when, value in points]
        return found

    def _turns(self, scope: str) -> list[tuple[float, str]]:
        """Pauses and resumes, oldest first; there are not more than a page of them."""
        told = self.sidecar.get(f"/v1/history/{scope}", params={"limit": 500}).json()["entries"]
        return [
            (datetime.fromisoformat(entry["at"]).timestamp(), entry["kind"])
            for entry in reversed(told)
            if entry["kind"] in ("pause", "resume") and entry["scope"] == scope
        ]

    def _result(self, one: Subject) -> Result:
        case, turns = one.case, one.turns
        result = Result(case.name, case.kind, case.cause, case.way, case.damped)
        pauses = [when for when, kind in turns if kind == "pause"]
        resumes = [when for when, kind in turns if kind == "resume"]
        mended = one.mended_at or self.ended_at
        result.mended = round(mended - one.caused_at, 1)
        result.pauses = len(pauses)
        result.pauses_after = sum(when > mended for when in pauses)
        result.closed = round(pauses[0] - one.caused_at, 1) if pauses else None
        result.settled = one.is_settled(self.ended_at)
        if result.settled:
            result.recovered = round(max(0.0, resumes[-1] - mended), 1)
        ends = [*resumes, *([self.ended_at] if one.is_closed else [])]
        result.paused = round(sum(end - start for start, end in zip(pauses, ends, strict=True)), 1)
        result.lost, result.answered = one.load.lost, one.load.statuses[200]
        cause = f'wellbeing_resumes_total{{cause="max_pause",scope="{case.name}"}}'
        result.ended_by_max_pause = int(self.sidecar.metric(cause))
        return result


def planted_rule() -> dict[str, Any]:
    """VllmStuck without its mask, and for the planted engine alone."""
    rules = next(group for group in shipped_rules(FASTER, "vllm") if group["name"] == "wellbeing-vllm")[
        "rules"
    ]
    rule = next(rule for rule in rules if rule.get("alert") == "VllmStuck")
    bare = rule["expr"].partition("unless on (job, instance)")[0]
    return {
        "name": PLANTED,
        "rules": [{**rule, "alert": "PlantedStuck", "expr": f'({bare}) and on (job) up{{job="{PLANTED}"}}'}],
    }


def main() -> int:
    """The whole grid; what came of it as JSON, in the file that the first argument names, or printed."""
    with Loop(GRID) as loop:
        results = loop.run()
        told = {
            "faster": FASTER,
            "planted_holds": loop.planted_holds,
            "results": [asdict(result) for result in results],
            "series": loop.series(),
        }
    text = json.dumps(told, indent=1)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
    for result in results:
        print(asdict(result))
    return (
        0
        if told["planted_holds"] and all(one.settled and not one.ended_by_max_pause for one in results)
        else 1
    )


if __name__ == "__main__":
    sys.exit(main())
