from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.examples import examples
from sidecar.backtest import repeats
from sidecar.backtest.alertmanager_delays import firing_alerts
from sidecar.backtest.periods import AlertPeriod
from sidecar.backtest.request import AlertmanagerSettings
from sidecar.backtest.simulation import Simulation
from sidecar.config import AlertsConfig, Config
from sidecar.core.policy import Policy, PolicyTable

SPANS = st.lists(st.tuples(st.integers(0, 3_000), st.integers(10, 1_500)), min_size=1, max_size=6)


def pauses(spans: list[tuple[int, int]], urls: tuple[str, ...]) -> list:
    config = Config(alerts=AlertsConfig(alertmanager_urls=urls))
    periods = [
        AlertPeriod(
            {"alertname": "A", "n": str(number), "severity": "critical", "wellbeing_scope": f"s{number % 2}"},
            began * 1000,
            (began + lasts) * 1000,
        )
        for number, (began, lasts) in enumerate(spans)
    ]
    policies = PolicyTable(Policy(pause_on_distressed=True, max_pause_secs=200))
    route = AlertmanagerSettings(group_wait_secs=10, group_interval_secs=20, repeat_interval_secs=300)
    simulation = Simulation(config, policies, firing_alerts(periods), settings=route, start=0, end=5_000)
    simulation.run()
    return simulation.recorder.pauses


@pytest.mark.parametrize("urls", [(), ("http://am",)])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(25))
@given(spans=SPANS)
def test_leaving_out_repeated_notifications_does_not_change_pauses(monkeypatch, urls, spans) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(repeats, "RENEW_SHARE", 0.0)
        all_of_them = pauses(spans, urls)
    assert pauses(spans, urls) == all_of_them
