"""A backtest reports the pauses that the real programs made shortly before, and takes little time."""

from __future__ import annotations

import time
from pathlib import Path

from bench.backtest import measure
from harness.backtest_command import config_file, epoch, iso, report, rule_file, spans
from harness.monitoring import Alertmanager, Prometheus, Target
from harness.process import eventually
from harness.sidecar import Sidecar

GROUP_WAIT, GROUP_INTERVAL, EVALUATION = 1.0, 2.0, 1.0
SCRAPE = 1.0
TOLERANCE = EVALUATION + GROUP_WAIT + GROUP_INTERVAL + SCRAPE
LIVE = {
    "alert": "Distressed",
    "expr": "engine_distress > 0",
    "for": "2s",
    "keep_firing_for": "2s",
    "labels": {"severity": "critical", "wellbeing_scope": "live"},
    "annotations": {"summary": "engine at {{ $value }}"},
}


def live_pauses(sidecar: Sidecar) -> list[tuple[float, float, str]]:
    entries = sidecar.get("/v1/history/live", params={"kind": "pause,resume"}).json()["entries"][::-1]
    began = [entry for entry in entries if entry["kind"] == "pause"]
    ended = [entry for entry in entries if entry["kind"] == "resume"]
    return [
        (epoch(one["at"]), epoch(other["at"]), other["cause"])
        for one, other in zip(began, ended, strict=True)
    ]


def test_a_backtest_reports_the_pauses_that_the_real_programs_made(tmp_path: Path) -> None:
    config = {"defaults": {"pause_on_distressed": True, "max_pause_secs": 9}}
    route = {"group_wait": f"{GROUP_WAIT:g}s", "group_interval": f"{GROUP_INTERVAL:g}s"}
    since = time.time()
    with (
        Target() as target,
        Sidecar(config) as sidecar,
        Alertmanager(f"{sidecar.url}/v1/alerts", route=route) as alertmanager,
        Prometheus(
            {"engine": target.address}, [{"name": "g", "rules": [LIVE]}], alertmanager.address
        ) as prometheus,
    ):

        def fires() -> bool:
            return bool(prometheus.query('ALERTS{alertstate="firing"}'))

        for _ in range(2):
            target.value = 1.0
            sidecar.wait_for_gate("live", "closed")
            target.value = 0.0
            sidecar.wait_for_gate("live", "open")
        # The alert lasts longer than max_pause_secs.
        eventually(lambda: not fires(), "the alert has ended")
        target.value = 1.0
        sidecar.wait_for_gate("live", "closed")
        sidecar.wait_for_gate("live", "open")
        target.value = 0.0
        eventually(lambda: not fires(), "the alert has ended")
        real = live_pauses(sidecar)
        arguments = (
            "--prometheus", prometheus.url, "--since", iso(since),
            "--config", config_file(tmp_path, "a.yaml", config),
            "--group-wait", GROUP_WAIT, "--group-interval", GROUP_INTERVAL,
        )  # fmt: skip
        by_series = report(*arguments)
        by_rules = report(*arguments, "--rules", rule_file(tmp_path, LIVE))
    assert [cause for *_, cause in real] == ["recovered", "recovered", "max_pause"]
    for found in (by_series, by_rules):
        assert found["step_secs"] == EVALUATION
        told = spans(found["configs"][0], "live")
        assert [cause for *_, cause in told] == [cause for *_, cause in real], (told, real)
        for (began, ended, _), (real_began, real_ended, _) in zip(told, real, strict=True):
            assert abs(began - real_began) <= TOLERANCE, (told, real)
            assert ended is not None
            assert abs(ended - real_ended) <= TOLERANCE, (told, real)
    assert by_rules["configs"][0]["pauses"][0]["reason"] == "engine at 1"


def test_a_day_of_a_hundred_alerts_costs_little() -> None:
    """`python -m bench.backtest` measures a week. Here one day must take less time than the limit for a week."""
    cost = measure(100, 1)
    assert cost.pauses > 300
    assert cost.refused_queries == 0
    assert cost.memory_mb < 300
    assert cost.cpu_secs < 20
