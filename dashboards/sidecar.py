"""The dashboard of the sidecar itself."""

from __future__ import annotations

from dataclasses import replace

from .panels import (
    NO,
    SIDECAR_VARIABLES,
    WIDTH,
    YES,
    Board,
    Panel,
    Row,
    durations,
    interventions,
    line,
    value,
)
from .queries import SIDECARS, increase, rate

I = SIDECARS  # noqa: E741 - as short as the others
OURS = "and on (instance) wellbeing_build_info"
"""Leaves out the processes of other jobs."""
MISDIRECTED = f'wellbeing_webhook_alerts_total{{{I},outcome="misdirected"}}'


def _last_hour(counter: str) -> str:
    """How much ``counter`` grew in the last hour, with the value that a series begins with."""
    return f"sum(clamp_min({counter} - ({counter} offset 1h or {counter} * 0), 0)) or vector(0)"


SIDECAR = Board(
    uid="wellbeing-sidecar",
    title="Wellbeing / Sidecar",
    description="The sidecar itself: received notifications, reaction time, store, event loop and memory.",
    variables=SIDECAR_VARIABLES,
    annotations=(interventions(I),),
    parts=(
        value("Store", "Whether the last commit succeeded.", f"min(wellbeing_store_up{{{I}}})", words=NO),
        value("Blind", "Whether the watchdog alert is missing.", f"max(wellbeing_blind{{{I}}})", words=YES),
        value(
            "Config",
            "Whether the last load of the config succeeded.",
            f"min(wellbeing_config_last_reload_successful{{{I}}})",
            words=NO,
        ),
        value(
            "Last notification",
            "How long ago a webhook notification was last accepted.",
            f"time() - max(wellbeing_webhook_last_received_timestamp_seconds{{{I}}} > 0)",
            "s",
        ),
        value(
            "Clients",
            "Client-side gates that report to the sidecar.",
            f"sum(wellbeing_clients{{{I}}})",
        ),
        value(
            "Version",
            "The versions that are running.",
            f"count by (version) (wellbeing_build_info{{{I}}})",
            legend="{{version}}",
        ),
        value(
            "Watchdog heard",
            "Whether the configured watchdog alert has ever arrived; no data without a watchdog. `no`: its rule, its route or its name is wrong.",
            f"min(wellbeing_watchdog_heard{{{I}}})",
            width=8,
            words=NO,
        ),
        value(
            "Misdirected alerts, last hour",
            "Alerts that were ignored because the label that names their scope is missing or empty.",
            _last_hour(MISDIRECTED),
            width=8,
            thresholds=((None, "green"), (1, "orange")),
        ),
        value(
            "Failures of tasks, last hour",
            "Unexpected errors of background tasks. Each task was started again.",
            _last_hour(f"wellbeing_task_failures_total{{{I}}}"),
            width=8,
            thresholds=((None, "green"), (1, "orange")),
        ),
        Row("Notifications and reconciliation"),
        line(
            "Notifications",
            "By result. `unavailable`: the store was down, and Alertmanager tries again.",
            rate(f"wellbeing_webhook_notifications_total{{{I}}}", "result"),
            "{{result}}",
            "reqps",
        ),
        line(
            "Alerts",
            "Alerts in accepted notifications, by status and outcome.",
            rate(f"wellbeing_webhook_alerts_total{{{I}}}", "status, outcome"),
            "{{status}} {{outcome}}",
        ),
        durations(
            "From alert to closed gate",
            "Since the alert's startsAt, so it includes the delays of Prometheus and Alertmanager.",
            f"wellbeing_alert_reaction_seconds_bucket{{{I}}}",
            (0.5, 0.95),
            window="1h",
        ),
        Panel(
            "Reconciliation",
            "Queries to Alertmanager by result, and the signals that they corrected.",
            (
                (rate(f"wellbeing_reconciliations_total{{{I}}}", "result"), "{{result}}"),
                (f"sum by (what) (increase(wellbeing_reconcile_corrections_total{{{I}}}[15m]))", "{{what}}"),
            ),
        ),
        Row("The fleet"),
        value(
            "Leader",
            "Whether one of the sidecars is the leader; no data without a shared store.",
            f"max(wellbeing_fleet_leader{{{I}}})",
            width=12,
            words=NO,
        ),
        value(
            "Records to write again",
            "Records that Redis has lost and that are not written again yet.",
            f"max(wellbeing_fleet_owed_records{{{I}}})",
            width=12,
            thresholds=((None, "green"), (1, "red")),
        ),
        line(
            "Arrival of commits",
            "Seconds from the last commit of another sidecar until it arrived.",
            f"wellbeing_fleet_lag_seconds{{{I}}}",
            "{{instance}}",
            "s",
        ),
        line(
            "Commits behind",
            "Commits that are known but not yet applied.",
            f"wellbeing_fleet_known_commit{{{I}}} - wellbeing_fleet_applied_commit{{{I}}}",
            "{{instance}}",
        ),
        Panel(
            "Decided again, loaded again",
            "Conflicts with other sidecars, loads of the whole state, commits that Redis lost, records that were written again.",
            (
                (f"sum(rate(wellbeing_fleet_conflicts_total{{{I}}}[$__rate_interval]))", "conflicts"),
                (f"sum(rate(wellbeing_fleet_loads_total{{{I}}}[$__rate_interval]))", "loads"),
                (f"sum(rate(wellbeing_fleet_went_back_total{{{I}}}[$__rate_interval]))", "went back"),
                (
                    f"sum(rate(wellbeing_fleet_offered_records_total{{{I}}}[$__rate_interval]))",
                    "written again",
                ),
            ),
        ),
        Row("Hooks"),
        line(
            "Deliveries",
            "Delivered events, repeated attempts and dropped events, by hook.",
            f"sum by (hook, result) (increase(wellbeing_hook_deliveries_total{{{I}}}[$__rate_interval]))",
            "{{hook}} {{result}}",
        ),
        line(
            "Waiting events",
            "Events that wait for the hook's endpoint. Above 0 for long: the endpoint fails.",
            f"sum by (hook) (wellbeing_hook_pending{{{I}}})",
            "{{hook}}",
        ),
        Row("Engines"),
        value(
            "Out of sync",
            "Engines that do not follow their gate; no data without engines in the config.",
            f"sum(min by (scope, engine) (wellbeing_engine_in_sync{{{I}}}) == bool 0)",
            width=6,
            thresholds=((None, "green"), (1, "red")),
        ),
        value(
            "Asleep",
            "Engines that the sidecars keep asleep in a long pause; no data without `sleep_after_secs`.",
            f"sum(max by (scope, engine) (wellbeing_engine_asleep{{{I}}}))",
            width=6,
        ),
        value(
            "Left paused",
            "Engines that left the config while a sidecar kept them paused, and that are not resumed yet. Requests hang in them.",
            f"sum(wellbeing_engines_left_paused{{{I}}})",
            width=6,
            thresholds=((None, "green"), (1, "red")),
        ),
        value(
            "Not released, last day",
            "Engines that left the config while a sidecar kept them paused, and that it could not resume.",
            f'sum({increase(f"""wellbeing_engine_releases_total{{{I},result="failed"}}""", "instance", "1d")})',
            width=6,
            thresholds=((None, "green"), (1, "red")),
        ),
        replace(
            line(
                "Requests to engines",
                "The sidecars' own requests to the engines' pause, by action and result.",
                f"sum by (action, result) (increase(wellbeing_engine_requests_total{{{I}}}[$__rate_interval]))",
                "{{action}} {{result}}",
            ),
            width=WIDTH,
        ),
        Row("Process"),
        durations(
            "Commits",
            "How long the store takes to make a change durable.",
            f"wellbeing_store_commit_seconds_bucket{{{I}}}",
            (0.5, 0.99),
        ),
        replace(
            line(
                "Event loop lag",
                "The largest delay of the event loop within 15 seconds. Every request has this delay.",
                f"wellbeing_event_loop_lag_seconds{{{I}}}",
                "{{instance}}",
                "s",
            ),
            thresholds=((None, "green"), (0.1, "yellow"), (0.5, "red")),
        ),
        line(
            "Memory",
            "Resident memory of the worker process.",
            f"process_resident_memory_bytes{{{I}}} {OURS}",
            "{{instance}}",
            "bytes",
        ),
        Panel(
            "Connections",
            "Open connections and open files.",
            (
                (f"wellbeing_connections{{{I}}}", "connections {{instance}}"),
                (f"process_open_fds{{{I}}} {OURS}", "open files {{instance}}"),
            ),
        ),
        line(
            "CPU",
            "The share of one core.",
            f"rate(process_cpu_seconds_total{{{I}}}[$__rate_interval]) {OURS}",
            "{{instance}}",
            "percentunit",
        ),
        Panel(
            "Reports of clients",
            "Reports by result, and clients that stopped reporting in the last 15 minutes.",
            (
                (rate(f"wellbeing_reports_total{{{I}}}", "result"), "{{result}}"),
                (f"sum(increase(wellbeing_clients_gone_total{{{I}}}[15m]))", "gone"),
            ),
        ),
        line(
            "Failures of tasks",
            "Unexpected errors of background tasks, by task.",
            f"sum by (task) (increase(wellbeing_task_failures_total{{{I}}}[15m]))",
            "{{task}}",
        ),
    ),
)
