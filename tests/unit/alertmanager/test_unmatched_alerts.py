"""Logging of alerts that map to no scope: few lines, bounded memory, no label values."""

from __future__ import annotations

import logging

import pytest

from sidecar.alertmanager.notifications import AlertInterpreter
from sidecar.alertmanager.unmatched_alerts import UnmatchedAlert, UnmatchedAlertLog
from sidecar.alerts import Alert, NoMatch, NoMatchCause, Notification, Rule, RuleSet, fingerprint_of
from sidecar.config import AlertsConfig
from sidecar.core.commands import AlertOutcome, AlertResolved

NO_SCOPE = NoMatch(NoMatchCause.NO_SCOPE, "wellbeing_scope")
EMPTY = NoMatch(NoMatchCause.EMPTY_SEGMENT, "wellbeing_scope")


@pytest.fixture(autouse=True)
def _all_levels(caplog) -> None:
    caplog.set_level(logging.INFO)


def unmatched(name: str = "A", why: NoMatch = NO_SCOPE, **labels: str) -> UnmatchedAlert:
    return UnmatchedAlert.of(Alert(True, {"alertname": name, **labels}, {}, 1.0, None, "f"), why)


def test_an_ignored_alert_is_logged_once_per_name_and_a_misdirected_alert_every_hour(caplog) -> None:
    log = UnmatchedAlertLog()
    for minute in range(121):
        log.log([unmatched(), unmatched(why=EMPTY)], minute * 60.0)
    assert caplog.messages == ["alert_ignored", *["alert_misdirected"] * 3]


def test_an_alert_that_a_rule_ignores_is_not_logged(caplog) -> None:
    UnmatchedAlertLog().log([unmatched(why=NoMatch(NoMatchCause.IGNORED_BY_RULE))], 0.0)
    assert caplog.messages == []


def test_lines_are_limited_and_the_number_left_out_is_logged_later(caplog) -> None:
    log = UnmatchedAlertLog()
    log.log((unmatched(f"A{number}") for number in range(500)), 0.0)
    assert len(caplog.records) == 20
    log.log([unmatched("A499")], 61.0)
    assert len(caplog.records) == 21
    assert (caplog.records[-1].fields["alertname"], caplog.records[-1].fields["lines_left_out"]) == (
        "A499",
        480,
    )


def test_names_are_remembered_in_bounded_memory() -> None:
    log = UnmatchedAlertLog()
    for number in range(5_000):
        log.log([unmatched(f"A{number}")], number * 10.0)
    assert len(log._logged_at) == 1_000


def test_values_of_labels_are_not_logged_and_names_are_safe(caplog) -> None:
    UnmatchedAlertLog().log(
        [unmatched("A\x1b[31m" + "x" * 1000, password="hunter2", **{f"l{n}": "" for n in range(100)})], 0.0
    )
    fields = caplog.records[0].fields
    assert "hunter2" not in str(fields)
    assert fields["alertname"].isprintable()
    assert len(fields["alertname"]) == 200
    assert len(fields["labels"]) == 32


def interpret(alert: Alert, rules: RuleSet, sender_scope: str = ""):
    config = AlertsConfig(rules=rules)
    return AlertInterpreter(config).interpret(Notification("r", "g", 0, (alert,)), 10.0, sender_scope)


@pytest.mark.parametrize("sender_scope", ["", "a"])
@pytest.mark.parametrize("labels", [{"alertname": "A"}, {"alertname": "A", "wellbeing_scope": "a//b"}])
def test_a_resolve_of_an_unmatched_alert_ends_only_an_existing_signal(labels, sender_scope) -> None:
    alert = Alert(False, labels, {}, 1.0, 2.0, fingerprint_of(labels))
    interpretation = interpret(alert, RuleSet(), sender_scope)
    misdirected = "wellbeing_scope" in labels
    [command] = interpretation.command.alerts
    assert isinstance(command, AlertResolved)
    assert command.outcome_if_unknown is (AlertOutcome.MISDIRECTED if misdirected else AlertOutcome.IGNORED)


def test_a_limited_sender_ends_nothing_with_a_fingerprint_that_is_not_the_hash_of_the_labels() -> None:
    alert = Alert(False, {"alertname": "A", "wellbeing_scope": "a"}, {}, 1.0, 2.0, "f")
    interpretation = interpret(alert, RuleSet(), "a")
    assert interpretation.command.alerts == ()
    assert interpretation.left_out == {(False, AlertOutcome.IGNORED): 1}


def test_each_unmatched_alert_of_a_notification_is_logged_once_up_to_a_limit() -> None:
    alerts = tuple(
        Alert(True, {"alertname": f"A{number % 300}"}, {}, 1.0, None, f"f{number}") for number in range(1000)
    )
    rules = RuleSet((Rule.build(["team=a"], "distressed", []),))
    interpretation = AlertInterpreter(AlertsConfig(rules=rules)).interpret(
        Notification("r", "g", 0, alerts), 10.0
    )
    assert interpretation.left_out == {(True, AlertOutcome.IGNORED): 1000}
    assert len({one.key for one in interpretation.unmatched}) == len(interpretation.unmatched) == 100
