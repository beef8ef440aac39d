"""Which alerts reconciliation may end, and that the watchdog alert is no signal."""

from __future__ import annotations

import pytest

from sidecar.alertmanager.client import quote_receiver, without_credentials
from sidecar.alertmanager.notifications import AlertInterpreter
from sidecar.alerts import Alert, Notification
from sidecar.config import AlertmanagerConfig, AlertsConfig, WatchdogConfig
from sidecar.core.commands import AlertOutcome


def interpret(config: AlertsConfig, receiver: str = "r", **labels: str):
    alert = Alert(
        True, {"alertname": "A", "severity": "critical", "wellbeing_scope": "s", **labels}, {}, 1.0, None, "f"
    )
    return AlertInterpreter(config).interpret(Notification(receiver, "g", 0, (alert,)), 10.0)


@pytest.mark.parametrize(
    ("asking", "receiver", "labels", "asked"),
    [
        ({}, "any", {}, True),
        ({"receiver": "a.b"}, "a\\.b", {}, True),
        ({"receiver": "a.b"}, "a.b", {}, True),
        ({"receiver": "a.b"}, "other", {}, False),
        ({"filter": ('team="a"', 'x!="y"')}, "any", {"team": "a"}, True),
        ({"filter": ('team="a"', 'x!="y"')}, "any", {"team": "a", "x": "y"}, False),
    ],
)
def test_an_alert_has_a_query_only_if_the_query_lists_it(asking, receiver, labels, asked) -> None:
    config = AlertsConfig(alertmanager_urls=("http://x",), alertmanager=AlertmanagerConfig(**asking))
    assert bool(interpret(config, receiver, **labels).command.alerts[0].query) is asked
    assert (
        not interpret(AlertsConfig(alertmanager=AlertmanagerConfig(**asking)), receiver, **labels)
        .command.alerts[0]
        .query
    )


def test_the_watchdog_alert_makes_no_signal() -> None:
    interpretation = interpret(AlertsConfig(watchdog=WatchdogConfig(alertname="A")))
    assert interpretation.command.alerts == ()
    assert interpretation.left_out == {(True, AlertOutcome.IGNORED): 1}
    assert interpretation.unmatched == ()


def test_receivers_are_quoted_as_in_go_and_credentials_are_removed_from_urls() -> None:
    assert quote_receiver("team.a/b+c (prod)-x_y") == r"team\.a/b\+c \(prod\)-x_y"
    assert without_credentials("https://me:secret@am:9093/path/") == "https://am:9093/path"
