"""The explanation of an alert: rule, state, scope, policy and effect. Explaining changes nothing."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from sidecar.alerts import Alert, fingerprint_of
from sidecar.config import Config, load_config
from sidecar.core.commands import ClaimState, Command, Expire, Pause, ReceiveAlerts
from sidecar.core.model import CoreState
from sidecar.core.state import WellbeingState
from sidecar.core.transaction import Transaction
from sidecar.explain import Explainer

CONFIG = """\
defaults: {pause_on_distressed: true, max_pause_secs: 100}
policies:
  - match: watched
    dry_run: true
  - match: "off"
    enabled: false
  - match: observed
    pause_on_distressed: false
  - match: slow
    restrict: {concerned: 20}
  - match: slow-dry
    dry_run: true
    restrict: {concerned: 20}
alerts:
  rules:
    - matchers: ['severity="critical"', 'alertname=~"Vllm.+"']
      state: distressed
      scope: [team, model]
      reason: "{annotations.summary}"
    - matchers: ['severity=~"warning|info"']
      state: concerned
      scope: [team, model]
    - matchers: ['severity="none"']
      state: ignore
  watchdog: {alertname: Watchdog}
"""
NOW = 1000.0


def alert(*, firing: bool = True, at: float = 900.0, **labels: str) -> Alert:
    labels = {"alertname": "VllmSlow", **labels}
    ends_at = None if firing else at
    return Alert(firing, labels, {"summary": "slow"}, 900.0, ends_at, fingerprint_of(labels))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "sidecar.yaml"
    path.write_text(CONFIG)
    return load_config(path, {})


class Running:
    """A core with a config. Its state is compared before and after an explanation."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.state = CoreState(config.policies)

    def do(self, command: Command, now: float = NOW) -> None:
        transaction = Transaction(self.state)
        transaction.apply_command(command, now)
        self.state.apply(transaction)

    def explain(self, *alerts: Alert, now: float = NOW, **options: object) -> list[dict]:
        # The records and the other values are immutable.
        before = {
            name: copy.deepcopy(value) if name == "counts_inside" else copy.copy(value)
            for name, value in vars(self.state).items()
        }
        explainer = Explainer(self.config, self.state, now, **options)
        explained = [explainer.explain(one) for one in alerts]
        assert vars(self.state) == before, "explaining changes nothing"
        return explained

    def receive(self, one: Alert, now: float = NOW) -> None:
        interpreted = Explainer(self.config, self.state, now)._interpreter
        command = interpreted.fired(one, interpreted.match(one), now)
        self.do(ReceiveAlerts((command,)), now)


@pytest.fixture
def running(config: Config) -> Running:
    return Running(config)


def effect(one: dict) -> tuple[str, str]:
    return one["effect"], one["why"]


def test_an_unmatched_rule_is_explained_with_its_matcher_and_the_value(running: Running) -> None:
    [one] = running.explain(alert(severity="warning", team="a"))
    first, second = one["rules"]
    assert (first["rule"], first["matched"]) == ("alerts.rules[0]", False)
    assert first["failed"] == [{"matcher": 'severity="critical"', "label": "severity", "value": "warning"}]
    assert first["at"].endswith("sidecar.yaml:16")
    assert (second["rule"], second["matched"], second["failed"]) == ("alerts.rules[1]", True, [])
    assert (one["state"], one["scope"]) == ("concerned", "a")


def test_a_missing_label_is_reported_as_missing(running: Running) -> None:
    [one] = running.explain(alert(alertname="Other"))
    assert [rule["matched"] for rule in one["rules"]] == [False] * 3
    assert one["rules"][2]["failed"] == [{"matcher": 'severity="none"', "label": "severity", "value": None}]
    assert (one["outcome"], effect(one)) == ("ignored", ("nothing", "ignored"))
    assert one["scope_from"]["problem"] == "no rule matches it"


def test_the_explanation_of_a_scope_names_cleaned_and_missing_labels(running: Running) -> None:
    [one] = running.explain(alert(severity="critical", team="team a"))
    source = one["scope_from"]
    assert source["labels"] == [{"label": "team", "value": "team a"}, {"label": "model", "value": None}]
    assert source["missing"] == "model"
    assert source["cleaned"] == [{"value": "team a", "segment": one["scope"]}]
    [one] = running.explain(alert(severity="critical"))
    assert (one["outcome"], one["scope"], effect(one)) == ("misdirected", None, ("nothing", "misdirected"))
    assert one["scope_from"]["problem"] == "the first label of its rule's scope is missing"


@pytest.mark.parametrize(
    ("team", "severity", "name", "line", "what"),
    [
        ("a", "critical", "defaults", 1, ("pauses", "threshold")),
        ("watched", "critical", "policies[0]", 3, ("advises", "dry_run")),
        ("observed", "critical", "policies[2]", 7, ("advises", "observes")),
        ("off", "critical", "policies[1]", 5, ("nothing", "disabled")),
        ("a", "warning", "defaults", 1, ("nothing", "below_threshold")),
    ],
)
def test_the_policy_is_named_with_its_line_and_determines_the_effect(
    running: Running, team: str, severity: str, name: str, line: int, what: tuple[str, str]
) -> None:
    [one] = running.explain(alert(severity=severity, team=team))
    assert (one["policy"]["name"], effect(one)) == (name, what)
    assert one["policy"]["at"].endswith(f"sidecar.yaml:{line}")
    assert (one["until"] is not None) == (one["effect"] in ("pauses", "advises"))


def test_a_known_alert_pauses_nothing_and_the_reason_is_given(running: Running) -> None:
    known = alert(severity="critical", team="a")
    running.receive(known)
    assert effect(running.explain(known)[0]) == ("nothing", "already_paused")
    running.do(Expire(("a",)), NOW + 100)
    assert effect(running.explain(known, now=NOW + 100)[0]) == ("nothing", "spent")
    assert effect(running.explain(alert(severity="critical", team="a", pod="b"), now=NOW + 100)[0]) == (
        "pauses", "threshold",
    )  # fmt: skip
    running.receive(alert(severity="critical", team="watched"))
    assert effect(running.explain(alert(severity="critical", team="watched"))[0]) == (
        "nothing", "already_advised",
    )  # fmt: skip


def test_a_resolve_opens_the_gate_or_the_reason_why_not_is_given(running: Running) -> None:
    known, ended = alert(severity="critical", team="a"), alert(severity="critical", team="a", firing=False)
    assert effect(running.explain(ended)[0]) == ("nothing", "unknown")
    running.receive(known)
    assert effect(running.explain(ended)[0]) == ("resumes", "recovered")
    assert effect(running.explain(ended, blind=True)[0]) == ("nothing", "blind")
    running.do(Pause("a", "mine", "anna"))
    assert effect(running.explain(ended)[0]) == ("nothing", "already_paused")
    running.do(ClaimState("watched", "agent:x", WellbeingState.DISTRESSED))
    running.receive(alert(severity="critical", team="observed"))
    assert effect(running.explain(alert(severity="critical", team="observed", firing=False))[0]) == (
        "ends_advice", "recovered",
    )  # fmt: skip


def test_each_alert_is_explained_after_the_ones_before_it(running: Running) -> None:
    first, second = (alert(severity="critical", team="a", pod=pod) for pod in "xy")
    explained = running.explain(first, second)
    assert [effect(one) for one in explained] == [("pauses", "threshold"), ("nothing", "already_paused")]


def test_the_watchdog_and_an_alert_outside_of_the_senders_scope_are_explained(running: Running) -> None:
    [one] = running.explain(alert(alertname="Watchdog"))
    assert effect(one) == ("nothing", "watchdog")
    [one] = running.explain(alert(severity="critical", team="a"), sender_scope="b")
    assert (one["outcome"], effect(one), one["policy"]) == ("ignored", ("nothing", "not_allowed"), None)
    running.receive(alert(severity="critical", team="a"))
    [one] = running.explain(alert(severity="critical", team="a", firing=False), sender_scope="b")
    assert (effect(one), one["policy"]) == (("nothing", "not_allowed"), None)


def test_the_explanation_of_a_built_in_rule_names_its_label() -> None:
    running = Running(Config())
    [one] = running.explain(alert(severity="critical", wellbeing_scope="a//b"))
    assert (one["rules"][0]["rule"], one["rules"][0]["label"]) == ("built-in", "severity")
    assert one["scope_from"]["problem"] == "a segment of its scope is empty"
    [one] = running.explain(alert(wellbeing="distressed", wellbeing_scope="*"))
    assert (one["rules"][0]["label"], one["scope"], effect(one)) == ("wellbeing", "", ("advises", "observes"))
    assert (one["policy"]["name"], one["policy"]["at"]) == ("defaults", None)


def test_a_restriction_is_explained_as_an_effect(running: Running) -> None:
    [one] = running.explain(alert(severity="warning", team="slow"))
    assert (effect(one), one["text"]) == (
        ("restricts", "restrict"), "the gate would admit 20 requests a second: slow",
    )  # fmt: skip
    assert one["policy"]["settings"]["restrict"] == {"concerned": 20.0}
    assert effect(running.explain(alert(severity="warning", team="slow-dry"))[0]) == ("advises", "dry_run")
    running.receive(alert(severity="warning", team="slow"))
    [one] = running.explain(alert(severity="warning", team="slow", firing=False))
    assert effect(one) == ("ends_restriction", "recovered")


GUARDED = """\
defaults: {pause_on_distressed: true}
time_intervals:
  - name: always
    time_intervals: [{times: [{start_time: "00:00", end_time: "24:00"}]}]
policies:
  - match: pool
    max_paused_share: 0.5
  - match: night
    mute_time_intervals: [always]
  - match: by-hand
    resume: manual
alerts:
  rules: [{matchers: ['severity="critical"'], state: distressed, scope: [team, model]}]
"""


def test_a_guard_and_a_mute_time_interval_are_named(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text(GUARDED)
    running = Running(load_config(path, {}))
    for model in "ab":
        running.do(ClaimState(f"pool/{model}", "agent:x", WellbeingState.HEALTHY, "", None))
    [muted] = running.explain(alert(severity="critical", team="night"))
    assert effect(muted) == ("advises", "time_intervals")
    assert "time intervals" in muted["text"]
    running.receive(alert(severity="critical", team="pool", model="a"))
    [guarded] = running.explain(alert(severity="critical", team="pool", model="b"))
    assert effect(guarded) == ("advises", "max_paused_share")
    assert "max_paused_share" in guarded["text"]
    [first] = running.explain(alert(severity="critical", team="by-hand"))
    assert effect(first) == ("pauses", "threshold")
    known = alert(severity="critical", team="by-hand")
    running.receive(known)
    [ended] = running.explain(alert(severity="critical", team="by-hand", firing=False))
    assert effect(ended) == ("nothing", "waits_for_operator")
    running.receive(alert(severity="critical", team="by-hand", pod="2"))
    [ended] = running.explain(alert(severity="critical", team="by-hand", firing=False))
    assert effect(ended) == ("nothing", "still_unwell")


def test_alerts_that_end_meanwhile_do_not_disturb_an_explanation(running: Running) -> None:
    running.state.max_tombstones = 3

    def end(number: int) -> None:
        name = f"m{number}"
        running.receive(alert(severity="critical", team="a", model=name))
        ended = alert(firing=False, at=950.0, severity="critical", team="a", model=name)
        interpreter = Explainer(running.config, running.state, NOW)._interpreter
        running.do(ReceiveAlerts((interpreter._resolved(ended, interpreter.match(ended), NOW, ""),)))

    for number in range(3):
        end(number)
    explainer = Explainer(running.config, running.state, NOW)
    for number in range(10, 14):
        explained = explainer.explain(
            alert(firing=False, at=950.0, severity="critical", team="a", model=f"m{number}")
        )
        assert explained["status"] == "resolved"
        end(number)
