"""Backtests with a real Prometheus that has a week with known incidents."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from harness.backfill import BackfilledPrometheus, write_blocks
from harness.backtest_command import backtest, config_file, iso, report, rule_file, spans
from harness.get_server import GetServer
from harness.monitoring import Alertmanager, Target
from harness.ports import free_port
from harness.process import program
from harness.tls import certify
from sidecar.backtest.prometheus import PrometheusApi
from sidecar.backtest.rule_evaluation import Grid, evaluate_rule
from sidecar.backtest.rule_files import read_rule_files

ROOT = Path(__file__).parents[2]
WEEK = 7 * 86_400
MINUTE = 60
PAUSES = {"defaults": {"pause_on_distressed": True, "max_pause_secs": 0}}


DISTRESSED = {
    "alert": "Distressed",
    "expr": "engine_distress == 1",
    "for": "5m",
    "labels": {"severity": "critical", "wellbeing_scope": "team/{{ $labels.agent }}"},
    "annotations": {"summary": "{{ $labels.agent }} is at {{ $value }}"},
}


class History:
    """A week of two agents with a sample per minute. ``a`` has four incidents, ``b`` has none.

    Attributes:
        troubles: the start and the end of each incident.
    """

    def __init__(self, folder: Path) -> None:
        self.end = int(time.time()) // 3600 * 3600
        self.start = self.end - WEEK
        begins = [
            self.start + 86_400,
            self.start + 2 * 86_400,
            self.start + 2 * 86_400 + 4_200,
            self.end - 1_800,
        ]
        lengths = [3_600, 3_600, 240, 3_600]
        self.troubles = [(began, began + length) for began, length in zip(begins, lengths, strict=True)]
        points = range(self.start - 7_200, self.end + MINUTE, MINUTE)
        write_blocks(
            folder,
            {
                'engine_distress{agent="a"}': [
                    (at, int(any(began <= at < ended for began, ended in self.troubles))) for at in points
                ],
                'engine_distress{agent="b"}': [(at, 0) for at in points],
                'up{job="engine"}': [(at, 1) for at in points],
                # The series that a loaded rule would have written, without stale markers.
                'ALERTS{alertname="Slow",alertstate="firing",severity="critical",wellbeing_scope="team/b"}': [
                    (at, 1) for at in points if self.troubles[0][0] <= at < self.troubles[0][1]
                ],
            },
        )
        self.range = ("--since", iso(self.start), "--until", iso(self.end))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BackfilledPrometheus, History]]:
    folder = tmp_path_factory.mktemp("history")
    written = History(folder)
    config = {"global": {"evaluation_interval": "15s", "external_labels": {"cluster": "east"}}}
    with BackfilledPrometheus(folder, config) as prometheus:
        yield prometheus, written


def test_a_week_with_known_alerts_gives_the_expected_pauses(history, tmp_path: Path) -> None:
    prometheus, week = history
    config = config_file(tmp_path, "a.yaml", PAUSES)
    rules = rule_file(tmp_path, DISTRESSED)
    found = report("--prometheus", prometheus.url, "--rules", rules, "--config", config, *week.range)
    [result] = found["configs"]
    # Five minutes of `for` and half a minute of group_wait. The resolve is sent at the group's next interval.
    # The third incident is shorter than `for`, and the last one has not ended.
    wait = 300 + 30
    expected = [
        (week.troubles[0][0] + wait, week.troubles[0][0] + wait + 11 * 300, "recovered"),
        (week.troubles[1][0] + wait, week.troubles[1][0] + wait + 11 * 300, "recovered"),
        (week.troubles[3][0] + wait, None, None),
    ]
    assert spans(result) == expected
    [scope] = result["scopes"]
    assert (scope["scope"], scope["pauses"], scope["flaps"]) == ("team/a", 3, 0)
    assert scope["paused_secs"] == 2 * 3_300 + 1_470
    assert scope["longest_secs"] == 3_300
    assert scope["share"] == pytest.approx((2 * 3_300 + 1_470) / WEEK, abs=1e-5)
    assert scope["by_alert"] == [{"alertname": "Distressed", "pauses": 3, "paused_secs": 2 * 3_300 + 1_470}]
    assert result["pauses"][0]["reason"] == "a is at 1"
    assert result["pauses"][0]["labels"]["cluster"] == "east"
    # 40,000 points per series are more than Prometheus returns at once.
    assert prometheus.refused_queries() == 0


def test_firing_alerts_are_read_from_the_series_alerts(history, tmp_path: Path) -> None:
    prometheus, week = history
    config = config_file(tmp_path, "a.yaml", PAUSES)
    [result] = report("--prometheus", prometheus.url, "--config", config, *week.range, "--group-wait", "0s")[
        "configs"
    ]
    [(began, ended, cause)] = spans(result)
    assert (began, cause) == (week.troubles[0][0], "recovered")
    # Without a stale marker, Prometheus returns a sample for five minutes; then the next group interval
    # follows.
    assert ended is not None
    assert 0 <= ended - week.troubles[0][1] <= 300 + 300
    assert [one["alertname"] for one in result["pauses"]] == ["Slow"]


def test_the_report_says_why_an_alert_has_no_effect(history, tmp_path: Path) -> None:
    prometheus, week = history
    rules = rule_file(tmp_path, {**DISTRESSED, "labels": {"severity": "critical"}})
    arguments = ("--prometheus", prometheus.url, "--rules", rules, *week.range)
    done = backtest(*arguments)
    assert "ignore every alert that fired (it has no label wellbeing_scope)" in done.stdout
    [alert] = report(*arguments)["configs"][0]["alerts"]
    assert (alert["state"], alert["ignored"]) == (None, "it has no label wellbeing_scope")


def test_keep_firing_for_joins_firing_periods(history, tmp_path: Path) -> None:
    prometheus, week = history
    rules = rule_file(tmp_path, {**DISTRESSED, "for": "0s", "keep_firing_for": "15m"})
    found = report("--prometheus", prometheus.url, "--rules", rules, *week.range)
    periods = [alert["firings"] for alert in found["configs"][0]["alerts"]]
    assert periods == [3]


def test_several_policies_are_compared_over_the_same_week(history, tmp_path: Path) -> None:
    prometheus, week = history
    first = config_file(tmp_path, "a.yaml", PAUSES)
    second = config_file(
        tmp_path, "b.yaml", {"defaults": {"pause_on_distressed": True, "max_pause_secs": 600}}
    )
    rules = rule_file(tmp_path, DISTRESSED)
    page = tmp_path / "report.html"
    arguments = (
        "--prometheus",
        prometheus.url,
        "--rules",
        rules,
        "--config",
        first,
        "--config",
        second,
        *week.range,
    )
    done = backtest(*arguments, "--html", page)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^pauses +3 +3$", done.stdout, re.MULTILINE)
    assert re.search(r"^defaults.max_pause_secs +0 +600$", done.stdout, re.MULTILINE)
    assert page.read_text().count("<svg") == 1
    one, other = report(*arguments)["configs"]
    assert [cause for *_, cause in spans(other)] == ["max_pause"] * 3
    assert other["scopes"][0]["paused_secs"] == 1_800 < one["scopes"][0]["paused_secs"]


def test_a_policy_that_only_observes_is_reported_as_if_it_paused(history, tmp_path: Path) -> None:
    prometheus, week = history
    arguments = ("--prometheus", prometheus.url, "--rules", rule_file(tmp_path, DISTRESSED), *week.range)
    assumed = backtest(*arguments)
    assert "This config only observes." in assumed.stdout
    assert re.search(r"^team/a \* +3 ", assumed.stdout, re.MULTILINE)
    as_it_is = backtest(*arguments, "--no-assume-pause")
    assert "Nothing was paused" in as_it_is.stdout
    assert report(*arguments, "--no-assume-pause")["configs"][0]["pauses"] == []


def assert_promtool_finds(
    firing: dict[int, list[dict[str, Any]]], rules: Path, points: dict[str, list[Any]], folder: Path
) -> None:
    """promtool's evaluation of ``rules`` on ``points`` has the alerts ``firing`` at each minute."""
    test = {
        "interval": "1m",
        "input_series": [
            {"series": series, "values": " ".join(str(number) for _, number in samples)}
            for series, samples in points.items()
        ],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": "Loaded", "exp_alerts": alerts}
            for minute, alerts in firing.items()
        ],
    }
    path = folder / "test.yml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]})
    )
    command = [program("promtool"), "test", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_fire_as_in_prometheus(history, tmp_path: Path) -> None:
    """Compares the firing alerts of each minute, with labels and annotations, with promtool's evaluation."""
    patterns = {
        "a": "0011111000110111100000111",
        "b": "1110000000001111111111100",
        "c": "0101010011100111101110000",
    }
    end = int(time.time()) // 3600 * 3600
    start = end - 3_600
    value = 1234567.5
    folder = tmp_path / "own"
    folder.mkdir()
    points = {
        f'load{{pod="{pod}"{labels}}}': [
            (start + minute * MINUTE, value * int(on)) for minute, on in enumerate(pattern)
        ]
        for (pod, pattern), labels in zip(patterns.items(), ("", ',ns="team"', ',ns="x y"'), strict=True)
    }
    write_blocks(folder, points)
    rule = {
        "alert": "Loaded",
        "expr": "load > 1",
        "for": "2m",
        "keep_firing_for": "90s",
        "labels": {
            "severity": "critical",
            "wellbeing_scope": "{{ with $labels.ns }}{{ . }}/{{ end }}{{ $labels.pod }}",
        },
        "annotations": {
            "summary": "{{ $value }}|{{ $value | humanize }}|{{ humanize1024 $value }}|{{ humanizeDuration .Value }}|"
            '{{ humanizePercentage $value }}|{{ printf "%.2f %s" $value $labels.pod }}|{{ if $labels.ns }}y{{ else }}n{{ end }}'
        },
    }
    rules = rule_file(tmp_path, rule, interval="1m")
    minutes = range(len(patterns["a"]))
    with BackfilledPrometheus(folder) as prometheus:
        [parsed], _ = read_rule_files([rules])
        grid = Grid(start * 1000, (start + minutes[-1] * MINUTE) * 1000, 60_000)
        found = evaluate_rule(PrometheusApi(prometheus.url), parsed, grid, {}, lambda _: None)
    assert len(found) == 6
    firing = {
        minute: [
            {
                "exp_labels": {k: v for k, v in one.labels.items() if k != "alertname"},
                "exp_annotations": one.annotations,
            }
            for one in found
            if one.starts_at <= (start + minute * MINUTE) * 1000 < (one.ends_at or float("inf"))
        ]
        for minute in minutes
    }
    # An alert kept by `keep_firing_for` has the value of its last sample; all samples above 1 are equal.
    assert_promtool_finds(firing, rules, points, tmp_path)


# -- refused commands --------------------------------------------------------------------------------


def refused(done: subprocess.CompletedProcess[str], status: int) -> str:
    """The error message of a failed command."""
    assert done.returncode == status, (done.returncode, done.stderr, done.stdout)
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("wellbeing-sidecar: ")
    return line


def test_an_unreachable_prometheus_is_reported_in_one_sentence(history) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert "nothing listens there" in refused(backtest("--prometheus", f"http://{address}"), 1)
    assert "must be http://" in refused(backtest("--prometheus", address), 2)
    assert "no host is named" in refused(backtest("--prometheus", "http://nowhere.invalid:9090"), 1)
    prometheus, _ = history
    assert "answered 404" in refused(backtest("--prometheus", prometheus.url + "/elsewhere"), 1)
    https = prometheus.url.replace("http:", "https:")
    assert "does not speak TLS" in refused(backtest("--prometheus", https), 1)


def test_a_server_that_is_not_prometheus_is_recognised() -> None:
    with Target() as target:
        line = refused(backtest("--prometheus", f"http://{target.address}"), 1)
    assert "not as a Prometheus does" in line


def test_required_credentials_are_requested_and_used(tmp_path: Path) -> None:
    now = int(time.time())
    write_blocks(tmp_path, {"up": [(now - 60 * minute, 1) for minute in range(60, 0, -1)]})
    password = tmp_path / "password"
    password.write_text(Alertmanager.PASSWORD + "\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("guess")
    certify(tmp_path)
    with BackfilledPrometheus(tmp_path, secured=tmp_path) as prometheus:
        arguments = ("--prometheus", prometheus.url, "--since", "1h")
        assert "is not trusted" in refused(backtest(*arguments), 1)
        http = prometheus.url.replace("https:", "http:")
        assert "https://" in refused(backtest("--prometheus", http), 1)
        arguments = (*arguments, "--ca-file", tmp_path / "cert.pem")
        assert "wants credentials (401)" in refused(backtest(*arguments), 1)
        given = ("--username", Alertmanager.USER, "--password-file")
        assert "does not accept the credentials" in refused(backtest(*arguments, *given, wrong), 1)
        assert report(*arguments, *given, password)["configs"][0]["pauses"] == []
        assert "cannot be read" in refused(backtest(*arguments, *given, tmp_path / "none"), 2)
        assert "must be given together" in refused(backtest(*arguments, "--username", "a"), 2)
        assert "cannot both be given" in refused(
            backtest(*arguments, *given, password, "--token-file", wrong), 2
        )


class TokenProxy(GetServer):
    """A proxy in front of a Prometheus that requires a bearer token, as in many clusters."""

    def __init__(self, prometheus: str, token: str) -> None:
        super().__init__()
        self._prometheus, self._token = prometheus, token

    def respond(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if headers.get("Authorization") != f"Bearer {self._token}":
            return 401, b"who are you?"
        answer = requests.get(self._prometheus + path, timeout=30)
        return answer.status_code, answer.content


def test_a_bearer_token_is_sent(history, tmp_path: Path) -> None:
    prometheus, week = history
    token = tmp_path / "token"
    token.write_text("sesame\n")
    with TokenProxy(prometheus.url, "sesame") as proxy:
        assert "wants credentials (401)" in refused(backtest("--prometheus", proxy.url, *week.range), 1)
        assert report("--prometheus", proxy.url, *week.range, "--token-file", token)["notes"] == []


def test_a_range_without_data_is_reported(history) -> None:
    prometheus, _week = history
    line = refused(backtest("--prometheus", prometheus.url, "--since", "60d", "--until", "50d"), 1)
    assert "has no data between" in line
    assert "must be before" in refused(
        backtest("--prometheus", prometheus.url, "--since", "1h", "--until", "2h"), 2
    )


def test_a_range_without_firing_alerts_is_not_an_error(history) -> None:
    prometheus, week = history
    later = iso(week.troubles[0][1] + 86_400)
    done = backtest("--prometheus", prometheus.url, "--since", later)
    assert done.returncode == 0
    assert "no alert fired in this range" in done.stdout
    assert "Nothing would have been paused" in done.stdout


def test_data_that_begins_after_the_range_is_reported(history) -> None:
    prometheus, _week = history
    found = report("--prometheus", prometheus.url, "--since", "20d")
    assert any("has no scrapes before" in note for note in found["notes"])


def test_a_wrong_rule_is_reported_with_its_line(history, tmp_path: Path) -> None:
    prometheus, week = history
    arguments = ("--prometheus", prometheus.url, *week.range, "--rules")

    def says(status: int, **members) -> str:
        return refused(backtest(*arguments, rule_file(tmp_path, {**DISTRESSED, **members})), status)

    assert re.search(
        r"rules.yml:\d+: the alert 'Distressed': expr: .*parse error", says(1, expr="engine_distress ==")
    )
    assert "the alert 'Distressed': expr: " in says(1, expr='"text"')
    assert re.search(
        r"rules.yml:\d+: the alert 'Distressed': labels.x: \{\{ query",
        says(2, labels={"x": '{{ query "up" }}'}),
    )
    assert "the alert 'Distressed': annotations.summary: " in says(
        2, annotations={"summary": "{{ range x }}"}
    )
    assert "for: must be" in says(2, **{"for": "soon"})
    assert "the same labels" in says(1, expr="engine_distress >= 0", labels={"agent": "one"})
    assert "No such file" in refused(backtest(*arguments, tmp_path / "none.yml"), 2)


def test_an_unsupported_annotation_is_an_error_only_if_a_reason_uses_it(history, tmp_path: Path) -> None:
    prometheus, week = history
    rules = rule_file(tmp_path, {**DISTRESSED, "annotations": {"description": '{{ query "up" }}'}})
    found = report("--prometheus", prometheus.url, *week.range, "--rules", rules)
    assert any("annotations.description" in note and "'Distressed'" in note for note in found["notes"])
    config = {"alerts": {"rules": [{"state": "distressed", "reason": "{annotations.description}"}]}}
    used = config_file(tmp_path, "used.yaml", config)
    done = backtest("--prometheus", prometheus.url, *week.range, "--rules", rules, "--config", used)
    assert "annotations.description" in refused(done, 2)


def test_a_missing_recorded_series_is_named(history, tmp_path: Path) -> None:
    prometheus, week = history
    record = {"record": "engine:distress:max", "expr": "max by (agent) (engine_distress)"}
    above = {"record": "engine:distress:double", "expr": "2 * engine:distress:max"}
    for expression, name in (("engine:distress:max > 0", "max"), ("engine:distress:double > 0", "double")):
        rules = rule_file(tmp_path, record, above, {**DISTRESSED, "expr": expression})
        line = refused(backtest("--prometheus", prometheus.url, *week.range, "--rules", rules), 1)
        assert f"does not have the recorded series engine:distress:{name} (" in line
        assert "the alert 'Distressed' needs" in line


def test_a_recorded_series_that_would_be_empty_is_not_reported_as_missing(history, tmp_path: Path) -> None:
    prometheus, week = history
    record = {"record": "engine:none", "expr": "engine_distress > 5"}
    rules = rule_file(tmp_path, record, {**DISTRESSED, "expr": "engine:none > 0"})
    found = report("--prometheus", prometheus.url, *week.range, "--rules", rules)
    assert found["configs"][0]["pauses"] == []
    assert any("has no series engine:none" in note for note in found["notes"])


def test_a_bad_config_is_reported_in_one_message(history, tmp_path: Path) -> None:
    prometheus, _ = history
    missing = backtest("--prometheus", prometheus.url, "--config", tmp_path / "none.yaml")
    assert missing.returncode == 2
    assert "none.yaml: cannot be read" in missing.stderr
    bad = backtest(
        "--prometheus", prometheus.url, "--config", config_file(tmp_path, "bad.yaml", {"defalts": {}})
    )
    assert bad.returncode == 2
    assert "did you mean defaults" in bad.stderr
    assert "Traceback" not in missing.stderr + bad.stderr


def test_an_html_file_that_cannot_be_written_is_refused_before_the_first_query(
    history, tmp_path: Path
) -> None:
    prometheus, _ = history
    line = refused(backtest("--prometheus", prometheus.url, "--html", tmp_path / "no" / "page.html"), 2)
    assert "--html" in line
    assert "it is a directory" in refused(backtest("--prometheus", prometheus.url, "--html", tmp_path), 2)


# -- the docs ---------------------------------------------------------------------------------------


def test_the_tutorials_commands_work(history, tmp_path: Path) -> None:
    prometheus, _week = history
    page = (ROOT / "docs/tutorial/would-it-have-helped.md").read_text()
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", page, re.DOTALL):
        (tmp_path / name).write_text(text)
    commands = re.findall(r"^wellbeing-sidecar backtest.*?(?<!\\)$", page, re.DOTALL | re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        words = command.replace("\\\n", " ").split()[2:]
        words = [prometheus.url if word == "http://prometheus:9090" else word for word in words]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "sidecar", "backtest", *words],
            capture_output=True, text=True, cwd=tmp_path, env=environ, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
    assert "<svg" in (tmp_path / "report.html").read_text()
