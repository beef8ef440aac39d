"""The sidecar itself."""

from __future__ import annotations

from .panels import NO, YES, Board, Panel, Row, first_counted

I = 'instance=~"$instance"'  # noqa: E741 - as short as the others

SIDECAR = Board(
    uid="wellbeing-sidecar",
    title="Wellbeing / Sidecar",
    description="The sidecar itself: what it hears, how fast it reacts, its store, its loop, its memory.",
    variables=(("instance", "Sidecar", "label_values(wellbeing_build_info, instance)", True),),
    annotations=(
        (
            "Interventions",
            "orange",
            first_counted(f"wellbeing_interventions_total{{{I}}}", "scope", "1m") + " > 0",
        ),
    ),
    parts=(
        Panel(
            "Store",
            "Whether the last commit was kept.",
            ((f"min(wellbeing_store_up{{{I}}})", ""),),
            "stat",
            width=4,
            height=4,
            words=NO,
        ),
        Panel(
            "Blind",
            "Whether the watchdog is silent.",
            ((f"max(wellbeing_blind{{{I}}})", ""),),
            "stat",
            width=4,
            height=4,
            words=YES,
        ),
        Panel(
            "Config",
            "Whether the last load was good.",
            ((f"min(wellbeing_config_last_reload_successful{{{I}}})", ""),),
            "stat",
            width=4,
            height=4,
            words=NO,
        ),
        Panel(
            "Last notification",
            "How long ago a webhook was last accepted.",
            ((f"time() - max(wellbeing_webhook_last_received_timestamp_seconds{{{I}}} > 0)", ""),),
            "stat",
            "s",
            width=4,
            height=4,
        ),
        Panel(
            "Clients",
            "Gates in other processes that report.",
            ((f"sum(wellbeing_clients{{{I}}})", ""),),
            "stat",
            width=4,
            height=4,
        ),
        Panel(
            "Version",
            "What runs.",
            ((f"count by (version) (wellbeing_build_info{{{I}}})", "{{version}}"),),
            "stat",
            width=4,
            height=4,
        ),
        Row("What it hears"),
        Panel(
            "Notifications",
            "By result. `unavailable`: the store was down; Alertmanager tries again.",
            (
                (
                    f"sum by (result) (rate(wellbeing_webhook_notifications_total{{{I}}}[$__rate_interval]))",
                    "{{result}}",
                ),
            ),
            unit="reqps",
        ),
        Panel(
            "Alerts",
            "In accepted notifications, by what became of them.",
            (
                (
                    f"sum by (status, outcome) (rate(wellbeing_webhook_alerts_total{{{I}}}[$__rate_interval]))",
                    "{{status}} {{outcome}}",
                ),
            ),
            unit="short",
        ),
        Panel(
            "From alert to closed gate",
            "From the alert's startsAt; Prometheus' and Alertmanager's part included.",
            (
                (
                    f"histogram_quantile(0.5, sum by (le) (rate(wellbeing_alert_reaction_seconds_bucket{{{I}}}[1h])))",
                    "median",
                ),
                (
                    f"histogram_quantile(0.95, sum by (le) (rate(wellbeing_alert_reaction_seconds_bucket{{{I}}}[1h])))",
                    "95 %",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Reconciliation",
            "Times that Alertmanager was asked, and signals that notifications had wrong.",
            (
                (
                    f"sum by (result) (rate(wellbeing_reconciliations_total{{{I}}}[$__rate_interval]))",
                    "{{result}}",
                ),
                (f"sum by (what) (increase(wellbeing_reconcile_corrections_total{{{I}}}[15m]))", "{{what}}"),
            ),
        ),
        Row("What it does"),
        Panel(
            "Commits",
            "How long they take.",
            (
                (
                    f"histogram_quantile(0.5, sum by (le) (rate(wellbeing_store_commit_seconds_bucket{{{I}}}[$__rate_interval])))",
                    "median",
                ),
                (
                    f"histogram_quantile(0.99, sum by (le) (rate(wellbeing_store_commit_seconds_bucket{{{I}}}[$__rate_interval])))",
                    "99 %",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Event loop lag",
            "How late the loop was at worst within 15 seconds. Everything waits for it.",
            ((f"wellbeing_event_loop_lag_seconds{{{I}}}", "{{instance}}"),),
            unit="s",
            thresholds=((None, "green"), (0.1, "yellow"), (0.5, "red")),
        ),
        Panel(
            "Memory",
            "Resident, of the worker.",
            (
                (
                    f"process_resident_memory_bytes{{{I}}} and on (instance) wellbeing_build_info",
                    "{{instance}}",
                ),
            ),
            unit="bytes",
        ),
        Panel(
            "Connections",
            "Open ones, and open files against what is allowed.",
            (
                (f"wellbeing_connections{{{I}}}", "connections {{instance}}"),
                (
                    f"process_open_fds{{{I}}} and on (instance) wellbeing_build_info",
                    "open files {{instance}}",
                ),
            ),
        ),
        Panel(
            "CPU",
            "Share of one core.",
            (
                (
                    f"rate(process_cpu_seconds_total{{{I}}}[$__rate_interval]) and on (instance) wellbeing_build_info",
                    "{{instance}}",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            "Clients' reports",
            "By result, and clients that stopped reporting.",
            (
                (f"sum by (result) (rate(wellbeing_reports_total{{{I}}}[$__rate_interval]))", "{{result}}"),
                (f"sum(increase(wellbeing_clients_gone_total{{{I}}}[15m]))", "gone"),
            ),
        ),
    ),
)
