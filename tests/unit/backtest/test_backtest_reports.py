from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

from sidecar.backtest.limits import LimitSummary, RecordedLimit
from sidecar.backtest.report_html import html_report
from sidecar.backtest.report_json import json_report
from sidecar.backtest.report_text import text_report
from sidecar.backtest.summary import (
    AlertSummary,
    BacktestReport,
    ConfigResult,
    ScopeSummary,
    TimedPause,
)
from sidecar.core.state import WellbeingState

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e]]>"
VOID = {"meta", "br"}


def result(name: str, *, advised: bool = False, limit: str = "300", alertname: str = "A") -> ConfigResult:
    pauses = (
        TimedPause(
            "team/a",
            1_000.0,
            1_300.0,
            300.0,
            "max_pause",
            alertname,
            {"alertname": alertname},
            HOSTILE,
            False,
            advised,
        ),
        TimedPause("team/a", 9_000.0, None, 1_000.0, "", alertname, {}, "why", True, advised),
    )
    states = (
        (0.0, WellbeingState.HEALTHY),
        (1_000.0, WellbeingState.DISTRESSED),
        (2_000.0, WellbeingState.HEALTHY),
    )
    scope = ScopeSummary(
        "team/a", advised, 2, 1_300.0, 1_000.0, 1, 1, 0.13, {alertname: (2, 1_300.0)}, states
    )
    alert = AlertSummary(alertname, 2, 5_000.0, WellbeingState.DISTRESSED, ("team/a",), 2)
    ignored = AlertSummary("Ignored", 1, 5.0, None, (), 0, "no rule matches it")
    settings = {"defaults.max_pause_secs": limit, "defaults.min_pause_secs": "0"}
    return ConfigResult(name, settings, advised, (scope,), pauses, (alert, ignored), ("a note",))


def report(*results: ConfigResult) -> BacktestReport:
    return BacktestReport("http://prometheus", "ALERTS", 0.0, 10_000.0, 15.0, results, ("another note",))


class Strict(HTMLParser):
    """Fails on a tag that is not closed, and records all tags and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_html_needs_no_script_and_no_other_host() -> None:
    page = html_report(report(result("a.yaml"), result("b.yaml", limit="0")))
    seen = Strict(page)
    assert not {"script", "link", "img", "iframe", "object", "a"} & set(seen.tags)
    names = {name for name, _ in seen.attributes}
    assert not {"src", "href", "style"} & names
    assert not [name for name in names if name.startswith("on")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in seen.attributes
    assert not re.search(r"url\(|@import", page)


def test_texts_of_alerts_are_escaped_in_the_html() -> None:
    page = html_report(report(result(HOSTILE, alertname=HOSTILE)))
    assert "<script" not in page
    assert any("<script>alert(1)</script>" in text for text in Strict(page).text)


def test_a_timeline_has_a_lane_for_each_config_and_a_bar_for_each_pause() -> None:
    page = html_report(report(result("a.yaml"), result("b.yaml", advised=True)))
    assert page.count("<svg") == 1
    assert page.count('class="lane"') == 2
    assert page.count('class="pause"') == 2
    assert page.count('class="pause advised"') == 2
    assert page.count('class="distressed"') == 2
    assert 'class="pause" x="100.00" width="30.00"' in page
    assert 'class="pause" x="900.00" width="100.00"' in page


def test_settings_are_shown_side_by_side_and_differences_are_marked() -> None:
    page = html_report(report(result("a.yaml"), result("b.yaml", limit="0")))
    assert '<tr class="differs"><td>defaults.max_pause_secs</td><td>300</td><td>0</td></tr>' in page
    assert "<tr><td>defaults.min_pause_secs</td><td>0</td><td>0</td></tr>" in page


def test_the_table_has_a_row_for_each_scope_and_columns_are_aligned() -> None:
    lines = list(text_report(report(result("a.yaml", advised=True))))
    row = next(line for line in lines if line.startswith("team/a *"))
    assert row.split() == ["team/a", "*", "2", "21m", "40s", "16m", "40s", "1", "13.0%", "A", "2"]
    header = next(line for line in lines if line.startswith("SCOPE"))
    assert header.index("BY") == row.index("A 2")
    ignored = next(line for line in lines if line.startswith("Ignored"))
    assert ignored.split()[3:] == ["ignored", "0", "-", "(ignored:", "no", "rule", "matches", "it)"]
    assert "Note: another note." in lines


def test_two_configs_are_compared_by_their_differences() -> None:
    lines = list(text_report(report(result("a.yaml"), result("b.yaml", limit="0"))))
    at = lines.index("Side by side:")
    assert [line.split() for line in lines[at + 1 :]] == [
        ["a.yaml", "b.yaml"],
        ["pauses", "2", "2"],
        ["paused", "21m", "40s", "21m", "40s"],
        ["flaps", "1", "1"],
        ["defaults.max_pause_secs", "300", "0"],
    ]


def test_the_text_contains_no_control_characters() -> None:
    for line in text_report(report(result("a.yaml", alertname=HOSTILE))):
        assert "\x1b" not in line
        assert "\n" not in line


def test_the_json_has_all_pauses_with_times() -> None:
    found = json.loads(json.dumps(json_report(report(result("a.yaml")))))
    assert found["start"] == "1970-01-01T00:00:00.000Z"
    [config] = found["configs"]
    first, last = config["pauses"]
    assert (first["since"], first["until"], first["cause"]) == (
        "1970-01-01T00:16:40.000Z",
        "1970-01-01T00:21:40.000Z",
        "max_pause",
    )
    assert (last["until"], last["cause"], last["flap"]) == (None, None, True)
    assert config["scopes"][0]["by_alert"] == [{"alertname": "A", "pauses": 2, "paused_secs": 1_300.0}]
    assert [alert["state"] for alert in config["alerts"]] == ["distressed", None]
    assert [alert["ignored"] for alert in config["alerts"]] == [None, "no rule matches it"]


def test_restrictions_and_trials_are_in_every_report() -> None:
    spans = (
        RecordedLimit("team/a", 2_000.0, 2_600.0, 20.0, HOSTILE),
        RecordedLimit("team/a", 3_000.0, None, None, "trial"),
    )
    own = replace(result("one"), limits=(LimitSummary("team/a", 1, 600.0, 20.0, 1, 30.0),), limit_spans=spans)
    lines = list(text_report(report(own)))
    assert any(line.split() == ["team/a", "1", "10m", "20/s", "1", "30s"] for line in lines)
    [config] = json_report(report(own))["configs"]
    assert config["limits"][0]["restricted_secs"] == 600
    assert config["restrictions"][0]["admit_per_sec"] == 20
    assert config["trials"][0]["until"] is None
    page = html_report(report(own))
    Strict(page)
    assert "lowest rate" in page
    assert "restricted to 20 requests per second" in page
    assert "<script>" not in page
