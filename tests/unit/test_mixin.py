"""The mixin: with its defaults it equals ``alerts/`` and ``dashboards/``; its config changes selectors,
labels and thresholds."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from pathlib import Path

import _jsonnet
import pytest
import yaml

from deploy.mixin import marked
from harness.process import program

ROOT = Path(__file__).parents[2]
MIXIN = ROOT / "mixin" / "mixin.libsonnet"


PARTS = {"rules": "prometheusRules", "alerts": "prometheusAlerts", "dashboards": "grafanaDashboards"}


def evaluated(config: str = "{}", *parts: str) -> dict:
    """The evaluated parts of the mixin, by default all."""
    fields = ", ".join(f"{part}: m.{PARTS[part]}" for part in parts or PARTS)
    code = f"local m = (import '{MIXIN}') + {{ _config+:: {config} }};\n{{ {fields} }}"
    return json.loads(_jsonnet.evaluate_snippet("test.jsonnet", code))


@functools.cache
def default() -> dict:
    return evaluated()


def rules(made: dict) -> list[dict]:
    kinds = [kind for kind in ("rules", "alerts") if kind in made]
    return [rule for kind in kinds for group in made[kind]["groups"] for rule in group["rules"]]


def by_name(groups: list[dict]) -> list[tuple[str, str]]:
    return sorted(
        (group["name"], json.dumps(rule, sort_keys=True)) for group in groups for rule in group["rules"]
    )


def shipped() -> list[dict]:
    return [
        group
        for path in sorted((ROOT / "alerts").glob("*.rules.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
    ]


def test_the_default_mixin_has_the_shipped_rules() -> None:
    made = default()
    assert by_name(made["rules"]["groups"] + made["alerts"]["groups"]) == by_name(shipped())


def test_recorded_series_keep_their_order() -> None:
    """A rule may use a series that an earlier rule of its group has recorded."""
    wanted = {
        group["name"]: [rule["record"] for rule in group["rules"] if "record" in rule] for group in shipped()
    }
    for group in default()["rules"]["groups"]:
        if group["name"] != "wellbeing-thresholds":
            assert [rule["record"] for rule in group["rules"]] == wanted[group["name"]]


def test_the_default_mixin_has_the_shipped_dashboards() -> None:
    assert default()["dashboards"] == {
        path.name: json.loads(path.read_text()) for path in (ROOT / "dashboards").glob("*.json")
    }


def checked(made: dict, folder: Path) -> None:
    files = []
    for kind in ("rules", "alerts"):
        files.append(folder / f"{kind}.yml")
        files[-1].write_text(json.dumps(made[kind]))
    done = subprocess.run(
        [program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *map(str, files)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


EVERYTHING = """{
  selectors: { vllm: 'job="a",x=~"b.+"', sglang: 'job="a"', tgi: 'job="a"', llamacpp: 'job="a"', triton: 'job="a"', litellm: 'job="a"', sidecar: 'job="s"' },
  multiCluster: true, clusterLabel: 'region', runbookURLPrefix: 'https://example.com/', dashboardTags: ['a', 'b'],
  thresholds+: { requests_waiting: 7, error_ratio: 0.05, queue_seconds: 'max(queue_slo)' },
}"""


@functools.cache
def changed() -> dict:
    return evaluated(EVERYTHING)


@pytest.mark.parametrize("made", [default, changed])
def test_promtool_accepts_the_rules_of_the_mixin(tmp_path: Path, made) -> None:
    checked(made(), tmp_path)
    assert "@@" not in json.dumps(made())


def test_a_selector_is_in_every_series_of_its_source() -> None:
    for rule in rules(changed()):
        for prefix, job in (("vllm:", 'job="a",x=~"b.+"'), ("tgi_", 'job="a"'), ("wellbeing_", 'job="s"')):
            for found in re.finditer(rf"(?<![\w:\"]){prefix}\w+(.{{,30}})", rule["expr"]):
                assert found[1].startswith(f"{{{job}"), found[0]


def test_thresholds_are_numbers_or_expressions() -> None:
    found = {
        rule["labels"]["name"]: rule["expr"]
        for rule in rules(changed())
        if rule.get("record") == "wellbeing:threshold"
    }
    assert found["requests_waiting"] == "vector(7)"
    assert found["error_ratio"] == "vector(0.05)"
    assert found["queue_seconds"] == "max(queue_slo)"
    assert found["traffic_floor"] == "vector(0.05)"


def test_runbooks_and_tags_are_as_configured() -> None:
    alerts = [rule for rule in rules(changed()) if "alert" in rule]
    assert all(
        rule["annotations"]["runbook_url"].startswith("https://example.com/docs/runbooks/") for rule in alerts
    )
    assert all(one["tags"] == ["a", "b"] for one in changed()["dashboards"].values())


def test_dashboards_read_the_label_of_the_cluster() -> None:
    text = json.dumps(changed()["dashboards"])
    assert "cluster=~" not in text
    assert 'region=~\\"$cluster\\"' in text
    assert 'label_values(wellbeing_build_info{job=\\"s\\"}, region)' in text


def test_an_excluded_engine_has_no_rules() -> None:
    text = json.dumps(rules(evaluated("{ engines: ['vllm'] }", "alerts")))
    assert "VllmStuck" in text
    assert "Sglang" not in text
    assert "WellbeingBlind" in text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{ thresholds+: { requests_wating: 1 } }", "thresholds has unknown names: requests_wating"),
        ("{ selectors+: { vlm: 'a=\"b\"' } }", "selectors has unknown names: vlm"),
        ("{ engines: ['vlm'] }", "engines has unknown names: vlm"),
    ],
)
def test_an_unknown_name_is_an_error(config: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        evaluated(config, "rules")


CLUSTERS = """
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'vllm:num_requests_running{job="a",x="b1",region="east",instance="h:8000",namespace="n",model_name="m",pod="p"}', values: 0x10}
      - {series: 'vllm:num_requests_running{job="a",x="b1",region="west",instance="h:8000",namespace="n",model_name="m",pod="p"}', values: 0x10}
      - {series: 'wellbeing_engine_paused{job="s",region="east",instance="h:9478",namespace="n",pod="p",scope="n/m/p"}', values: 1x10}
    promql_expr_test:
      - expr: count by (region) (wellbeing:engine_info)
        eval_time: 5m
        exp_samples: [{labels: '{region="east"}', value: 1}, {labels: '{region="west"}', value: 1}]
      - expr: count by (region) (wellbeing:engine_held)
        eval_time: 5m
        exp_samples: [{labels: '{region="east"}', value: 1}]
"""


def test_a_pause_masks_only_engines_of_its_own_cluster(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(json.dumps(changed()["rules"]))
    (tmp_path / "test.yml").write_text(CLUSTERS)
    command = [program("promtool"), "test", "rules", "test.yml"]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("vllm:a > 0", "vllm:a@@{vllm}@@ > 0"),
        ('tgi_a{x="}"}[5m] offset 15m', 'tgi_a{@@tgi,@@x="}"}[5m] offset 15m'),
        ("nv_a{}", "nv_a@@{triton}@@"),
        ('sum by (vllm_x) (rate(sglang:a{b="vllm:c"}[5m]))', 'sum by (@@cluster,@@vllm_x) (rate(sglang:a{@@sglang,@@b="vllm:c"}[5m]))'),
        ("a and on (wellbeing_scope) b or on () vector(0)", "a and on (@@cluster,@@wellbeing_scope) b or on () vector(0)"),
        ("sum without (engine) (up)", "sum without (engine) (up)"),
        ('label_replace(wellbeing:x, "a", "$1 wellbeing_y", "b", ".+")', 'label_replace(wellbeing:x, "a", "$1 wellbeing_y", "b", ".+")'),
    ],
)  # fmt: skip
def test_placeholders_are_inserted_where_the_config_applies(expression: str, expected: str) -> None:
    assert marked(expression, clusters=True) == expected
