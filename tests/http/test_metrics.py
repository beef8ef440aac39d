"""The metrics that Prometheus scrapes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from harness.process import eventually, program
from harness.sidecar import Sidecar

FAMILIES = {
    "wellbeing_state": "gauge",
    "wellbeing_state_level": "gauge",
    "wellbeing_paused": "gauge",
    "wellbeing_current_pause_duration_seconds": "gauge",
    "wellbeing_waiters": "gauge",
    "wellbeing_signals": "gauge",
    "wellbeing_interventions": "counter",
    "wellbeing_pauses": "counter",
    "wellbeing_resumes": "counter",
    "wellbeing_requests": "counter",
    "wellbeing_requests_blocked": "counter",
    "wellbeing_requests_waited": "counter",
    "wellbeing_requests_timed_out": "counter",
    "wellbeing_requests_abandoned": "counter",
    "wellbeing_requests_rejected": "counter",
    "wellbeing_gate_wait_seconds": "histogram",
    "wellbeing_paused_seconds": "counter",
    "wellbeing_webhook_notifications": "counter",
    "wellbeing_webhook_alerts": "counter",
    "wellbeing_webhook_last_received_timestamp_seconds": "gauge",
    "wellbeing_alert_reaction_seconds": "histogram",
    "wellbeing_store_up": "gauge",
    "wellbeing_store_commit_seconds": "histogram",
    "wellbeing_store_errors": "counter",
    "wellbeing_config_last_reload_successful": "gauge",
    "wellbeing_config_last_reload_success_timestamp_seconds": "gauge",
    "wellbeing_build_info": "gauge",
}


def values(sidecar: Sidecar, scope: str) -> dict[str, float]:
    text = sidecar.get("/metrics").text
    samples = [sample for family in parse_text(text) for sample in family.samples]
    return {
        sample.name + "".join(f",{v}" for k, v in sorted(sample.labels.items()) if k != "scope"): sample.value
        for sample in samples
        if sample.labels.get("scope") == scope
    }


def test_every_family_is_exposed_with_its_type(sidecar: Sidecar) -> None:
    families = {family.name: family.type for family in parse_text(sidecar.get("/metrics").text)}
    assert {name: families.get(name) for name in FAMILIES} == FAMILIES


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
        ("*/*, application/openmetrics-text; version=1.0.0; q=0.5", "application/openmetrics-text"),
        ("text/plain;q=0.3, application/openmetrics-text;q=0.5", "application/openmetrics-text"),
        ("application/openmetrics-text;q=0.5,text/plain;version=0.0.4;q=0.6", "text/plain; version=0.0.4;"),
        ("application/openmetrics-text;q=0.5,text/plain", "text/plain; version=0.0.4;"),
        ("application/openmetrics-text;q=0", "text/plain; version=0.0.4;"),
        ("application/openmetrics-text;q=0.000;version=1.0.0,*/*;q=0.1", "text/plain; version=0.0.4;"),
    ],
)
def test_the_format_is_the_requested_one(sidecar: Sidecar, accept: str, content_type: str) -> None:
    answer = sidecar.get("/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"].startswith(content_type)
    if content_type == "application/openmetrics-text":
        assert any(family.name == "wellbeing_requests" for family in parse_openmetrics(answer.text))


def test_promtool_reports_nothing(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "distressed")
    sidecar.gate(scope, wait=0)
    text = sidecar.get("/metrics").content
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], check=False, input=text, capture_output=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_sequence_of_events_is_counted_correctly(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "distressed", source="a")
    sidecar.gate(scope, wait=0)
    sidecar.gate(scope, wait=0.05)
    during = values(sidecar, scope)
    assert during["wellbeing_paused"] == 1
    assert during["wellbeing_current_pause_duration_seconds"] > 0
    assert during["wellbeing_state,distressed"] == 1
    assert during["wellbeing_state_level"] == 3
    assert during["wellbeing_signals,agent,distressed"] == 1
    sidecar.claim(scope, "healthy", source="a")
    sidecar.pause(scope)
    sidecar.resume(scope)
    sidecar.gate(scope)
    after = values(sidecar, scope)
    assert after["wellbeing_paused"] == after["wellbeing_current_pause_duration_seconds"] == 0
    assert after["wellbeing_interventions_total"] == 2
    assert (after["wellbeing_pauses_total,auto"], after["wellbeing_pauses_total,manual"]) == (1, 1)
    assert (after["wellbeing_resumes_total,recovered"], after["wellbeing_resumes_total,manual"]) == (1, 1)
    assert after["wellbeing_requests_total"] == 3
    assert after["wellbeing_requests_blocked_total"] == after["wellbeing_requests_timed_out_total"] == 2
    assert after["wellbeing_paused_seconds_total"] > 0.05


def test_exactly_the_documented_metrics_are_exposed(sidecar: Sidecar) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    # The metrics of a fleet exist only if the store is Redis; the tests of the fleet check them.
    rows = re.findall(r"^\| (`wellbeing_[^|]*) \| (\w+) \|", docs, re.MULTILINE)
    documented = {
        name: kind.removesuffix("s")
        for names, kind in rows
        for name in re.findall(r"`(wellbeing_\w+)`", names)
        if not name.startswith("wellbeing_fleet_")
    }
    exposed = {}
    for line in sidecar.get("/metrics").text.splitlines():
        if line.startswith("# TYPE wellbeing_"):
            _, _, name, kind = line.split()
            exposed[name if kind != "counter" or name.endswith("_total") else f"{name}_total"] = kind
    assert documented == exposed


def test_the_labels_of_every_series_are_documented(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "distressed")
    docs = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    documented = {
        name.removesuffix("_total"): {label for label in labels.strip().split(", ") if label}
        for names, labels in re.findall(r"^\| (`wellbeing_[^|]*) \| \w+ \|([^|]*)\|", docs, re.MULTILINE)
        for name in re.findall(r"`(wellbeing_\w+)`", names)
    }
    seen = 0
    for family in parse_text(sidecar.get("/metrics").text):
        for sample in family.samples:
            if family.name.startswith("wellbeing_") and not sample.name.endswith("_created"):
                assert set(sample.labels) - {"le"} == documented[family.name], sample
                seen += 1
    assert seen > len(documented)


ACCEPTS = (
    "",
    "application/openmetrics-text; version=1.0.0",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,text/plain;version=0.0.4;q=0.1",
    "text/plain;version=1.0.0;escaping=dots",
    "application/openmetrics-text;version=none",
)


@pytest.mark.parametrize("accept", ACCEPTS)
def test_all_formats_have_the_same_series(sidecar: Sidecar, scope: str, accept: str) -> None:
    sidecar.pause(scope, reason='a "quoted" \\ reason')
    sidecar.claim(scope, "concerned")
    answer = sidecar.get("/metrics", headers={"Accept": accept})
    is_openmetrics = answer.headers["Content-Type"].startswith("application/openmetrics-text")
    parse = parse_openmetrics if is_openmetrics else parse_text
    found = {
        (sample.name, tuple(sorted(sample.labels.items())))
        for one in parse(answer.text)
        for sample in one.samples
    }
    plain = parse_text(sidecar.get("/metrics").text)
    expected = {
        (sample.name, tuple(sorted(sample.labels.items()))) for one in plain for sample in one.samples
    }
    assert {one for one in found if dict(one[1]).get("scope") == scope} == {
        one for one in expected if dict(one[1]).get("scope") == scope
    }
    assert {name for name, _ in found} == {name for name, _ in expected}


def test_a_head_request_gets_no_body(sidecar: Sidecar) -> None:
    answer = sidecar.session.head(f"{sidecar.url}/metrics", timeout=30)
    assert answer.status_code == 200
    assert not answer.content
    assert sidecar.get("/metrics").content


def test_a_forgotten_scope_has_no_series() -> None:
    with Sidecar({"scope_idle_secs": 0.2}) as own:
        own.claim("gone", "concerned")
        assert 'scope="gone"' in own.get("/metrics").text
        own.claim("gone", "healthy")
        eventually(lambda: 'scope="gone"' not in own.get("/metrics").text, "its series end")
        own.claim("gone", "cautious")
        assert own.metric('wellbeing_state{scope="gone",state="cautious"}') == 1
