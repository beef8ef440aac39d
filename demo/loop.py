"""Runs the closed loop: does a pause end when its cause does, whatever the way of pausing?

Each cause and each way of pausing has its own engine. All are behind one sidecar, one Prometheus with the shipped
rules (times divided, nothing else changed) and one Alertmanager. The cause begins and the gate closes; the cause
ends while the gate is closed; then the gate has to open by itself, and to stay open.

One more engine has a planted rule: progress without a mask, with the engine's own pause. Its gate has to stay
closed; otherwise the experiment could not see such loops.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from .engine.model import Fault
from .load import Clients, Load
from .loop_cases import BUSY_HOLD_SECS, FASTER, GRID, HOLD_SECS, MAX_PAUSE_SECS, MODES, SHORT, WAIT_SECS, Case
from .stage import (
    Alertmanager,
    Engines,
    Prometheus,
    Sidecar,
    eventually,
    free_port,
    is_up,
    put_fault,
    quiet_ports,
    shipped_rules,
)

BACKLOG_SECS = 5.0
"""The backlog of a pause is gone when the unanswered requests amount to this many seconds of load or fewer."""
MOST_SECS = 480.0
PROCESSES = 4
PLANTED = "planted"


@dataclass(frozen=True)
class Patience:
    """How long each case is watched.

    Attributes:
        hold_secs: how long a cause stays at least; at a busy engine perhaps shorter.
        calm_secs: a gate that stays open for so long has settled: longer than any rule needs to fire again.
        until_served: whether it has settled only when the backlog of its pauses is served.
    """

    hold_secs: float = HOLD_SECS
    calm_secs: float = 60.0
    until_served: bool = True


@dataclass
class Result:
    """The result of a case, in seconds of real time.

    Attributes:
        closed: from the cause to the first closed gate.
        mended: from the cause to its end, which came while the gate was closed.
        pauses: how often the gate closed in all.
        pauses_after: of them, after the cause was gone.
        recovered: from the end of the cause until the gate opened for good.
        paused: how long the gate was closed in all.
        lost: requests that were not answered as they should be.
        answered: those that were.
        ended_by_max_pause: pauses that nothing else has ended.
        settled: the gate opened by itself after the cause was gone, stayed open, and the backlog was served.
    """

    name: str
    kind: str
    cause: str
    way: str
    setting: str
    busy: bool
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
    """A running case."""

    case: Case
    url: str
    load: Load
    caused_at: float = 0.0
    mended_at: float | None = None
    patience: Patience = Patience()
    turns: list[tuple[float, str]] = field(default_factory=list)

    @property
    def is_closed(self) -> bool:
        """As of the last look."""
        return bool(self.turns) and self.turns[-1][1] == "pause"

    def was_closed_at(self, when: float) -> bool:
        """As of the last look."""
        kinds = [kind for at, kind in self.turns if at <= when]
        return kinds[-1:] == ["pause"]

    def begin(self) -> None:
        """Start the cause."""
        self.caused_at = self.caused_at or time.time()
        self.mended_at = None
        self._turn(self.case.fault, self.case.caused_per_sec)

    def mend(self) -> None:
        """End the cause."""
        self._turn("none", self.case.usual_per_sec)
        self.mended_at = time.time()

    def see_to_it(self) -> None:
        """End the cause when it is time and the gate is closed."""
        if self.mended_at is None:
            hold = min(self.patience.hold_secs, BUSY_HOLD_SECS if self.case.busy else HOLD_SECS)
            if self.is_closed and time.time() - self.caused_at > hold:
                self.mend()
        elif not self.was_closed_at(self.mended_at):
            # The gate opened between the last look at it and the end of the cause.
            self.begin()

    def is_settled(self, now: float) -> bool:
        """Whether the cause has ended, the gate has been open for long enough, and the backlog is served."""
        if self.mended_at is None or self.is_closed or not self.was_closed_at(self.mended_at):
            return False
        is_served = self.load.pending <= BACKLOG_SECS * self.case.usual_per_sec
        return (is_served or not self.patience.until_served) and now - self.turns[-1][
            0
        ] > self.patience.calm_secs

    @property
    def recovered_secs(self) -> float | None:
        """From the end of the cause until the gate last opened; below 0 where it opened first. Not rounded.

        The mask of a kept engine ends the alert some seconds after the pause, so the gate may open a moment after the end
        of the cause: rounded, these would be one.
        """
        resumes = [when for when, kind in self.turns if kind == "resume"]
        return resumes[-1] - self.mended_at if resumes and self.mended_at is not None else None

    def _turn(self, fault: Fault, per_sec: float) -> None:
        put_fault(self.url, fault)
        self.load.per_sec = per_sec


class Loop:
    """Runs all cases at once.

    Args:
        cases: with an engine each.
        patience: with each.
    """

    def __init__(self, cases: Iterable[Case], patience: Patience = Patience()) -> None:
        self._cases = list(cases)
        self._patience = patience
        self._stack = ExitStack()
        self._rest = threading.Event()
        self._known: set[int] = set()
        self._seen_until = datetime.now(UTC)

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
        stuck = Case("vllm", "stuck", "kept")
        named = [*((case.name, case) for case in self._cases), (PLANTED, stuck)]
        ports = dict(zip((name for name, _ in named), quiet_ports(len(named)), strict=True))
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        port = free_port()
        self.alertmanager: Alertmanager = enter(Alertmanager(f"http://127.0.0.1:{port}/v1/alerts"))
        config = self._config(urls, dict(named))
        self.sidecar: Sidecar = enter(Sidecar(config, store="sqlite:loop.db", folder=folder, port=port))
        tolds = [
            f"{ports[name]}:{name}:{case.kind}" + (":gate" if case.way == "gate" else "")
            for name, case in named
        ]
        # In several processes: one that shares its core would answer too few scrapes.
        for first in range(PROCESSES):
            if tolds[first::PROCESSES]:
                engines = enter(
                    Engines(tolds[first::PROCESSES], self.sidecar.url, folder, wait_secs=WAIT_SECS)
                )
        eventually(lambda: all(is_up(engines, url) for url in urls.values()), "the engines are up")
        targets = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        self.prometheus: Prometheus = enter(
            Prometheus(
                {"sidecar": self.sidecar.address, **targets},
                [*_rules(), planted_rule()],
                self.alertmanager.address,
                # The longest interval that the shortest windows allow, so that no scrape fails on a busy machine.
                scrape={"scrape_interval": "2s", "scrape_timeout": "2s"},
            )
        )
        self._subjects = {
            name: Subject(case, urls[name], Load(ports[name]), patience=self._patience)
            for name, case in named
        }
        enter(Clients(*(one.load for one in self._subjects.values())))

    def _config(self, urls: dict[str, str], cases: dict[str, Case]) -> dict[str, Any]:
        return {
            "defaults": {
                "pause_on_concerned": True,
                "max_pause_secs": MAX_PAUSE_SECS,
                "wait_timeout_secs": WAIT_SECS,
            },
            "policies": [
                # Otherwise max_pause_secs alone would end the pause.
                {"match": PLANTED, "max_pause_secs": 0},
                *({"match": name, **case.policy} for name, case in cases.items() if case.policy),
            ],
            "engines": [
                {
                    "scope": name,
                    "kind": case.kind,
                    "url": urls[name],
                    "mode": MODES[case.kind][case.way],
                    "check_secs": 2,
                }
                for name, case in cases.items()
                if case.way != "gate"
            ],
            "alerts": {
                "alertmanager_urls": [self.alertmanager.url],
                "reconcile_secs": 5,
                "alertmanager": {"min_uptime_secs": 5},
            },
        }

    def run(self) -> list[Result]:
        """Run all cases. Returns the result of each."""
        subjects = self._subjects.values()
        self.began_at = time.time()
        for one in subjects:
            one.load.per_sec = one.case.usual_per_sec
        # Latencies are compared with those of (scaled) 15 minutes before, of which there have to be 30.
        self._rest.wait(15 * 60 / FASTER + 40 if any(case.needs_baseline for case in self._cases) else 10)
        for one in subjects:
            one.begin()
        ends_at = time.monotonic() + MOST_SECS
        while time.monotonic() < ends_at:
            self._rest.wait(0.5)
            self._look()
            for one in subjects:
                one.see_to_it()
            now = time.time()
            if all(one.is_settled(now) for one in self._tried) and self.planted_holds:
                break
        self.ended_at = time.time()
        return [self._result(one) for one in self._tried]

    @property
    def _tried(self) -> list[Subject]:
        return [one for name, one in self._subjects.items() if name != PLANTED]

    @property
    def planted_holds(self) -> bool:
        """Whether the gate of the planted rule closed once and is still closed, although its engine recovered long ago."""
        one = self._subjects[PLANTED]
        since = time.time() - (one.mended_at or time.time())
        return [kind for _, kind in one.turns] == ["pause"] and since > one.patience.calm_secs

    @property
    def failed_scrapes(self) -> float:
        """The share of failed scrapes, 0 to 1. On a machine that is too busy, healthy engines look slow or dead."""
        window = f"[{self.ended_at - self.began_at:.0f}s]"
        found = self.prometheus.value(
            f"1 - sum(sum_over_time(up{window})) / sum(count_over_time(up{window}))"
        )
        return round(found or 0.0, 4)

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

    def _look(self) -> None:
        """Read what the gates have done since the last look."""
        # The last half minute is read again, because a loaded machine writes late.
        since = (self._seen_until - timedelta(seconds=30)).isoformat()
        self._seen_until = datetime.now(UTC)
        params: dict[str, str | int] = {"kind": "pause,resume", "since": since, "limit": 1000}
        for entry in reversed(self.sidecar.get("/v1/history", params=params).json()["entries"]):
            if entry["id"] not in self._known and entry["scope"] in self._subjects:
                self._known.add(entry["id"])
                at = datetime.fromisoformat(entry["at"]).timestamp()
                self._subjects[entry["scope"]].turns.append((at, entry["kind"]))

    def _result(self, one: Subject) -> Result:
        case, turns = one.case, one.turns
        result = Result(case.name, case.kind, case.cause, case.way, case.setting, case.busy)
        pauses = [when for when, kind in turns if kind == "pause"]
        resumes = [when for when, kind in turns if kind == "resume"]
        mended = one.mended_at or self.ended_at
        result.mended = round(mended - one.caused_at, 1)
        result.pauses = len(pauses)
        result.pauses_after = sum(when > mended for when in pauses)
        result.closed = round(pauses[0] - one.caused_at, 1) if pauses else None
        result.settled = one.is_settled(self.ended_at)
        if result.settled:
            result.recovered = one.recovered_secs
        ends = [*resumes, *([self.ended_at] if one.is_closed else [])]
        result.paused = round(sum(end - start for start, end in zip(pauses, ends, strict=True)), 1)
        result.lost, result.answered = one.load.lost, one.load.statuses[200]
        cause = f'wellbeing_resumes_total{{cause="max_pause",scope="{case.name}"}}'
        result.ended_by_max_pause = int(self.sidecar.metric(cause))
        return result


def short_loop() -> Loop:
    """A few cases, watched only until a gate has closed, opened, and stayed open."""
    return Loop(SHORT, Patience(hold_secs=25.0, calm_secs=30.0, until_served=False))


def _rules() -> list[dict[str, Any]]:
    """The shipped rules, without those for an engine that cannot be scraped.

    What has to be so for a minute is three seconds here, in which a busy machine looks like a dead engine.
    """
    groups = shipped_rules(FASTER, "vllm", "sglang")
    for group in groups:
        group["rules"] = [rule for rule in group["rules"] if not rule.get("alert", "").endswith("Down")]
    return groups


def planted_rule() -> dict[str, Any]:
    """VllmStuck without its mask, for the planted engine only."""
    rules = next(group for group in shipped_rules(FASTER, "vllm") if group["name"] == "wellbeing-vllm")[
        "rules"
    ]
    rule = next(rule for rule in rules if rule.get("alert") == "VllmStuck")
    bare = rule["expr"].partition("unless")[0]
    return {
        "name": PLANTED,
        "rules": [{**rule, "alert": "PlantedStuck", "expr": f'({bare}) and on (job) up{{job="{PLANTED}"}}'}],
    }


def main() -> int:
    """Run all cases, and write the results as JSON into the named file."""
    parser = argparse.ArgumentParser(prog="python -m demo.loop", description=main.__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--short", action="store_true", help="a few cases")
    told = parser.parse_args()
    with short_loop() if told.short else Loop(GRID) as loop:
        results = loop.run()
        came = {
            "faster": FASTER,
            "short": told.short,
            "planted_holds": loop.planted_holds,
            "failed_scrapes": loop.failed_scrapes,
            "secs": round(loop.ended_at - loop.began_at),
            "results": [asdict(result) for result in results],
            "series": loop.series(),
        }
    told.results.parent.mkdir(exist_ok=True)
    told.results.write_text(json.dumps(came) + "\n")
    bad = [result for result in results if not result.settled or result.ended_by_max_pause]
    print(f"{len(results)} cases, {len(results) - len(bad)} of them settled by themselves")
    print(f"the planted rule's gate {'is still closed' if came['planted_holds'] else 'HAS OPENED'}")
    print(
        f"{came['failed_scrapes']:.1%} of the scrapes failed{', the machine was too busy' * (came['failed_scrapes'] > 0.01)}"
    )
    for result in bad:
        print(f"not settled: {asdict(result)}")
    return 0 if came["planted_holds"] and not bad else 1


if __name__ == "__main__":
    sys.exit(main())
