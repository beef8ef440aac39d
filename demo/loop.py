"""Runs the closed loop: tests whether a pause ends when its cause ends, for every way of pausing.

Each cause and each way of pausing has its own engine. All are behind one sidecar, one Prometheus with the shipped
rules (times divided, nothing else changed) and one Alertmanager. The cause begins and the gate closes; the cause
ends while the gate is closed; then the gate has to open by itself, and to stay open.

One more engine has a deliberately wrong rule: progress without a mask, with the engine's own pause. Its gate
has to stay closed; otherwise the experiment could not detect such loops.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .environment import (
    Alertmanager,
    Engines,
    ProgramGroup,
    Prometheus,
    Sidecar,
    eventually,
    free_port,
    is_up,
)
from .load import Clients, Load
from .loop_cases import (
    AT_THE_GATE,
    FASTER,
    GRID,
    MAX_PAUSE_SECS,
    MODES,
    PAUSED_SHARE,
    POD_GROUPS,
    POD_PER_SEC,
    PODS,
    SHORT,
    WAIT_SECS,
    WAYS_AT_THE_GATE,
    Case,
)
from .loop_rules import bad_rule, loop_rules, planted_rule
from .loop_subjects import PATIENCE, Patience, PodsResult, Result, Subject

MOST_SECS = 480.0
PROCESSES = 4
PLANTED = "planted"


class Loop(ProgramGroup):
    """Runs all cases at once.

    Args:
        cases: the cases; each has its own engine.
        patience: how long each case is watched.
        pod_groups: groups of healthy engines that a bad rule pauses, each with its ``max_paused_share``.
    """

    def __init__(
        self,
        cases: Iterable[Case],
        patience: Patience = PATIENCE,
        pod_groups: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self._cases = list(cases)
        self.patience = patience
        self._pod_groups = dict(pod_groups or {})
        self._pods = {
            f"{group}/p{number}": Case("vllm", "bad", "gate")
            for group in self._pod_groups
            for number in range(PODS)
        }
        self._rest = threading.Event()
        self._known: set[int] = set()
        self._seen_until = datetime.now(UTC)

    def _start(self) -> None:
        enter = self._stack.enter_context
        folder = Path(enter(tempfile.TemporaryDirectory(prefix="wellbeing-loop-")))
        stuck = Case("vllm", "stuck", "kept")
        named = [*((case.name, case) for case in self._cases), (PLANTED, stuck), *self._pods.items()]
        ports = {name: free_port() for name, _ in named}
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        port = free_port()
        self.alertmanager: Alertmanager = enter(Alertmanager(f"http://127.0.0.1:{port}/v1/alerts"))
        config = self._config(urls, dict(named))
        self.sidecar: Sidecar = enter(Sidecar(config, store="sqlite:loop.db", folder=folder, port=port))
        specs = [
            f"{ports[name]}:{name}:{case.kind}" + (":gate" if case.way in AT_THE_GATE else "")
            for name, case in named
        ]
        # They run in several processes: engines that share one core would answer too few scrapes.
        for first in range(PROCESSES):
            if specs[first::PROCESSES]:
                engines = enter(
                    Engines(specs[first::PROCESSES], self.sidecar.url, folder, wait_secs=WAIT_SECS)
                )
        eventually(lambda: all(is_up(engines, url) for url in urls.values()), "the engines are up")
        targets = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        self.prometheus: Prometheus = enter(
            Prometheus(
                {"sidecar": self.sidecar.address, **targets},
                [
                    *loop_rules(),
                    planted_rule(PLANTED),
                    *([bad_rule(self._pod_groups)] if self._pod_groups else []),
                ],
                self.alertmanager.address,
                # The longest interval that the shortest windows allow, so that no scrape fails on a busy machine.
                scrape={"scrape_interval": "2s", "scrape_timeout": "2s"},
            )
        )
        self._subjects = {
            name: Subject(case, urls[name], Load(ports[name]), patience=self.patience)
            for name, case in named
            if name not in self._pods
        }
        self._pod_loads = {name: Load(ports[name]) for name in self._pods}
        enter(Clients(*(one.load for one in self._subjects.values()), *self._pod_loads.values()))

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
                *(
                    {"match": group, "max_pause_secs": 0, "max_paused_share": share}
                    for group, share in self._pod_groups.items()
                ),
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
                if case.way not in AT_THE_GATE
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
        for load in self._pod_loads.values():
            load.per_sec = POD_PER_SEC
        # The rules compare latencies with those of (scaled) 15 minutes before, and require 30 of them.
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
            awaited = [one for one in self._tried if one.case.way not in self.patience.unawaited]
            if all(one.is_settled(now) for one in awaited) and self.planted_holds:
                break
        self.ended_at = time.time()
        for one in subjects:
            one.note_answers()
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
        """For each case: whether its gate was closed, requests in its engine, and requests at its gate, by
        seconds since the cause.
        """
        queries = {
            "closed": "max by (scope) (wellbeing_paused)",
            "restricted": "max by (scope) (wellbeing_restricted)",
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
        """Read the pauses and resumes since the last call."""
        # The last half minute is read again, because a loaded machine writes late.
        since = (self._seen_until - timedelta(seconds=30)).isoformat()
        self._seen_until = datetime.now(UTC)
        params: dict[str, str | int] = {"kind": "pause,resume,restriction", "since": since, "limit": 1000}
        for entry in reversed(self.sidecar.get("/v1/history", params=params).json()["entries"]):
            if entry["id"] not in self._known and entry["scope"] in self._subjects:
                self._known.add(entry["id"])
                at = datetime.fromisoformat(entry["at"]).timestamp()
                kind = entry["kind"]
                if kind == "restriction":
                    kind = "resume" if entry["to"] == "unrestricted" else "pause"
                self._subjects[entry["scope"]].take_turn(at, kind)

    def pods(self) -> list[PodsResult]:
        """The effect of the bad rule on each group of pods."""
        found = []
        for group in self._pod_groups:
            names = [name for name in self._pods if name.startswith(f"{group}/")]
            loads = [self._pod_loads[name] for name in names]
            paused = sum(self.sidecar.metric(f'wellbeing_paused{{scope="{name}"}}') for name in names)
            opened = sum(self._opened(name) for name in names)
            answered = sum(load.statuses[200] for load in loads) / max(1, sum(load.asked for load in loads))
            found.append(PodsResult(group, len(names), int(paused), opened, round(answered, 3)))
        return found

    def _opened(self, name: str) -> int:
        """How often the gate of ``name`` has opened."""
        params: dict[str, str | int] = {"kind": "resume", "limit": 1000}
        return len(self.sidecar.get(f"/v1/history/{name}", params=params).json()["entries"])

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
        result.goodput = one.goodput(one.mended_at)
        result.goodput_closed = one.goodput(resumes[-1] if resumes and not one.is_closed else self.ended_at)
        if one.lost_before is not None:
            result.lost_unmended = one.load.lost - one.lost_before
        result.lost, result.answered = one.load.lost, one.load.statuses[200]
        cause = f'wellbeing_resumes_total{{cause="max_pause",scope="{case.name}"}}'
        result.ended_by_max_pause = int(self.sidecar.metric(cause))
        return result


def short_loop() -> Loop:
    """A few cases, watched only until a gate has closed, opened, and stayed open."""
    patience = Patience(hold_secs=25.0, calm_secs=30.0, until_served=False, unawaited=("restricted",))
    return Loop(SHORT, patience, {"pods-share": PAUSED_SHARE})


def main() -> int:
    """Run all cases, and write the results as JSON into the named file."""
    parser = argparse.ArgumentParser(prog="python -m demo.loop", description=main.__doc__)
    parser.add_argument("results", type=Path)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", action="store_true", help="a few cases")
    form.add_argument("--ways", action="store_true", help="restriction, trial and max_paused_share only")
    options = parser.parse_args()
    cases = (
        WAYS_AT_THE_GATE if options.ways else [*GRID, *(one for one in WAYS_AT_THE_GATE if one not in GRID)]
    )
    with short_loop() if options.short else Loop(cases, pod_groups=POD_GROUPS) as loop:
        results = loop.run()
        record = {
            "faster": FASTER,
            "short": options.short,
            "ways": options.ways,
            "planted_holds": loop.planted_holds,
            "failed_scrapes": loop.failed_scrapes,
            "secs": round(loop.ended_at - loop.began_at),
            "results": [asdict(result) for result in results],
            "pods": [asdict(group) for group in loop.pods()],
            "series": loop.series(),
        }
    options.results.parent.mkdir(exist_ok=True)
    options.results.write_text(json.dumps(record) + "\n")
    awaited = [result for result in results if result.way not in loop.patience.unawaited]
    bad = [result for result in awaited if not result.settled or result.ended_by_max_pause]
    print(
        f"{len(awaited)} cases, {len(awaited) - len(bad)} settled by themselves"
        + f"; {len(results) - len(awaited)} not watched to their end" * (len(awaited) < len(results))
    )
    print(f"the planted rule's gate {'is still closed' if record['planted_holds'] else 'HAS OPENED'}")
    print(
        f"{record['failed_scrapes']:.1%} of the scrapes failed{', the machine was too busy' * (record['failed_scrapes'] > 0.01)}"
    )
    for result in bad:
        print(f"not settled: {asdict(result)}")
    opened = [group for group in record["pods"] if group["opened"]]
    for group in opened:
        print(f"the gates of {group['name']} opened {group['opened']} times, although their rule never ends")
    return 0 if record["planted_holds"] and not bad and not opened else 1


if __name__ == "__main__":
    sys.exit(main())
