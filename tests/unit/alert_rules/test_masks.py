"""Which sidecar's pause masks which engine, for all combinations of labels of engines, scopes and
sidecars."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.rules import ALERTS, FILES, MASKED, run_tests
from sidecar.alerts import Alert, RuleSet
from sidecar.alerts.rules import RuleMatch
from sidecar.backtest.templates import AlertData, Template
from sidecar.core.scope import ancestors_of

Series = dict[str, str]

# A series of each engine.
HERE = {
    "vllm": 'vllm:num_requests_running{namespace="ns",model_name="m",pod="p",job="j",instance="i",engine="0"}',
    "sglang": 'sglang:num_running_reqs{namespace="ns",model_name="m",pod="p",job="j",instance="i",tp_rank="0"}',
    "tgi": 'tgi_queue_size{namespace="ns",job="j",instance="i"}',
    "llamacpp": 'llamacpp:requests_processing{namespace="ns",job="j",instance="i"}',
    "triton": 'nv_inference_pending_request_count{namespace="ns",model="m",version="1",job="j",instance="i"}',
    "dynamo": 'dynamo_frontend_queued_requests{namespace="ns",model="m",job="j",instance="i"}',
    "litellm": 'litellm_deployment_state{namespace="ns",litellm_model_name="m",job="j",instance="i",model_id="1"}',
}


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
    # vLLM and SGLang that were started with a path use the path as the model's name.
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
    """``series`` with the labels of an engine at ``place``."""
    models = ("model_name", "model", "litellm_model_name")
    model = {name: place.model for name in labels_of(series) if name in models}
    return relabelled(series, namespace=place.namespace, pod=place.pod, **model)


def scope_of(alert: str, place: Place) -> str:
    """The scope to which the sidecar maps the alert's labels."""
    subject, rule = ALERTS[alert]
    labels = labels_of(at(place, HERE[subject]))
    for name in ("model", "model_group"):
        labels.setdefault(name, labels.get("litellm_model_name", ""))
    text = rule["labels"]["wellbeing_scope"]
    text = Template.parse(text).fill(AlertData(labels, 1.0, {}))
    labels = {"alertname": "A", "wellbeing": "distressed", "wellbeing_scope": text}
    found = RuleSet().match(
        Alert(firing=True, labels=labels, annotations={}, starts_at=0.0, ends_at=None, fingerprint="f")
    )
    assert isinstance(found, RuleMatch), text
    return found.scope


def up_to_the_root(scope: str) -> list[str]:
    return [scope, *ancestors_of(scope)]


# Each series that shows a paused engine, and the series that a rule records from it.
MASKS = [
    *(
        (subject, "wellbeing_engine_paused", "wellbeing:engine_held")
        for subject in HERE
        if subject != "litellm"
    ),
    *((subject, "wellbeing_paused", "wellbeing:engine_shut") for subject in HERE if subject != "litellm"),
    ("litellm", "wellbeing_paused", "wellbeing:litellm_paused"),
]
MANY_MODELS = ("dynamo", "triton")
"""Engines that serve many models in one pod."""
ENGINE_MASKS = [one for one in MASKS if one[0] != "litellm"]


@dataclass(frozen=True)
class MaskCase:
    """A sidecar's series for a scope, and the other series of the case."""

    place: Place
    scope: str
    sidecar: Series = field(default_factory=dict)
    also: Series = field(default_factory=dict)


def scopes_of(subject: str, place: Place) -> list[str]:
    """All scopes that the subject's masked alerts have at a place."""
    return sorted({scope_of(alert, place) for alert in MASKED if ALERTS[alert][0] == subject})


def found(tmp_path: Path, told: tuple[str, str, str], cases: list[MaskCase], *, there: bool) -> None:
    """Whether the rules record the engine of each case as paused."""
    subject, metric, record = told
    groups = [group for one in (subject, "masks") for group in FILES[one]]
    # The alerts and their thresholds are not needed here.
    groups = [group for group in groups if group["name"].endswith(("-engine", "-masks"))]
    tests = []
    for one in cases:
        engine = at(one.place, HERE[subject])
        labels = labels_of(engine)
        by = ("litellm_model_name",) if subject == "litellm" else ("instance", "model")
        asked = ",".join(f'{name}="{labels[name]}"' for name in by if name in labels)
        gate = relabelled(metric, **{"instance": "g:9477", "job": "gate", **one.sidecar}, scope=one.scope)
        series = {engine: "1x1", **one.also, gate: "1x1"}
        samples = [{"labels": "{}", "value": 1}] if there else []
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {"expr": f"count({record}{{{asked}}})", "eval_time": "1m", "exp_samples": samples}
                ],
            }
        )
    run_tests(tmp_path, groups, tests, "1m")


def in_pod(place: Place) -> Series:
    return {"namespace": place.namespace, "pod": place.pod}


@pytest.mark.parametrize("told", MASKS, ids="-".join)
def test_a_pause_of_the_alerts_scope_or_a_parent_masks_it(tmp_path: Path, told: tuple) -> None:
    cases = [
        MaskCase(place, scope, sidecar)
        for place in PLACES
        for own in scopes_of(told[0], place)
        for scope in up_to_the_root(own)[:-1]
        for sidecar in ({}, {"namespace": "other", "pod": "gate"})
    ]
    found(tmp_path, told, cases, there=True)


@pytest.mark.parametrize("told", MASKS, ids="-".join)
def test_a_pause_by_the_sidecar_in_the_same_pod_masks_the_alert(tmp_path: Path, told: tuple) -> None:
    cases = [MaskCase(place, "", {"instance": "i:9477"}) for place in PLACES]
    for place in (one for one in PLACES if one.pod):
        cases += [
            MaskCase(place, scope, in_pod(place))
            for own in scopes_of(told[0], place)
            for scope in up_to_the_root(own)
        ]
        if told[2] == "wellbeing:engine_held" and told[0] not in MANY_MODELS:
            # The scope may have any name, also a converted one.
            cases.append(MaskCase(place, "x~0123abcd", in_pod(place)))
    found(tmp_path, told, cases, there=True)


@pytest.mark.parametrize("told", [one for one in MASKS if one[2] == "wellbeing:engine_held"], ids="-".join)
def test_a_pause_of_the_root_by_a_central_gate_masks_alerts_in_the_gates_namespace(
    tmp_path: Path, told: tuple
) -> None:
    inside = [place for place in PLACES if place.namespace]
    found(
        tmp_path,
        told,
        [MaskCase(place, "", {"namespace": "ns", "pod": "gate"}) for place in inside],
        there=True,
    )
    found(
        tmp_path,
        told,
        [MaskCase(place, "", {"namespace": "no", "pod": "gate"}) for place in inside],
        there=False,
    )


@pytest.mark.parametrize("told", MASKS, ids="-".join)
def test_a_pause_on_another_host_or_of_another_scope_masks_nothing(tmp_path: Path, told: tuple) -> None:
    cases = [
        MaskCase(place, "", {"instance": host}) for place in PLACES for host in ("g:9477", "ii:9477", "g")
    ]
    for place in PLACES:
        (*_, own) = scopes_of(told[0], place)
        cases += [MaskCase(place, scope) for scope in (f"{own}/below", f"{own}x", f"x/{own}")]
    # The pause of an agent in the engine's pod masks nothing either.
    if told[2] == "wellbeing:engine_shut":
        cases += [MaskCase(place, "x", in_pod(place)) for place in PLACES if place.pod]
    found(tmp_path, told, cases, there=False)


@pytest.mark.parametrize("told", ENGINE_MASKS, ids="-".join)
def test_the_sidecar_in_another_engines_pod_masks_only_that_engine(tmp_path: Path, told: tuple) -> None:
    cases = []
    for place in PLACES:
        other = {"namespace": place.namespace, "pod": "another"}
        another = relabelled(at(place, HERE[told[0]]), **other, instance="k")
        cases += [
            MaskCase(place, scope, other, {another: "1x1"})
            for own in scopes_of(told[0], place)
            for scope in up_to_the_root(own)
        ]
    found(tmp_path, told, cases, there=False)


@pytest.mark.parametrize("told", [one for one in MASKS if one[0] in MANY_MODELS], ids="-".join)
def test_a_pause_of_another_model_of_the_same_server_masks_nothing(tmp_path: Path, told: tuple) -> None:
    cases = []
    for place in PLACES:
        other = Place(place.namespace, place.pod, "other")
        (scope,) = scopes_of(told[0], other)
        also = {at(other, HERE[told[0]]): "1x1"}
        cases += [MaskCase(place, scope, sidecar, also) for sidecar in ({}, in_pod(place))]
    found(tmp_path, told, cases, there=False)


def test_a_paused_pod_masks_alerts_of_its_model_at_the_proxy_and_a_paused_agent_does_not(
    tmp_path: Path,
) -> None:
    told = MASKS[-1]
    also = {'up{job="e",instance="e:8000",namespace="ns",pod="pod-1"}': "1x1"}
    pods, others = [], []
    for place in PLACES:
        (own,) = scopes_of("litellm", place)
        for sidecar in ({}, {"namespace": "ns", "pod": "pod-1"}, {"namespace": "ns", "pod": "gate"}):
            pods.append(MaskCase(place, f"{own}/pod-1", sidecar, also))
            others.append(MaskCase(place, f"{own}/agent-7", sidecar, also))
            # A pod whose series have no model name.
            others.append(MaskCase(place, "ns/pod-1", sidecar, also))
    found(tmp_path, told, pods, there=True)
    found(tmp_path, told, others, there=False)
