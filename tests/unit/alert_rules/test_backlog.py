"""The backlog of requests that a pause leaves does not fire the overload alerts."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.rules import ALERTS, FILES, run_tests

Series = dict[str, str]
V = 'namespace="ns",model_name="m",pod="p",job="j",instance="i",engine="0"'


def pause_of(way: str, *, load: float, ramp_minutes: float = 0, minutes: int = 90) -> Series:
    """The series of a vLLM that serves 5 requests a second in order and is paused from minute 10 to 15."""
    step, served_per_step = 0.25, 75.0
    waiting: list[list[float]] = []  # [minute of arrival, number of requests]
    parked, total, count = 0.0, 0.0, 0.0
    told: dict[str, list[float]] = {"waiting": [], "sum": [], "count": [], "paused": []}
    for number in range(int(minutes / step)):
        now, came = number * step, load * served_per_step
        is_paused = 10 <= now < 15
        at_door = is_paused and way == "door"
        if at_door:
            parked += came
        else:
            through = min(parked, parked if not ramp_minutes else 5 / ramp_minutes * load * served_per_step)
            parked -= through
            waiting.append([now, came + through])
        able = 0.0 if is_paused and way == "kept" else served_per_step
        while able > 0 and waiting:
            since, many = waiting[0]
            taken = min(able, many)
            able, total, count = able - taken, total + taken * (now - since) * 60, count + taken
            waiting[0][1] -= taken
            if waiting[0][1] <= 0:
                waiting.pop(0)
        for name, value in (("waiting", sum(many for _, many in waiting)), ("sum", total), ("count", count)):
            told[name].append(value)
        told["paused"].append(float(is_paused))
    metric = "wellbeing_paused" if way == "door" else "wellbeing_engine_paused"
    names = {
        "waiting": f"vllm:num_requests_waiting{{{V}}}",
        "sum": f"vllm:request_queue_time_seconds_sum{{{V}}}",
        "count": f"vllm:request_queue_time_seconds_count{{{V}}}",
        "paused": f'{metric}{{scope="ns/m/p",job="gate",instance="g:9477"}}',
    }
    series = {names[name]: " ".join(f"{value:g}" for value in values) for name, values in told.items()}
    return series | {f"vllm:num_requests_running{{{V}}}": f"1x{len(told['sum']) - 1}"}


QUEUE_ALERTS = ("VllmQueueGrows", "VllmQueueTimeHigh")


@pytest.mark.parametrize(
    ("way", "load", "ramp_minutes", "fires"),
    [
        ("kept", 0.5, 0, False),
        ("kept", 0.8, 0, False),
        ("kept", 0.85, 0, False),
        ("kept", 0.9, 0, False),
        ("door", 0.85, 0, False),
        ("door", 0.85, 5, False),
        # An overloaded engine still raises its alert after a pause.
        ("kept", 1.2, 0, True),
        ("door", 1.2, 0, True),
    ],
)
def test_the_backlog_of_a_pause_does_not_count_as_an_overload(
    tmp_path: Path, way: str, load: float, ramp_minutes: float, fires: bool
) -> None:
    minutes = 45 if fires else 90
    series = pause_of(way, load=load, ramp_minutes=ramp_minutes, minutes=minutes)
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'group by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{minutes - 15}m]))',
                "eval_time": f"{minutes}m",
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in QUEUE_ALERTS if fires
                ],
            }
        ],
    }
    kept = ("wellbeing-thresholds", "wellbeing-vllm-engine", "wellbeing-masks")
    groups = [
        group for one in ("thresholds", "vllm", "masks") for group in FILES[one] if group["name"] in kept
    ]
    run_tests(
        tmp_path,
        [*groups, {"name": "alert", "rules": [ALERTS[alert][1] for alert in QUEUE_ALERTS]}],
        [test],
        "15s",
    )
