"""From a rising metric to waiting workers, and back. Everything is real except the inference."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Self

import pytest
import requests

from harness.monitoring import Alertmanager, Prometheus, Target
from harness.process import eventually_equal
from harness.sidecar import Sidecar

SCOPE = "team-a/llama"
WORKERS = 50
RULES = [
    {
        "name": "wellbeing",
        "rules": [
            {
                "alert": "EngineDistressed",
                "expr": "engine_distress > 0.5",
                "labels": {"severity": "critical", "wellbeing_scope": SCOPE},
                "annotations": {"summary": "distress {{ $value }} on {{ $labels.job }}"},
            }
        ],
    }
]
LAW = (
    "wellbeing_requests_blocked_total - wellbeing_requests_waited_total - wellbeing_requests_timed_out_total"
    " - wellbeing_requests_abandoned_total - wellbeing_requests_rejected_total - wellbeing_waiters"
)


class Loop:
    """The whole loop, with pausing on or off."""

    def __init__(self, *, pausing: bool) -> None:
        self.sidecar = Sidecar({"defaults": {"pause_on_distressed": pausing}})

    def __enter__(self) -> Self:
        self.sidecar.__enter__()
        self.target = Target().__enter__()
        self.alertmanager = Alertmanager(self.sidecar.url + "/v1/alerts").__enter__()
        targets = {"engine": self.target.address, "wellbeing-sidecar": self.sidecar.address}
        self.prometheus = Prometheus(targets, RULES, self.alertmanager.address).__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        for part in (self.prometheus, self.alertmanager, self.target, self.sidecar):
            part.__exit__(*exc)

    def rise(self) -> None:
        self.target.value = 0.9
        eventually_equal(lambda: self.sidecar.status(SCOPE)["state"], "distressed", "the alert arrives")

    def fall(self) -> None:
        self.target.value = 0.1
        eventually_equal(lambda: self.sidecar.status(SCOPE)["state"], "healthy", "the resolve arrives")

    def scraped(self, expression: str, expected: float) -> None:
        eventually_equal(lambda: self.prometheus.value(expression), expected, f"{expression} is {expected}")


@pytest.fixture(scope="module")
def pausing() -> Loop:
    with Loop(pausing=True) as loop:
        yield loop


@pytest.fixture(scope="module")
def observing() -> Loop:
    with Loop(pausing=False) as loop:
        yield loop


def test_an_alert_pauses_workers_and_its_end_resumes_all_of_them(pausing: Loop) -> None:
    sidecar = pausing.sidecar
    assert sidecar.gate(SCOPE).json()["gate"] == "open"
    pausing.rise()
    snapshot = sidecar.gate(SCOPE, wait=0).json()
    assert "distress 0.9 on engine" in snapshot["detail"]

    def work(_: int) -> requests.Response:
        return requests.get(f"{sidecar.url}/v1/gate/{SCOPE}", params={"wait": 60}, timeout=90)

    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(work, number) for number in range(WORKERS)]
        sidecar.wait_for_waiters(SCOPE, WORKERS)
        pausing.scraped(f'wellbeing_waiters{{scope="{SCOPE}"}}', WORKERS)
        pausing.scraped(f'wellbeing_paused{{scope="{SCOPE}"}}', 1)
        pausing.fall()
        answers = [worker.result() for worker in workers]
    assert [answer.status_code for answer in answers] == [200] * WORKERS

    counters = sidecar.counters(SCOPE)
    assert (counters["requests_waited"], counters["requests_blocked"]) == (WORKERS, WORKERS + 1)
    of_scope = f'{{scope="{SCOPE}"}}'
    pausing.scraped(f"wellbeing_requests_waited_total{of_scope}", WORKERS)
    for name, expected in {
        "wellbeing_paused": 0,
        "wellbeing_waiters": 0,
        "wellbeing_state_level": 0,
        "wellbeing_interventions_total": 2,
        "wellbeing_requests_total": WORKERS + 1,
        "wellbeing_requests_blocked_total": WORKERS + 1,
        "wellbeing_requests_timed_out_total": 1,
        "wellbeing_requests_abandoned_total": 0,
        "wellbeing_requests_rejected_total": 0,
        "sum by (scope) (wellbeing_pauses_total)": 1,
        "sum by (scope) (wellbeing_resumes_total)": 1,
    }.items():
        expression = name.replace("_total)", f"_total{of_scope})") if "(" in name else name + of_scope
        pausing.scraped(expression, expected)
    pausing.scraped(f'wellbeing_pauses_total{{scope="{SCOPE}",cause="auto"}}', 1)
    pausing.scraped(f'wellbeing_resumes_total{{scope="{SCOPE}",cause="recovered"}}', 1)
    pausing.scraped("wellbeing_alert_reaction_seconds_count", 1)
    pausing.scraped('sum(wellbeing_webhook_notifications_total{result!="accepted"})', 0)
    assert pausing.prometheus.value(f"wellbeing_paused_seconds_total{of_scope}") > 0
    assert all(value == 0 for _, value in pausing.prometheus.query(LAW))
    pauses, resumes = sidecar.logs("pause"), sidecar.logs("resume")
    assert [line["scope"] for line in pauses + resumes] == [SCOPE, SCOPE]
    assert pauses[0]["source"].startswith("alert:")
    assert resumes[0]["cause"] == "recovered"


def test_with_pausing_off_alerts_are_recorded_and_no_gate_closes(observing: Loop) -> None:
    sidecar = observing.sidecar
    observing.rise()
    assert sidecar.gate(SCOPE, wait=0).status_code == 200
    observing.scraped(f'wellbeing_state{{scope="{SCOPE}",state="distressed"}}', 1)
    observing.scraped(f'wellbeing_signals{{scope="{SCOPE}",source="alert",state="distressed"}}', 1)
    observing.fall()
    observing.scraped(f'wellbeing_interventions_total{{scope="{SCOPE}"}}', 2)
    observing.scraped("sum(wellbeing_pauses_total)", 0)
    observing.scraped("sum(wellbeing_requests_blocked_total)", 0)
    assert all(value == 0 for _, value in observing.prometheus.query(LAW))
    assert len(sidecar.logs("intervention")) == 2
