"""A simulated sidecar pauses when the real one would."""

from __future__ import annotations

from dataclasses import replace

from sidecar.alerts import Rule, RuleSet
from sidecar.backtest.alertmanager_delays import firing_alerts
from sidecar.backtest.limits import LimitSummary, guard_notes, limits_within, summarize_limits
from sidecar.backtest.periods import AlertPeriod
from sidecar.backtest.request import AlertmanagerSettings
from sidecar.backtest.simulation import Simulation
from sidecar.config import AlertsConfig, Config, LimitsConfig, WatchdogConfig
from sidecar.core.policy import Policy, PolicyTable, TrialPolicy
from sidecar.core.state import WellbeingState

AT_ONCE = AlertmanagerSettings(group_wait_secs=0, group_interval_secs=1)
END = 40_000


def alert(began: int, ended: int | None, name: str = "A", **labels: str) -> AlertPeriod:
    labels = {"alertname": name, "severity": "critical", "wellbeing_scope": "s", **labels}
    return AlertPeriod(
        labels, began * 1000, None if ended is None else ended * 1000, {"summary": f"{name} fires"}
    )


def simulate(
    *alerts: AlertPeriod,
    config: Config | None = None,
    settings: AlertmanagerSettings = AT_ONCE,
    **policy,
) -> Simulation:
    config = config or Config()
    policies = PolicyTable(Policy(pause_on_distressed=True, **policy))
    simulation = Simulation(config, policies, firing_alerts(alerts), settings=settings, start=0, end=END)
    simulation.run()
    return simulation


def pauses(*alerts: AlertPeriod, **options) -> list[tuple[str, float, float | None, str]]:
    found = simulate(*alerts, **options).recorder.pauses
    return [(one.scope, one.began, one.ended, one.cause) for one in found]


def test_a_pause_lasts_as_long_as_the_alert() -> None:
    assert pauses(alert(100, 160)) == [("s", 100, 160, "recovered")]


def test_a_pause_begins_and_ends_by_alertmanagers_delays() -> None:
    settings = AlertmanagerSettings(group_wait_secs=30, group_interval_secs=60)
    assert pauses(alert(100, 160), settings=settings, max_pause_secs=0) == [("s", 130, 190, "recovered")]


def test_a_pause_ends_by_max_pause_and_the_same_alert_does_not_pause_again() -> None:
    assert pauses(alert(100, 20_000), max_pause_secs=300) == [("s", 100, 400, "max_pause")]


def test_another_alert_pauses_again_in_the_same_episode() -> None:
    found = pauses(alert(100, 9_000), alert(5_000, 9_000, "B"), max_pause_secs=300)
    assert found == [("s", 100, 400, "max_pause"), ("s", 5_000, 5_300, "max_pause")]


def test_a_pause_is_kept_for_min_pause() -> None:
    assert pauses(alert(100, 110), min_pause_secs=60) == [("s", 100, 160, "recovered")]


def test_a_pause_that_has_not_ended_is_open() -> None:
    assert pauses(alert(39_900, None), max_pause_secs=0) == [("s", 39_900, None, "")]


def test_an_alert_that_is_not_repeated_expires() -> None:
    config = Config(alerts=AlertsConfig(alert_ttl_secs=1_000))
    settings = replace(AT_ONCE, repeat_interval_secs=50_000)
    found = pauses(alert(100, None), config=config, settings=settings, max_pause_secs=0)
    assert found == [("s", 100, 1_100, "expired")]


def test_a_repeated_alert_does_not_expire() -> None:
    config = Config(alerts=AlertsConfig(alert_ttl_secs=1_000))
    settings = replace(AT_ONCE, repeat_interval_secs=900)
    assert pauses(alert(100, None), config=config, settings=settings, max_pause_secs=0) == [
        ("s", 100, None, "")
    ]


def test_the_rules_of_the_config_decide() -> None:
    rule = Rule.build(['alertname="B"'], "distressed", ["pod"], "because {labels.pod}")
    config = Config(alerts=AlertsConfig(rules=RuleSet((rule,))))
    simulation = simulate(alert(100, 200), alert(300, 400, "B", pod="p"), config=config)
    assert [(one.scope, one.reason) for one in simulation.recorder.pauses] == [("p", "because p")]


def test_a_query_of_alertmanager_ends_an_alert_whose_resolve_was_never_sent() -> None:
    config = Config(alerts=AlertsConfig(alertmanager_urls=("http://am",), reconcile_secs=60))
    settings = replace(AT_ONCE, send_resolved=False)
    [(_, began, ended, _)] = pauses(alert(100, 150), config=config, settings=settings, max_pause_secs=0)
    assert began == 100
    assert ended is not None
    assert 150 < ended <= 150 + 60 + 5


def test_a_query_of_alertmanager_finds_an_alert_that_waits_in_a_group() -> None:
    config = Config(alerts=AlertsConfig(alertmanager_urls=("http://am",), reconcile_secs=60))
    settings = AlertmanagerSettings(group_wait_secs=3_000)
    [(_, began, ended, _)] = pauses(alert(100, 1_000), config=config, settings=settings, max_pause_secs=0)
    assert (began, ended) == (120, 1_025)


def test_a_query_of_alertmanager_prevents_the_expiry_of_an_alert() -> None:
    config = Config(
        alerts=AlertsConfig(alertmanager_urls=("http://am",), reconcile_secs=60, alert_ttl_secs=1_000)
    )
    settings = replace(AT_ONCE, repeat_interval_secs=50_000)
    assert pauses(alert(100, None), config=config, settings=settings, max_pause_secs=0) == [
        ("s", 100, None, "")
    ]


WATCHED = Config(
    alerts=AlertsConfig(watchdog=WatchdogConfig(alertname="Watchdog", timeout_secs=600, grace_secs=300))
)


def test_a_prometheus_that_dies_ends_no_pause() -> None:
    found = pauses(
        alert(100, 5_000),
        alert(50, 5_000, "Watchdog"),
        alert(9_000, None, "Watchdog"),
        config=WATCHED,
        max_pause_secs=0,
    )
    assert len(found) == 2
    assert found[0][1:3] == (100, 5_000)
    # The resolve is reverted when the watchdog's end is detected, and accepted after the grace time.
    assert 5_000 <= found[1][1] <= 5_020
    assert found[1][2] == 9_300


def test_a_watchdog_absent_from_the_data_is_assumed_to_fire() -> None:
    simulation = simulate(alert(100, 200), config=WATCHED)
    assert not simulation.watchdog_seen
    assert [(one.began, one.ended) for one in simulation.recorder.pauses] == [(100, 200)]


def test_a_watchdog_that_fires_all_the_time_changes_nothing() -> None:
    found = pauses(alert(100, 10_000), alert(0, None, "Watchdog"), config=WATCHED, max_pause_secs=0)
    assert found == [("s", 100, 10_000, "recovered")]


def test_alerts_that_the_core_refuses_are_reported() -> None:
    config = Config(limits=LimitsConfig(max_scopes=2))
    simulation = simulate(alert(100, 200), alert(100, 200, "B", wellbeing_scope="t"), config=config)
    assert len(simulation.recorder.pauses) == 1
    assert any("limits.max_scopes" in why for why in simulation.refused)


def test_a_restriction_is_recorded_with_its_rates_without_the_time_of_pauses() -> None:
    restrict = ((WellbeingState.CONCERNED, 20.0), (WellbeingState.DISTRESSED, 2.0))
    found = simulate(
        alert(100, 400, severity="warning"), alert(200, 300, "B"), restrict=restrict, max_pause_secs=60
    )
    limits = found.limits.limits
    assert [(one.began, one.ended, one.rate) for one in limits] == [
        (100, 200, 20),
        (200, 300, 2),
        (300, 400, 20),
    ]
    [summary] = summarize_limits(limits, found.recorder.pauses, 0, END)
    assert summary == LimitSummary("s", 1, 240, 2, 0, 0)
    [cut] = summarize_limits(limits_within(limits, 310, 350), found.recorder.pauses, 310, 350)
    assert (cut.restrictions, cut.restricted_secs, cut.lowest_rate) == (1, 40, 20)


def test_a_trial_after_a_recovery_ends_by_its_time_and_a_guarded_pause_is_noted() -> None:
    found = simulate(alert(100, 160), resume_trial=TrialPolicy(5, 30.0))
    [trial] = found.limits.limits
    assert (trial.began, trial.ended, trial.rate) == (160, 190, None)
    shared = simulate(
        *(alert(100, 160, f"A{number}", wellbeing_scope=f"s/{number}") for number in range(4)),
        max_paused_share=0.5,
    )
    assert len(shared.recorder.pauses) == 2
    assert guard_notes(shared.limits.guarded, 0, END) == [
        "2 pauses were advised only, because of max_paused_share"
    ]
