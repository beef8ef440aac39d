"""The JSON Schema of the config accepts every valid config, and finds mistakes that an editor should mark."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from sidecar.config.json_schema import json_schema
from sidecar.config.keys import Key, Section, SectionList
from sidecar.config.schema import SCHEMA, describe
from sidecar.durations import parse_duration

ROOT = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft7Validator(json_schema())


def errors(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_the_committed_schema_is_up_to_date() -> None:
    written = (ROOT / "docs" / "reference" / "config.schema.json").read_text()
    assert json.loads(written) == json_schema(), "run `make docs`"


def test_the_schema_is_valid() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("deploy/kubernetes/*/sidecar.yaml")), ids=lambda file: file.parent.name
)
def test_the_configs_of_the_manifests_are_valid(file) -> None:
    assert errors(file.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "listen: 127.0.0.1:9477",
        "listen: [127.0.0.1:9477, {address: 'unix:/run/w.sock', roles: [worker], mode: '0660'}]",
        "store: 'memory:'",
        "store: {url: 'sqlite:w.db', on_corrupt: quarantine}",
        "defaults: {max_pause_secs: 5m, wait_timeout_secs: 30, resume_ramp_per_sec: 2.5}",
        "policies: [{match: a/b, pause_on_distressed: true}]",
        "hooks: [{name: a, url: 'http://x', events: [pause], headers: {X-Key: b}, tags: [a]}]",
        "defaults: {mute_time_intervals: [night], restrict: {concerned: 3}, deny_status: 429}",
        "time_intervals: [{name: n, time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}]}]}]",
        "time_intervals: [{name: n, time_intervals: [{days_of_month: [1, '-1'], location: UTC}]}]",
        "alerts: {alertmanager_urls: 'http://127.0.0.1:9093', alert_ttl_secs: 1h30m}",
        "engines: [{scope: a, kind: vllm, url: 'http://127.0.0.1:8000'}]",
        "alerts: {rules: [{matchers: ['a=\"b\"'], state: distressed, scope: [namespace, pod]}]}",
    ],
)
def test_the_schema_accepts_every_valid_config(text) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("lisen: x", "'lisen' was unexpected"),
        ("defaults: {pause_on_distresed: true}", "'pause_on_distresed' was unexpected"),
        ("defaults: {pause_on_distressed: 'yes'}", "is not of type 'boolean'"),
        ("log_level: loud", "is not one of"),
        ("policies: [{pause_on_distressed: true}]", "'match' is a required property"),
        ("policies: {match: a}", "is not of type 'array'"),
        ("engines: [{scope: a, kind: vlm, url: 'http://x'}]", "is not one of"),
        ("defaults: {restrict: {concernd: 3}}", "'concernd' was unexpected"),
        ("defaults: {deny_status: 500}", "is not one of"),
        ("defaults: {max_pause_secs: five}", "is not valid under any"),
        ("hooks: [{name: a, url: 'http://x', events: [paus]}]", "is not one of"),
        ("alerts: {rules: [{state: distresed}]}", "is not one of"),
        ("limits: {max_waiters: many}", "is not of type 'number'"),
    ],
)
def test_the_schema_refuses_a_mistake(text, part) -> None:
    found = errors(text)
    assert [one for one in found if part in one], found


def test_every_key_is_described_with_its_default() -> None:
    rows = {row[0]: row for row in describe()}

    def walk(section: Section, schema: dict, prefix: str) -> int:
        count = 0
        for word, key in section.keys.items():
            part = schema["properties"][word]
            if isinstance(key, Key):
                assert part["description"] == rows[prefix + word][3]
                count += 1
            elif isinstance(key, SectionList):
                count += walk(key.section, part["items"], f"{prefix}{word}[].")
            else:
                count += walk(key, part["anyOf"][1] if key.short else part, f"{prefix}{word}.")
        return count

    assert walk(SCHEMA, json_schema(), "") > 100


@pytest.mark.parametrize(
    "text",
    ["90", "1.5", " 5m ", "1h30m", "1d", "250ms", "0", "", "5", "m", "5 m", "1m1h", "-5", "5x", "1.5m"],
)
def test_the_schema_and_the_sidecar_accept_the_same_durations(text) -> None:
    try:
        parse_duration(text)
    except ValueError:
        assert errors(f"defaults: {{max_pause_secs: '{text}'}}")
    else:
        assert not errors(f"defaults: {{max_pause_secs: '{text}'}}")
