"""The shipped rules: Prometheus' own tests for each alert (fires, does not, boundary), and conventions."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from harness.process import program
from sidecar.alerts.rules import scope_by_label
from sidecar.core.scope import ancestors_of

ROOT = Path(__file__).parents[3]
RULES = sorted((ROOT / "alerts").glob("*.rules.yml"))
FILES = {path.name.removesuffix(".rules.yml"): yaml.safe_load(path.read_text())["groups"] for path in RULES}
ALERTS = {
    rule["alert"]: (subject, rule)
    for subject, groups in FILES.items()
    for group in groups
    for rule in group["rules"]
    if "alert" in rule
}
MINUTES = 40

Series = dict[str, str]


def case(
    fires: Series, quiet: Series, boundary: Series, scope: str | None = None, also: Series | None = None
):
    also = also or {}
    return {
        "fires": {**also, **fires},
        "quiet": {**also, **quiet},
        "boundary": {**also, **boundary},
        "scope": scope,
    }


def each(minute: float) -> str:
    """A counter that grows so much a minute."""
    return f"0+{minute:g}x{MINUTES}"


def still(value: float) -> str:
    return f"{value:g}x{MINUTES}"


def later(value: float) -> str:
    """A baseline of 1 for a day, then another value; five minutes a step."""
    return f"1x288 {value:g}x8"


L = 'namespace="ns",model_name="m",pod="p",job="j",instance="i"'
V = f'{L},engine="0"'
M = "ns/m/p"


def finished(**by_reason: float) -> Series:
    return {f'vllm:request_success_total{{{V},finished_reason="{r}"}}': each(n) for r, n in by_reason.items()}


def latency(prefix: str, labels: str, scope: str):
    """Against the day before: 3 times is the bar, and a floor."""
    name = f"{prefix}{{{labels}}}"
    return case({name: later(4)}, {name: later(1)}, {name: later(3)}, scope) | {"step": 5}


def waiting(metric: str, labels: str, scope: str, bar: float = 100):
    name = f"{metric}{{{labels}}}"
    return case({name: still(bar + 1)}, {name: still(0)}, {name: still(bar)}, scope)


def queue_time(metric: str, labels: str, scope: str, queue: str):
    count = {f"{metric}_count{{{labels}}}": each(8), queue: still(3)}
    total = f"{metric}_sum{{{labels}}}"
    return case({total: each(8 * 31)}, {total: each(8)}, {total: each(8 * 30)}, scope, count)


def share(record: str, labels: str, scope: str, bar: float):
    """Against the day before: 3 times is the bar, and a floor; a baseline of a fifth of it."""
    name = f"{record}{{{labels}}}"
    return case(
        {name: f"{bar / 5:g}x288 {bar * 1.5:g}x8"},
        {name: f"{bar / 5:g}x288 {bar / 2:g}x8"},
        {name: f"{bar / 2:g}x288 {bar * 1.5:g}x8"},
        scope,
    ) | {"step": 5}


def short(record: str, labels: str, scope: str):
    """Against the day before: a fifth is the bar."""
    name = f"{record}{{{labels}}}"
    return case({name: "100x288 19x8"}, {name: "100x296"}, {name: "100x288 20x8"}, scope) | {"step": 5}


def down(metric: str, labels: str, scope: str):
    up = 'up{job="j",instance="i"}'
    there = {f"{metric}{{{labels}}}": "1x5 _x35"}
    return case({up: "1x5 0x35"}, {up: still(1)}, {up: f"1x{MINUTES - 1} 0x1"}, scope, there)


S = f'{L},engine_type="unified",tp_rank="0",pp_rank="0",moe_ep_rank="0"'
J = 'namespace="ns",job="j",instance="i"'
T = 'namespace="ns",model="m",version="1",job="j",instance="i"'
W = 'namespace="ns",litellm_model_name="m",job="j",instance="i",model_id="1"'
X = 'namespace="ns",job="j",instance="i"'
XS = f'{X},scope="a"'


def gauge(series: str, fires: float, quiet: float, boundary: float):
    return case({series: still(fires)}, {series: still(quiet)}, {series: still(boundary)})


def counter(series: str, fires: float, boundary: float):
    return case({series: each(fires)}, {series: still(5)}, {series: each(boundary)})


def tokens(labels: str) -> str:
    return f'sglang:realtime_tokens_total{{{labels},mode="decode"}}'


def answers(ok: float, error: float) -> Series:
    front = 'namespace="ns",pod="p",job="j",instance="i",endpoint="/generate",method="POST"'
    name = "sglang:http_responses_total"
    return {
        f'{name}{{{front},status_code="200"}}': each(ok),
        f'{name}{{{front},status_code="500"}}': each(error),
    }


def ranked(metric: str, values: str, **ranks: int) -> Series:
    """A scheduler's series of SGLang by its ranks."""
    labels = {"tp_rank": 0, "pp_rank": 0, "moe_ep_rank": 0, **ranks}
    told = ",".join(f'{name}="{rank}"' for name, rank in labels.items())
    return {f'{metric}{{{L},engine_type="unified",{told}}}': values}


CASES = {
    "VllmErrorRatioHigh": case(
        finished(stop=80, error=20), finished(stop=100, error=0), finished(stop=90, error=10), M
    ),
    "VllmAbortRatioHigh": case(
        finished(stop=60, abort=40), finished(stop=100, abort=0), finished(stop=70, abort=30), M
    ),
    "VllmRepetition": case(
        finished(stop=90, repetition=10), finished(stop=1, repetition=1), finished(stop=95, repetition=5), M
    ),
    "VllmCorruptedRequests": counter(f"vllm:corrupted_requests_total{{{V}}}", 1, 0) | {"scope": M},
    "VllmAnswersCut": share("wellbeing:vllm_answers_cut:ratio_rate5m", L, M, 0.5),
    "VllmAnswersEmpty": share("wellbeing:vllm_answers_empty:ratio_rate5m", L, M, 0.2),
    "VllmQueueGrows": waiting("vllm:num_requests_waiting", V, M),
    "VllmQueueTimeHigh": queue_time(
        "vllm:request_queue_time_seconds", V, M, f"vllm:num_requests_waiting{{{V}}}"
    ),
    "VllmStuck": case(
        {f"vllm:num_requests_running{{{V}}}": still(0)},
        {f"vllm:num_requests_running{{{V}}}": still(3), f"vllm:generation_tokens_total{{{V}}}": each(60)},
        # Prompts are still read: slow, not stuck.
        {
            f"vllm:num_requests_running{{{V}}}": still(1),
            f"vllm:generation_tokens_total{{{V}}}": still(9),
            f"vllm:prompt_tokens_total{{{V}}}": each(1),
        },
        M,
        {f"vllm:num_requests_waiting{{{V}}}": still(5)},
    ),
    "VllmKvCacheExhausted": case(
        {f"vllm:kv_cache_usage_perc{{{V}}}": still(0.99)},
        {f"vllm:kv_cache_usage_perc{{{V}}}": still(0.5)},
        {f"vllm:kv_cache_usage_perc{{{V}}}": still(0.98)},
        M,
        {f"vllm:num_preemptions_total{{{V}}}": each(30)},
    ),
    "VllmTimeToFirstTokenHigh": latency("wellbeing:vllm_time_to_first_token_seconds:p95_5m", L, M),
    "VllmInterTokenLatencyHigh": latency("wellbeing:vllm_inter_token_latency_seconds:p95_5m", L, M),
    "VllmDown": down("vllm:num_requests_running", V, M),
    "SglangAbortRatioHigh": case(
        {f"sglang:num_aborted_requests_total{{{L}}}": each(40)},
        {f"sglang:num_aborted_requests_total{{{L}}}": each(0)},
        {f"sglang:num_aborted_requests_total{{{L}}}": each(30)},
        M,
        {f'sglang:num_requests_total{{{L},is_streaming="true"}}': each(100)},
    ),
    "SglangErrorRatioHigh": case(
        answers(ok=80, error=20), answers(ok=100, error=0), answers(ok=90, error=10), "ns/p"
    ),
    "SglangAnswersShort": short("wellbeing:sglang_answer_tokens:mean_5m", L, M),
    "SglangQueueGrows": waiting("sglang:num_queue_reqs", S, M),
    "SglangQueueTimeHigh": queue_time("sglang:queue_time_seconds", L, M, f"sglang:num_queue_reqs{{{S}}}"),
    "SglangStuck": case(
        {f"sglang:num_running_reqs{{{S}}}": still(0)},
        {f"sglang:num_running_reqs{{{S}}}": still(4), tokens(S): each(50)},
        {f"sglang:num_running_reqs{{{S}}}": still(1), tokens(S): each(1)},
        None,
        {f"sglang:num_queue_reqs{{{S}}}": still(2)},
    ),
    "SglangKvCacheExhausted": case(
        {f"sglang:token_usage{{{S}}}": still(0.99)},
        {f"sglang:token_usage{{{S}}}": still(0.2)},
        {f"sglang:token_usage{{{S}}}": still(0.98)},
        M,
        {f"sglang:num_retracted_requests_total{{{S}}}": each(30)},
    ),
    "SglangTimeToFirstTokenHigh": latency("wellbeing:sglang_time_to_first_token_seconds:p95_5m", L, M),
    "SglangInterTokenLatencyHigh": latency("wellbeing:sglang_inter_token_latency_seconds:p95_5m", L, M),
    "SglangDown": down("sglang:num_running_reqs", S, M),
    "TgiErrorRatioHigh": case(
        {f'tgi_request_failure{{{J},err="generation"}}': each(20)},
        # Requests that do not validate are their clients' fault.
        {f'tgi_request_failure{{{J},err="validation"}}': each(90)},
        {f'tgi_request_failure{{{J},err="generation"}}': each(10)},
        "ns/j",
        {f"tgi_request_count{{{J}}}": each(100)},
    ),
    "TgiAbortRatioHigh": case(
        {f'tgi_request_failure{{{J},err="dropped"}}': each(40)},
        {f'tgi_request_failure{{{J},err="overloaded"}}': each(90)},
        {f'tgi_request_failure{{{J},err="dropped"}}': each(30)},
        "ns/j",
        {f"tgi_request_count{{{J}}}": each(100)},
    ),
    "TgiAnswersShort": short("wellbeing:tgi_answer_tokens:mean_5m", J, "ns/j"),
    "TgiQueueGrows": waiting("tgi_queue_size", J, "ns/j"),
    "TgiQueueTimeHigh": queue_time("tgi_request_queue_duration", J, "ns/j", f"tgi_queue_size{{{J}}}"),
    "TgiStuck": case(
        {f'tgi_batch_inference_success{{{J},method="decode"}}': still(9)},
        {f'tgi_batch_inference_success{{{J},method="decode"}}': each(60)},
        {f'tgi_batch_inference_success{{{J},method="decode"}}': each(1)},
        "ns/j",
        {f"tgi_queue_size{{{J}}}": still(3), f"tgi_batch_current_size{{{J}}}": still(2)},
    ),
    "TgiTimePerTokenHigh": latency("wellbeing:tgi_time_per_token_seconds:mean_5m", J, "ns/j"),
    "TgiDown": down("tgi_queue_size", J, "ns/j"),
    "LlamacppQueueGrows": waiting("llamacpp:requests_deferred", J, "ns/j", 10),
    "LlamacppStuck": case(
        {f"llamacpp:n_decode_total{{{J}}}": still(9)},
        {f"llamacpp:n_decode_total{{{J}}}": each(60)},
        {f"llamacpp:n_decode_total{{{J}}}": each(1)},
        "ns/j",
        {
            f"llamacpp:requests_processing{{{J}}}": still(1),
            f"llamacpp:requests_deferred{{{J}}}": still(0),
            f"llamacpp:tokens_predicted_total{{{J}}}": still(9),
            f"llamacpp:prompt_tokens_total{{{J}}}": still(9),
        },
    ),
    "LlamacppSlow": latency("wellbeing:llamacpp_token_seconds:mean_5m", J, "ns/j"),
    "LlamacppDown": down("llamacpp:requests_processing", J, "ns/j"),
    "TritonErrorRatioHigh": case(
        {f'nv_inference_request_failure{{{T},reason="BACKEND"}}': each(20)},
        # Clients that gave up are no failure of the model.
        {f'nv_inference_request_failure{{{T},reason="CANCELED"}}': each(90)},
        {f'nv_inference_request_failure{{{T},reason="BACKEND"}}': each(10)},
        "ns/m",
        {f"nv_inference_request_success{{{T}}}": each(90)},
    ),
    "TritonAbortRatioHigh": case(
        {f'nv_inference_request_failure{{{T},reason="CANCELED"}}': each(40)},
        {f'nv_inference_request_failure{{{T},reason="BACKEND"}}': each(90)},
        {
            f'nv_inference_request_failure{{{T},reason="CANCELED"}}': each(30),
            f'nv_inference_request_failure{{{T},reason="BACKEND"}}': each(10),
        },
        "ns/m",
        {f"nv_inference_request_success{{{T}}}": each(60)},
    ),
    "TritonQueueGrows": waiting("nv_inference_pending_request_count", T, "ns/m"),
    "TritonQueueTimeHigh": case(
        {f"nv_inference_queue_duration_us{{{T}}}": each(8 * 31e6)},
        {f"nv_inference_queue_duration_us{{{T}}}": each(8e6)},
        {f"nv_inference_queue_duration_us{{{T}}}": each(8 * 29e6)},
        "ns/m",
        {
            f"nv_inference_request_success{{{T}}}": each(8),
            f"nv_inference_pending_request_count{{{T}}}": still(3),
        },
    ),
    "TritonStuck": case(
        {f"nv_inference_exec_count{{{T}}}": still(9)},
        {f"nv_inference_exec_count{{{T}}}": each(60)},
        {f"nv_inference_exec_count{{{T}}}": each(1)},
        "ns/m",
        {f"nv_inference_pending_request_count{{{T}}}": still(3)},
    ),
    "TritonDown": down("nv_inference_pending_request_count", T, "ns/m"),
    "LitellmErrorRatioHigh": case(
        {f"litellm_deployment_failure_responses_total{{{W}}}": each(20)},
        {f"litellm_deployment_failure_responses_total{{{W}}}": each(0)},
        {f"litellm_deployment_failure_responses_total{{{W}}}": each(10)},
        "ns/m",
        {f"litellm_deployment_total_requests_total{{{W}}}": each(100)},
    ),
    "LitellmDeploymentOut": gauge(f"litellm_deployment_state{{{W}}}", 2, 0, 1) | {"scope": "ns/m"},
    "LitellmSlow": latency(
        "wellbeing:litellm_token_seconds:p95_5m", 'namespace="ns",job="j",litellm_model_name="m"', "ns/m"
    ),
    "LitellmTimeToFirstTokenHigh": latency(
        "wellbeing:litellm_time_to_first_token_seconds:p95_5m", 'namespace="ns",job="j",model="m"', "ns/m"
    ),
    "TritonFirstResponseSlow": latency(
        "wellbeing:triton_first_response_seconds:p95_5m",
        'namespace="ns",model="m",job="j",instance="i"',
        "ns/m",
    ),
    "WellbeingSidecarDown": down("wellbeing_build_info", X, None),
    "WellbeingBlind": gauge(f"wellbeing_blind{{{X}}}", 1, 0, 0),
    "WellbeingStoreDown": gauge(f"wellbeing_store_up{{{X}}}", 0, 1, 1),
    "WellbeingPausedTooLong": gauge(f"wellbeing_current_pause_duration_seconds{{{XS}}}", 601, 0, 600),
    "WellbeingFlapping": counter(f'wellbeing_pauses_total{{{XS},cause="auto"}}', 1, 0.25),
    "WellbeingWaitersPileUp": gauge(f"wellbeing_waiters{{{XS}}}", 1001, 0, 1000),
    "WellbeingTimeouts": case(
        {f"wellbeing_requests_timed_out_total{{{XS}}}": each(10)},
        {f"wellbeing_requests_timed_out_total{{{XS}}}": each(0)},
        {f"wellbeing_requests_timed_out_total{{{XS}}}": each(5)},
        None,
        {f"wellbeing_requests_total{{{XS}}}": each(100)},
    ),
    "WellbeingWebhooksRefused": case(
        {f'wellbeing_webhook_notifications_total{{{X},result="invalid"}}': each(1)},
        {f'wellbeing_webhook_notifications_total{{{X},result="accepted"}}': each(1)},
        {f'wellbeing_webhook_notifications_total{{{X},result="invalid"}}': still(1)},
    ),
    "WellbeingNotificationsWrong": counter(
        f'wellbeing_reconcile_corrections_total{{{X},what="ended"}}', 1, 0
    ),
    "WellbeingAlertmanagerUnreachable": gauge(
        f'wellbeing_alertmanager_up{{{X},alertmanager="http://a"}}', 0, 1, 1
    ),
    "WellbeingConfigReloadFailed": gauge(f"wellbeing_config_last_reload_successful{{{X}}}", 0, 1, 1),
    "WellbeingEngineOutOfSync": case(
        {f'wellbeing_engine_in_sync{{{XS},engine="e"}}': still(0)},
        {f'wellbeing_engine_in_sync{{{XS},engine="e"}}': still(1)},
        {f'wellbeing_engine_in_sync{{{XS},engine="e"}}': f"1x{MINUTES - 1} 0x1"},
    ),
    "WellbeingClientsGone": counter(f"wellbeing_clients_gone_total{{{X}}}", 1, 0),
    "WellbeingImportDown": gauge(f'wellbeing_import_up{{{XS},import="i"}}', 0, 1, 1),
    "WellbeingPauseBudgetBurnsFast": counter(f"wellbeing_paused_seconds_total{{{XS}}}", 15, 0.144 * 60),
    "WellbeingPauseBudgetBurnsSlowly": case(
        {f"wellbeing_paused_seconds_total{{{XS}}}": "0+20x90"},
        {f"wellbeing_paused_seconds_total{{{XS}}}": "0+1x90"},
        {f"wellbeing_paused_seconds_total{{{XS}}}": "0+18x90"},
    )
    | {"step": 5},
}
WITHOUT_CASE = {"WellbeingThresholdsMissing": "it is tested without the thresholds, below"}


def prove(tmp_path: Path, tests: list[dict], files: list[Path]) -> subprocess.CompletedProcess:
    interval = tests[0]["interval"]
    groups = [group["name"] for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    suite = {
        "rule_files": [str(path) for path in files],
        "evaluation_interval": interval,
        "group_eval_order": sorted(
            groups,
            key=lambda name: (not name.endswith("-engine"), name != "wellbeing-masks", groups.index(name)),
        ),
        "tests": tests,
    }
    (tmp_path / "suite.yml").write_text(yaml.safe_dump(suite))
    command = [program("promtool"), "test", "rules", str(tmp_path / "suite.yml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def files_of(subject: str) -> list[Path]:
    return [ROOT / "alerts" / f"{name}.rules.yml" for name in ("thresholds", "masks", subject)]


def rules_of(tmp_path: Path, alert: str) -> list[Path]:
    return cut(tmp_path, ALERTS[alert][0], {alert})


def cut(tmp_path: Path, subject: str, needed: set[str]) -> list[Path]:
    """What is needed as it is shipped, with the records and thresholds it needs, and no more: that is faster."""
    groups = FILES["thresholds"] + FILES["masks"] + FILES[subject]
    while True:
        wanted = [rule for group in groups for rule in group["rules"] if is_needed(rule, needed)]
        names = needed | set(re.findall(r"wellbeing:[\w:]+|(?<=name=\")\w+", str(wanted)))
        if names == needed:
            break
        needed = names
    cut = [{**group, "rules": [r for r in group["rules"] if is_needed(r, needed)]} for group in groups]
    (tmp_path / "cut.rules.yml").write_text(yaml.safe_dump({"groups": [one for one in cut if one["rules"]]}))
    return [tmp_path / "cut.rules.yml"]


def is_needed(rule: dict, names: set[str]) -> bool:
    if "alert" in rule:
        return rule["alert"] in names
    return rule["record"] in names and rule.get("labels", {}).get("name", rule["record"]) in names


def expect(alert: str, series: Series, *, firing: bool, scope: str | None = None, step: int = 1) -> dict:
    """At the last minute the alert fires, once, for the scope; or it does not."""
    matchers = f'alertname="{alert}",alertstate="firing"' + (f',wellbeing_scope="{scope}"' if scope else "")
    last = max(sum(int(n) for n in re.findall(r"x(\d+)", values)) for values in series.values()) * step
    return {
        "interval": f"{step}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"count(ALERTS{{{matchers}}})",
                "eval_time": f"{last}m",
                "exp_samples": [{"labels": "{}", "value": 1}] if firing else [],
            }
        ],
    }


@pytest.mark.parametrize("alert", sorted(CASES))
def test_an_alert_fires_when_it_must_and_only_then(tmp_path: Path, alert: str) -> None:
    case = CASES[alert]
    step = case.get("step", 1)
    tests = [
        expect(alert, case["fires"], firing=True, scope=case["scope"], step=step),
        expect(alert, case["quiet"], firing=False, step=step),
        expect(alert, case["boundary"], firing=False, step=step),
    ]
    done = prove(tmp_path, tests, rules_of(tmp_path, alert))
    assert done.returncode == 0, done.stdout + done.stderr


_FIRST_TOKEN = "vllm:time_to_first_token_seconds_bucket"
_QUEUE, _RUNNING = "sglang:num_queue_reqs", "sglang:num_running_reqs"
# What each part of an expression is for: alert, series, whether it fires, minutes a step.
PARTS: dict[str, tuple[str, Series, bool, int]] = {
    "a batch that makes no token is stuck": (
        "VllmStuck",
        {
            f"vllm:num_requests_running{{{V}}}": still(1),
            f"vllm:num_requests_waiting{{{V}}}": still(5),
            f"vllm:generation_tokens_total{{{V}}}": still(9),
            f"vllm:prompt_tokens_total{{{V}}}": still(9),
        },
        True,
        1,
    ),
    "errors of hardly any traffic mean nothing": (
        "VllmErrorRatioHigh",
        finished(stop=0.5, error=0.5),
        False,
        1,
    ),
    "an engine that stays down keeps firing": (
        "VllmDown",
        {f"vllm:num_requests_running{{{V}}}": "1x5 _x115", 'up{job="j",instance="i"}': "1x5 0x115"},
        True,
        1,
    ),
    "an engine that was scaled away is not down": (
        "VllmDown",
        {f"vllm:num_requests_running{{{V}}}": "1x5 _x35", 'up{job="j",instance="i"}': "1x5 _x35"},
        False,
        1,
    ),
    "another job's instance of the same name does not answer for it": (
        "VllmDown",
        {
            f"vllm:num_requests_running{{{V}}}": "1x5 _x35",
            'up{job="j",instance="i"}': "1x5 0x35",
            'up{job="other",instance="i"}': still(1),
        },
        True,
        1,
    ),
    "a night without traffic leaves the baseline what it was": (
        "VllmTimeToFirstTokenHigh",
        {
            f'{_FIRST_TOKEN}{{{V},le="1"}}': "0+60x100 6000x150 6000+0x30",
            f'{_FIRST_TOKEN}{{{V},le="60"}}': "0+60x100 6000x150 6000+60x30",
            f'{_FIRST_TOKEN}{{{V},le="+Inf"}}': "0+60x100 6000x150 6000+60x30",
        },
        True,
        5,
    ),
    "without a baseline nothing is above it": (
        "VllmTimeToFirstTokenHigh",
        {
            f'{_FIRST_TOKEN}{{{V},le="1"}}': "0x200 0+0x20",
            f'{_FIRST_TOKEN}{{{V},le="60"}}': "0x200 0+60x20",
            f'{_FIRST_TOKEN}{{{V},le="+Inf"}}': "0x200 0+60x20",
        },
        False,
        5,
    ),
    "tensor ranks tell of the same queue": (
        "SglangQueueGrows",
        {**ranked(_QUEUE, still(60), tp_rank=0), **ranked(_QUEUE, still(60), tp_rank=1)},
        False,
        1,
    ),
    "data-parallel ranks have a queue each": (
        "SglangQueueGrows",
        {**ranked(_QUEUE, still(60), dp_rank=0), **ranked(_QUEUE, still(60), dp_rank=1)},
        True,
        1,
    ),
    "one data-parallel rank is stuck beside a busy one": (
        "SglangStuck",
        {
            **ranked(_QUEUE, still(50), dp_rank=0),
            **ranked(_RUNNING, still(0), dp_rank=0),
            **ranked(_QUEUE, still(0), dp_rank=1),
            **ranked(_RUNNING, still(8), dp_rank=1),
        },
        True,
        1,
    ),
    "a batch of SGLang that makes no token is stuck": (
        "SglangStuck",
        {**ranked(_QUEUE, still(2)), **ranked(_RUNNING, still(3)), tokens(S): still(7)},
        True,
        1,
    ),
    "long answers are no standstill": (
        "SglangStuck",
        {
            **ranked(_QUEUE, still(5)),
            **ranked(_RUNNING, still(32)),
            tokens(S): each(9000),
            f"sglang:generation_tokens_total{{{S}}}": still(7),
        },
        False,
        1,
    ),
    "one data-parallel engine of vLLM is stuck beside a busy one": (
        "VllmStuck",
        {
            f'vllm:num_requests_waiting{{{L},engine="0"}}': still(50),
            f'vllm:num_requests_running{{{L},engine="0"}}': still(0),
            f'vllm:num_requests_waiting{{{L},engine="1"}}': still(0),
            f'vllm:num_requests_running{{{L},engine="1"}}': still(8),
            f'vllm:generation_tokens_total{{{L},engine="1"}}': each(900),
        },
        True,
        1,
    ),
    "nor is it where the operator has taken the label endpoint for a port's name": (
        "SglangErrorRatioHigh",
        {
            f'sglang:http_responses_total{{{J},pod="p",endpoint="http",exported_endpoint="/generate",status_code="200"}}': each(
                80
            ),
            f'sglang:http_responses_total{{{J},pod="p",endpoint="http",exported_endpoint="/health",status_code="503"}}': each(
                12
            ),
        },
        False,
        1,
    ),
    "an answer to a client is one there, too": (
        "SglangErrorRatioHigh",
        {
            f'sglang:http_responses_total{{{J},pod="p",endpoint="http",exported_endpoint="/generate",status_code="500"}}': each(
                80
            ),
        },
        True,
        1,
    ),
    "a health check that fails is no answer to a client": (
        "SglangErrorRatioHigh",
        {
            **answers(ok=100, error=0),
            f'sglang:http_responses_total{{{J},pod="p",endpoint="/health_generate",status_code="503"}}': each(
                60
            ),
        },
        False,
        1,
    ),
    "a queue that has drained no longer takes long": (
        "VllmQueueTimeHigh",
        {
            f"vllm:request_queue_time_seconds_sum{{{V}}}": each(8 * 31),
            f"vllm:request_queue_time_seconds_count{{{V}}}": each(8),
            f"vllm:num_requests_waiting{{{V}}}": "3x20 0x20",
        },
        False,
        1,
    ),
    "with all thresholds nothing is missing": ("WellbeingThresholdsMissing", {"up": still(1)}, False, 1),
}


@pytest.mark.parametrize("what", sorted(PARTS))
def test_each_part_of_an_expression_does_its_work(tmp_path: Path, what: str) -> None:
    alert, series, fires, step = PARTS[what]
    done = prove(tmp_path, [expect(alert, series, firing=fires, step=step)], files_of(ALERTS[alert][0]))
    assert done.returncode == 0, done.stdout + done.stderr


# -- the mask: what a pause would keep alive ---------------------------------------------------------

# A series that each engine has.
HERE = {
    "vllm": f"vllm:num_requests_running{{{V}}}",
    "sglang": f"sglang:num_running_reqs{{{S}}}",
    "tgi": f"tgi_queue_size{{{J}}}",
    "llamacpp": f"llamacpp:requests_processing{{{J}}}",
    "triton": f"nv_inference_pending_request_count{{{T}}}",
    "litellm": f"litellm_deployment_state{{{W}}}",
}
QUEUE = {
    "vllm": f"vllm:num_requests_waiting{{{V}}}",
    "sglang": f"sglang:num_queue_reqs{{{S}}}",
    "tgi": HERE["tgi"],
    "llamacpp": f"llamacpp:requests_deferred{{{J}}}",
    "triton": HERE["triton"],
}
MASKS = ("wellbeing:engine_held", "wellbeing:engine_settles", "wellbeing:litellm_paused")
MASKED = sorted(name for name, (_, rule) in ALERTS.items() if any(mask in rule["expr"] for mask in MASKS))
AT_LENGTH = [name for name in MASKED if "last_over_time" in ALERTS[name][1]["expr"]]
SETTLING = [name for name in MASKED if "wellbeing:engine_settles" in ALERTS[name][1]["expr"]]


@dataclass(frozen=True)
class Place:
    """The labels that Prometheus gives an engine, and its model's name."""

    namespace: str = "ns"
    pod: str = "p"
    model: str = "m"


PLACES = [
    Place(),
    Place(pod=""),
    Place(namespace=""),
    Place(namespace="", pod=""),
    Place(model="org/m"),
    # vLLM and SGLang that were started on a path call their model by it.
    Place(model="/models/m/", pod=""),
]


def labels_of(series: str) -> Series:
    return dict(re.findall(r'(\w+)="([^"]*)"', series))


def relabelled(series: str, **labels: str) -> str:
    told = {name: value for name, value in {**labels_of(series), **labels}.items() if value}
    return (
        series.partition("{")[0] + "{" + ",".join(f'{name}="{value}"' for name, value in told.items()) + "}"
    )


def at(place: Place, series: str) -> str:
    """``series`` as an engine at ``place`` has it."""
    model = {
        name: place.model
        for name in labels_of(series)
        if name in ("model_name", "model", "litellm_model_name")
    }
    # What LiteLLM tells is summed over its pods.
    pod = (
        {"pod": place.pod}
        if "instance" in labels_of(series) or not series.startswith("wellbeing:litellm")
        else {}
    )
    return relabelled(series, namespace=place.namespace, **pod, **model)


def scope_of(alert: str, place: Place) -> str:
    """The scope that the sidecar makes of the alert's labels."""

    def with_or_else(match: re.Match[str]) -> str:
        there, _, otherwise = match[2].partition("{{ else }}")
        return there.replace("{{ . }}", labels[match[1]]) if labels.get(match[1]) else otherwise

    labels = labels_of(at(place, next(iter(CASES[alert]["fires"]))))
    text = ALERTS[alert][1]["labels"]["wellbeing_scope"]
    text = re.sub(r"\{\{ with \$labels\.(\w+) \}\}(.*?)\{\{ end \}\}", with_or_else, text)
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels.get(match[1], ""), text)
    return scope_by_label({"wellbeing_scope": text})


def up_to_the_root(scope: str) -> list[str]:
    return [scope, *ancestors_of(scope)]


def paused(
    alert: str,
    values: str,
    place: Place = PLACES[0],
    *,
    scope: str | None = None,
    metric: str = "",
    also: Series | None = None,
    **sidecar: str,
) -> dict:
    """The alert's case that fires, with what a sidecar tells; ``N`` in values: the steps there are."""
    subject = ALERTS[alert][0]
    # Three hours make a baseline, too, and are faster than a day.
    fires = {name: one.replace("x288", "x36") for name, one in CASES[alert]["fires"].items()}
    step = CASES[alert].get("step", 1)
    steps = max(sum(int(n) for n in re.findall(r"x(\d+)", one)) for one in fires.values())
    metric = metric or ("wellbeing_paused" if subject == "litellm" else "wellbeing_engine_paused")
    told = {"job": "gate", "instance": "g:9477", **sidecar}
    gate = relabelled(f"{metric}{{}}", **told, scope=scope_of(alert, place) if scope is None else scope)
    series = {HERE[subject]: "1xN", **fires, **(also or {})}
    series = {at(place, name): one for name, one in series.items()} | {gate: values}
    last = re.compile(r"N(-\d+)?")
    return {
        "alert": alert,
        "series": {
            name: last.sub(lambda match: str(steps + int(match[1] or 0)), one) for name, one in series.items()
        },
        "step": step,
    }


def masked(tmp_path: Path, alert: str, cases: list[dict], *, firing: bool) -> None:
    step = CASES[alert].get("step", 1)
    tests = [expect(alert, one["series"], firing=firing, step=step) for one in cases]
    done = prove(tmp_path, tests, rules_of(tmp_path, alert))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", MASKED)
def test_a_pause_of_its_scope_does_not_keep_an_alert_alive(tmp_path: Path, alert: str) -> None:
    masked(tmp_path, alert, [paused(alert, "1xN", place) for place in PLACES[:2]], firing=False)


@pytest.mark.parametrize("alert", MASKED)
def test_what_does_not_pause_this_engine_masks_nothing(tmp_path: Path, alert: str) -> None:
    # The last: a sidecar that had the engine paused, and is gone.
    back = 30 // CASES[alert].get("step", 1)
    cases = [
        paused(alert, "0xN"),
        paused(alert, "1xN", scope="ns/another"),
        paused(alert, f"1xN-{back} _x{back}"),
    ]
    masked(tmp_path, alert, cases, firing=True)


# Each way in which an engine is told to be paused, and the record of it; LiteLLM's is a mask in itself.
TOLD = [
    *((subject, "wellbeing_engine_paused", "wellbeing:engine_held") for subject in QUEUE),
    *((subject, "wellbeing_paused", "wellbeing:engine_shut") for subject in QUEUE),
    ("litellm", "wellbeing_paused", "wellbeing:litellm_paused"),
]
ENGINES_TOLD = [one for one in TOLD if one[0] != "litellm"]


@dataclass(frozen=True)
class Told:
    """What a sidecar says of a scope, and what else there is."""

    place: Place
    scope: str
    sidecar: Series = field(default_factory=dict)
    also: Series = field(default_factory=dict)


def scopes_of(subject: str, place: Place) -> list[str]:
    """All scopes that the subject's masked alerts have there."""
    return sorted({scope_of(alert, place) for alert in MASKED if ALERTS[alert][0] == subject})


def found(tmp_path: Path, told: tuple[str, str, str], cases: list[Told], *, there: bool) -> None:
    """The engine at each case's place is recorded to be paused, or is not."""
    subject, metric, record = told
    tests = []
    for one in cases:
        engine = at(one.place, HERE[subject])
        labels = labels_of(engine)
        by = ("litellm_model_name",) if subject == "litellm" else ("instance", "model")
        asked = ",".join(f'{name}="{labels[name]}"' for name in by if name in labels)
        gate = relabelled(metric, **{"instance": "g:9477", "job": "gate", **one.sidecar}, scope=one.scope)
        test = expect("x", {engine: "1x1", **one.also, gate: "1x1"}, firing=there)
        test["promql_expr_test"][0]["expr"] = f"count({record}{{{asked}}})"
        tests.append(test)
    done = prove(tmp_path, tests, cut(tmp_path, subject, {record}))
    assert done.returncode == 0, done.stdout + done.stderr


def in_pod(place: Place) -> Series:
    return {"namespace": place.namespace, "pod": place.pod}


@pytest.mark.parametrize("told", TOLD, ids="-".join)
def test_a_pause_of_an_alerts_scope_or_of_one_above_is_found(tmp_path: Path, told: tuple) -> None:
    cases = [
        Told(place, scope, sidecar)
        for place in PLACES
        for own in scopes_of(told[0], place)
        for scope in up_to_the_root(own)[:-1]
        for sidecar in ({}, {"namespace": "other", "pod": "gate"})
    ]
    found(tmp_path, told, cases, there=True)


@pytest.mark.parametrize("told", TOLD, ids="-".join)
def test_a_pause_by_the_sidecar_beside_it_is_found(tmp_path: Path, told: tuple) -> None:
    cases = [Told(place, "", {"instance": "i:9477"}) for place in PLACES]
    for place in (one for one in PLACES if one.pod):
        cases += [
            Told(place, scope, in_pod(place))
            for own in scopes_of(told[0], place)
            for scope in up_to_the_root(own)
        ]
        if told[2] == "wellbeing:engine_held" and told[0] != "triton":
            # Whatever the scope is called: a name that had to be made valid. Triton has many models in a pod.
            cases.append(Told(place, "x~0123abcd", in_pod(place)))
    found(tmp_path, told, cases, there=True)


@pytest.mark.parametrize("told", [one for one in TOLD if one[2] == "wellbeing:engine_held"], ids="-".join)
def test_a_pause_of_the_root_by_a_gate_of_its_own_is_found_in_the_gates_namespace(
    tmp_path: Path, told: tuple
) -> None:
    inside = [place for place in PLACES if place.namespace]
    found(
        tmp_path, told, [Told(place, "", {"namespace": "ns", "pod": "gate"}) for place in inside], there=True
    )
    found(
        tmp_path, told, [Told(place, "", {"namespace": "no", "pod": "gate"}) for place in inside], there=False
    )


@pytest.mark.parametrize("told", TOLD, ids="-".join)
def test_a_pause_on_another_host_or_of_another_scope_is_not_found(tmp_path: Path, told: tuple) -> None:
    cases = [Told(place, "", {"instance": host}) for place in PLACES for host in ("g:9477", "ii:9477", "g")]
    for place in PLACES:
        (*_, own) = scopes_of(told[0], place)
        cases += [Told(place, scope) for scope in (f"{own}/below", f"{own}x", f"x/{own}")]
    # Nor that of an agent in the engine's pod.
    if told[2] == "wellbeing:engine_shut":
        cases += [Told(place, "x", in_pod(place)) for place in PLACES if place.pod]
    found(tmp_path, told, cases, there=False)


@pytest.mark.parametrize("told", ENGINES_TOLD, ids="-".join)
def test_the_sidecar_in_another_engines_pod_speaks_of_that_one_alone(tmp_path: Path, told: tuple) -> None:
    cases = []
    for place in PLACES:
        other = {"namespace": place.namespace, "pod": "another"}
        another = relabelled(at(place, HERE[told[0]]), **other, instance="k")
        cases += [
            Told(place, scope, other, {another: "1x1"})
            for own in scopes_of(told[0], place)
            for scope in up_to_the_root(own)
        ]
    found(tmp_path, told, cases, there=False)


@pytest.mark.parametrize("told", [one for one in TOLD if one[0] == "triton"], ids="-".join)
def test_a_pause_of_another_model_of_the_same_server_is_not_found(tmp_path: Path, told: tuple) -> None:
    cases = []
    for place in PLACES:
        other = Place(place.namespace, place.pod, "other")
        (scope,) = scopes_of("triton", other)
        also = {at(other, HERE["triton"]): "1x1"}
        cases += [Told(place, scope, sidecar, also) for sidecar in ({}, in_pod(place))]
    found(tmp_path, told, cases, there=False)


def test_a_paused_pod_of_a_model_is_found_behind_the_proxy_but_no_paused_agent(tmp_path: Path) -> None:
    told = TOLD[-1]
    also = {'up{job="e",instance="e:8000",namespace="ns",pod="pod-1"}': "1x1"}
    pods, others = [], []
    for place in PLACES:
        (own,) = scopes_of("litellm", place)
        for sidecar in ({}, {"namespace": "ns", "pod": "pod-1"}, {"namespace": "ns", "pod": "gate"}):
            pods.append(Told(place, f"{own}/pod-1", sidecar, also))
            others.append(Told(place, f"{own}/agent-7", sidecar, also))
            # A pod that serves without a model's name.
            others.append(Told(place, "ns/pod-1", sidecar, also))
    found(tmp_path, told, pods, there=True)
    found(tmp_path, told, others, there=False)


@pytest.mark.parametrize("alert", AT_LENGTH)
def test_what_a_pause_left_in_the_window_is_masked_until_it_is_out(tmp_path: Path, alert: str) -> None:
    back = 5 // CASES[alert].get("step", 1)
    masked(tmp_path, alert, [paused(alert, f"1xN-{back} 0x{back}")], firing=False)


@pytest.mark.parametrize("alert", ["LitellmSlow", "LitellmTimeToFirstTokenHigh"])
def test_waits_at_a_gate_behind_the_proxy_are_masked_until_the_last_is_out(
    tmp_path: Path, alert: str
) -> None:
    # Let through over 5 minutes, and another 5 in the window.
    masked(tmp_path, alert, [paused(alert, "1xN-2 0x2")], firing=False)


@pytest.mark.parametrize("metric", ["wellbeing_engine_paused", "wellbeing_paused"])
@pytest.mark.parametrize("alert", SETTLING)
def test_what_a_pause_left_behind_is_masked_while_it_is_worked_off(
    tmp_path: Path, alert: str, metric: str
) -> None:
    queue = QUEUE[ALERTS[alert][0]]
    falls, grows = {queue: "5000-10xN"}, {queue: "200+10xN"}
    back = 30 // CASES[alert].get("step", 1)
    # What fired at the door, where nothing is masked, is kept for 5 minutes at most.
    soon = {1: 8, 5: 2}[CASES[alert].get("step", 1)]
    since = f"1xN-{back} 0x{back}"
    quiet = [
        paused(alert, since, metric=metric, also=falls),
        paused(alert, f"1xN-{soon} 0x{soon}", metric=metric, also=grows),
    ]
    masked(tmp_path, alert, quiet, firing=False)
    # It grows, or nothing was paused.
    loud = [
        paused(alert, since, metric=metric, also=grows),
        paused(alert, "0xN", metric=metric, also=falls),
        paused(alert, since, metric=metric, also=falls, scope="ns/another"),
    ]
    masked(tmp_path, alert, loud, firing=True)


@pytest.mark.parametrize("alert", SETTLING)
def test_a_gate_that_is_closed_at_the_door_masks_nothing(tmp_path: Path, alert: str) -> None:
    falls = {QUEUE[ALERTS[alert][0]]: "5000-10xN"}
    masked(tmp_path, alert, [paused(alert, "1xN", metric="wellbeing_paused", also=falls)], firing=True)


def pause_of(way: str, *, load: float, ramp_minutes: float = 0, minutes: int = 90) -> Series:
    """A vLLM that serves 5 requests a second, first come first served, and is paused from minute 10 to 15."""
    step, served_per_step = 0.25, 75.0
    waiting: list[list[float]] = []  # since when, how many
    parked, total, count = 0.0, 0.0, 0.0
    told: dict[str, list[float]] = {"waiting": [], "sum": [], "count": [], "paused": []}
    for number in range(int(minutes / step)):
        now, came = number * step, load * served_per_step
        is_paused = 10 <= now < 15
        at_door = is_paused and way == "fast_path"
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
    metric = "wellbeing_paused" if way == "fast_path" else "wellbeing_engine_paused"
    names = {
        "waiting": QUEUE["vllm"],
        "sum": f"vllm:request_queue_time_seconds_sum{{{V}}}",
        "count": f"vllm:request_queue_time_seconds_count{{{V}}}",
        "paused": f'{metric}{{scope="ns/m/p",job="gate",instance="g:9477"}}',
    }
    series = {names[name]: " ".join(f"{value:g}" for value in values) for name, values in told.items()}
    return series | {HERE["vllm"]: f"1x{len(told['sum']) - 1}"}


@pytest.mark.parametrize("alert", ["VllmQueueGrows", "VllmQueueTimeHigh"])
@pytest.mark.parametrize(
    ("way", "load", "ramp_minutes", "fires"),
    [
        ("kept", 0.5, 0, False),
        ("kept", 0.8, 0, False),
        ("kept", 0.85, 0, False),
        ("kept", 0.9, 0, False),
        ("fast_path", 0.85, 0, False),
        ("fast_path", 0.85, 5, False),
        # An engine that has too much to do is told of after a pause as before it.
        ("kept", 1.2, 0, True),
        ("fast_path", 1.2, 0, True),
    ],
)
def test_the_backlog_of_a_pause_is_no_overload(
    tmp_path: Path, alert: str, way: str, load: float, ramp_minutes: float, fires: bool
) -> None:
    minutes = 45 if fires else 90
    series = pause_of(way, load=load, ramp_minutes=ramp_minutes, minutes=minutes)
    told = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"count(count_over_time({told}[{minutes - 15}m]))",
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        ],
    }
    done = prove(tmp_path, [test], rules_of(tmp_path, alert))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_threshold_that_is_missing_is_named(tmp_path: Path) -> None:
    thresholds = yaml.safe_load((ROOT / "alerts" / "thresholds.rules.yml").read_text())
    names = [rule["labels"]["name"] for rule in thresholds["groups"][0]["rules"]]
    told = re.findall(
        r'absent\(wellbeing:threshold\{name="(\w+)"\}\)', ALERTS["WellbeingThresholdsMissing"][1]["expr"]
    )
    assert told == names
    thresholds["groups"][0]["rules"].pop()
    (tmp_path / "copy.rules.yml").write_text(yaml.safe_dump(thresholds))
    missing = expect("WellbeingThresholdsMissing", {"up": still(1)}, firing=True)
    files = [tmp_path / "copy.rules.yml", ROOT / "alerts" / "sidecar.rules.yml"]
    done = prove(tmp_path, [missing], files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_that_expects_wrongly_is_caught(tmp_path: Path) -> None:
    wrong = expect("WellbeingBlind", CASES["WellbeingBlind"]["quiet"], firing=True)
    assert prove(tmp_path, [wrong], files_of("sidecar")).returncode != 0


def test_every_alert_has_its_cases() -> None:
    assert CASES.keys() | WITHOUT_CASE.keys() == ALERTS.keys()


def test_without_thresholds_that_is_said_and_nothing_else(tmp_path: Path) -> None:
    files = [ROOT / "alerts" / f"{name}.rules.yml" for name in ("vllm", "sidecar")]
    series = CASES["VllmQueueGrows"]["fires"]
    tests = [
        {
            **expect("WellbeingThresholdsMissing", series, firing=True),
            "promql_expr_test": [
                {
                    "expr": 'count(ALERTS{alertname="WellbeingThresholdsMissing",alertstate="firing"}) > 1',
                    "eval_time": f"{MINUTES}m",
                    "exp_samples": [{"labels": "{}", "value": 22}],
                }
            ],
        },
        expect("VllmQueueGrows", series, firing=False),
    ]
    done = prove(tmp_path, tests, files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("record", "buckets"),
    [
        (
            "wellbeing:vllm_time_to_first_token_seconds:p95_5m",
            f"vllm:time_to_first_token_seconds_bucket{{{V}",
        ),
        (
            "wellbeing:vllm_inter_token_latency_seconds:p95_5m",
            f"vllm:inter_token_latency_seconds_bucket{{{V}",
        ),
        (
            "wellbeing:sglang_time_to_first_token_seconds:p95_5m",
            f'sglang:time_to_first_token_seconds_bucket{{{L},is_streaming="true"',
        ),
        (
            "wellbeing:sglang_inter_token_latency_seconds:p95_5m",
            f"sglang:inter_token_latency_seconds_bucket{{{L}",
        ),
        (
            "wellbeing:litellm_token_seconds:p95_5m",
            f"litellm_deployment_latency_per_output_token_bucket{{{W}",
        ),
        (
            "wellbeing:litellm_time_to_first_token_seconds:p95_5m",
            'litellm_llm_api_time_to_first_token_metric_bucket{namespace="ns",job="j",model="m"',
        ),
        (
            "wellbeing:triton_first_response_seconds:p95_5m",
            f"nv_inference_first_response_histogram_ms_bucket{{{T}",
        ),
    ],
)
def test_latencies_are_recorded_from_histograms(tmp_path: Path, record: str, buckets: str) -> None:
    one, two = ("1000", "2000") if "_ms_" in buckets else ("1", "2")
    series = {f'{buckets},le="{le}"}}': each(n) for le, n in ((one, 0), (two, 100), ("+Inf", 100))}
    test = expect("x", series, firing=False)
    test["promql_expr_test"][0] |= {
        "expr": f"count({record} > 1.94 < 1.96)",
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
    done = prove(tmp_path, [test], files_of(record.split(":")[1].split("_", maxsplit=1)[0]))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("record", "total", "count"),
    [
        (
            "wellbeing:tgi_time_per_token_seconds:mean_5m",
            "tgi_request_mean_time_per_token_duration_sum",
            "tgi_request_mean_time_per_token_duration_count",
        ),
        (
            "wellbeing:llamacpp_token_seconds:mean_5m",
            "llamacpp:tokens_predicted_seconds_total",
            "llamacpp:tokens_predicted_total",
        ),
    ],
)
def test_means_are_recorded_from_sums(tmp_path: Path, record: str, total: str, count: str) -> None:
    test = expect("x", {f"{total}{{{J}}}": each(30), f"{count}{{{J}}}": each(60)}, firing=False)
    test["promql_expr_test"][0] |= {
        "expr": f"count({record} == 0.5)",
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
    done = prove(tmp_path, [test], files_of(record.split(":")[1].split("_", maxsplit=1)[0]))
    assert done.returncode == 0, done.stdout + done.stderr


# -- conventions ----------------------------------------------------------------------------------


def test_promtool_finds_nothing_to_say() -> None:
    command = [program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_says_what_it_means_and_where_to_read_on(alert: str) -> None:
    subject, rule = ALERTS[alert]
    labels, annotations = rule["labels"], rule["annotations"]
    assert labels["severity"] in ("critical", "warning", "info")
    if subject == "sidecar":
        assert labels["wellbeing"] == "ignore"
    else:
        assert labels["wellbeing"] in ("cautious", "concerned", "distressed")
        assert labels["wellbeing_scope"]
        assert rule["keep_firing_for"], "an alert that pauses has hysteresis"
    assert (
        "$value" in annotations["summary"] or "$labels" in annotations["summary"] or "absent" in rule["expr"]
    )
    assert annotations["description"] != annotations["summary"]
    page, _, anchor = annotations["runbook_url"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in [heading.lower() for heading in headings]


@pytest.mark.parametrize(
    "alert", sorted(name for name, (subject, _) in ALERTS.items() if subject != "sidecar")
)
def test_a_runbook_says_how_long_and_what_holds_while_paused(alert: str) -> None:
    subject, rule = ALERTS[alert]
    page = (ROOT / "docs" / "runbooks" / f"{subject}.md").read_text()
    section = page.split(f"## {alert}\n")[1].split("\n## ")[0]
    if "for" in rule:
        assert f"It has to be so for {rule['for']}, and is kept" in section
    assert f"is kept for {rule['keep_firing_for']} after." in section
    told = section.split("**While paused.** ")[1].split("\n\n")[0]
    assert ("the rule is masked" in told) == (alert in MASKED)
    span = re.search(r"last_over_time\(wellbeing:(?:engine_held|litellm_paused)\[(\w+)\]", rule["expr"])
    assert span is None or f"for the {span[1]} after" in told or f"for {span[1]} after" in told
    assert ("while its queue falls" in told) == (alert in SETTLING)


RATIOS = [
    ("wellbeing:vllm_answers_cut:ratio_rate5m", finished(stop=40, length=60), 0.6),
    (
        "wellbeing:vllm_answers_empty:ratio_rate5m",
        {
            f'vllm:request_generation_tokens_bucket{{{V},le="1.0"}}': each(30),
            f"vllm:request_generation_tokens_count{{{V}}}": each(100),
        },
        0.3,
    ),
    (
        "wellbeing:sglang_answer_tokens:mean_5m",
        {
            f"sglang:generation_tokens_histogram_sum{{{S}}}": each(3000),
            f"sglang:generation_tokens_histogram_count{{{S}}}": each(60),
        },
        50,
    ),
    (
        "wellbeing:tgi_answer_tokens:mean_5m",
        {
            f"tgi_request_generated_tokens_sum{{{J}}}": each(3000),
            f"tgi_request_generated_tokens_count{{{J}}}": each(60),
        },
        50,
    ),
]


@pytest.mark.parametrize(("record", "series", "value"), RATIOS)
def test_what_answers_are_like_is_recorded_above_the_traffic_floor(
    tmp_path: Path, record: str, series: Series, value: float
) -> None:
    hardly = {
        name: re.sub(r"\+([\d.]+)x", lambda m: f"+{float(m[1]) / 100:g}x", v) for name, v in series.items()
    }
    tests = []
    for told, there in ((series, [{"labels": "{}", "value": 1}]), (hardly, [])):
        test = expect("x", told, firing=False)
        test["promql_expr_test"][0] |= {
            "expr": f"count({record} > {value * 0.99} < {value * 1.01})",
            "exp_samples": there,
        }
        tests.append(test)
    done = prove(tmp_path, tests, files_of(record.split(":")[1].split("_", maxsplit=1)[0]))
    assert done.returncode == 0, done.stdout + done.stderr


def known_metrics(subject: str) -> set[str]:
    """The series families of an engine, with what a histogram has."""
    names = set()
    for line in (ROOT / "tests" / "fixtures" / "engines" / f"{subject}.tsv").read_text().splitlines():
        name, kind, *_ = line.split("\t")
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def used_metrics(expression: str) -> set[str]:
    """The metric names in a PromQL expression."""
    bare = re.sub(
        r'"[^"]*"|\[[^\]]*\]|\b(by|without|on|ignoring|group_left)\s*\([^)]*\)|\{[^}]*\}', " ", expression
    )
    words = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare))
    return {word for word in words if "_" in word or ":" in word} - FUNCTIONS


FUNCTIONS = {
    "label_join",
    "label_replace",
    "histogram_quantile",
    "last_over_time",
    "quantile_over_time",
    "count_over_time",
    "clamp_max",
}
RECORDED = {
    rule["record"]
    for groups in FILES.values()
    for group in groups
    for rule in group["rules"]
    if "record" in rule
}


def test_every_metric_of_the_sidecars_own_rules_is_documented() -> None:
    # A test of the running sidecar compares that list with what it exposes.
    told = set(re.findall(r"`(wellbeing_\w+)`", (ROOT / "docs" / "reference" / "metrics.md").read_text()))
    known = told | {f"{name}_{end}" for name in told for end in ("bucket", "sum", "count")} | RECORDED
    used = {
        name for group in FILES["sidecar"] for rule in group["rules"] for name in used_metrics(rule["expr"])
    }
    assert used - known == set()


@pytest.mark.parametrize("subject", sorted(set(FILES) - {"thresholds", "sidecar", "masks"}))
def test_every_metric_is_one_that_the_engine_has(subject: str) -> None:
    known = known_metrics(subject) | RECORDED | {"wellbeing_paused", "wellbeing_engine_paused"}
    used = {
        name for group in FILES[subject] for rule in group["rules"] for name in used_metrics(rule["expr"])
    }
    assert used - known == set()
    assert used & known_metrics(subject)


def test_every_threshold_is_used_and_every_used_one_is_there() -> None:
    there = {rule["labels"]["name"] for group in FILES["thresholds"] for rule in group["rules"]}
    text = "".join(path.read_text() for path in RULES if path.name != "thresholds.rules.yml")
    assert set(re.findall(r'wellbeing:threshold\{name="(\w+)"\}', text)) == there
