"""The event-driven computation of notifications equals that of a dispatcher that is simulated second by
second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.backtest.alertmanager_delays import firing_alerts, notifications_of
from sidecar.backtest.periods import AlertPeriod
from sidecar.backtest.request import AlertmanagerSettings

END = 250


def periods_of(spans: dict[str, list[tuple[int, int | None]]]) -> list[AlertPeriod]:
    return [
        AlertPeriod({"alertname": "A", "pod": pod}, began * 1000, None if ended is None else ended * 1000)
        for pod, of_pod in spans.items()
        for began, ended in of_pod
    ]


def sent(spans: dict, settings: AlertmanagerSettings) -> list[tuple[float, dict[str, float | None]]]:
    """By the time of each notification: when each pod's alert ended (None: it fires)."""
    found = notifications_of(firing_alerts(periods_of(spans)), settings, END)
    return [
        (one.at, {alert.labels["pod"]: alert.ends_at for alert in one.notification.alerts}) for one in found
    ]


def tick_through(spans: dict, settings: AlertmanagerSettings) -> list[tuple[float, dict[str, float | None]]]:
    """One group of Alertmanager, simulated second by second."""
    notified = []
    members: dict[str, float] | None = None
    flush_at = emptied_at = 0
    log: tuple[set[str], set[str], int] | None = None
    for now in range(END + 1):
        if members is not None and not members and now > emptied_at + 15:
            members = None
        for pod, of_pod in spans.items():
            for began, ended in of_pod:
                if began == now:
                    if members is None:
                        members, flush_at = {}, now + int(settings.group_wait_secs)
                    members[pod] = float("inf") if ended is None else ended
        if members is None or flush_at != now:
            continue
        flush_at = now + int(settings.group_interval_secs)
        emptied_at = now if members else emptied_at
        firing = {pod for pod, ended in members.items() if ended > now}
        resolved = members.keys() - firing
        alerts = dict.fromkeys(firing)
        if settings.send_resolved:
            alerts |= {pod: members[pod] for pod in resolved}
        members = {pod: members[pod] for pod in firing}
        if log is None:
            needed = bool(firing)
        elif firing - log[0]:
            needed = True
        elif not firing:
            needed = bool(log[0])
        elif settings.send_resolved and resolved - log[1]:
            needed = True
        else:
            needed = now >= log[2] + settings.repeat_interval_secs
        if needed:
            log = (firing, set(resolved), now)
            if alerts:
                notified.append((now, alerts))
    return notified


@st.composite
def spans_of_a_pod(draw) -> list[tuple[int, int | None]]:
    at, spans = draw(st.integers(0, 60)), []
    for _ in range(draw(st.integers(0, 3))):
        ended = at + draw(st.integers(1, 70))
        spans.append((at, ended))
        at = ended + draw(st.integers(1, 50))
    if spans and draw(st.booleans()):
        spans[-1] = (spans[-1][0], None)
    return spans


SETTINGS = st.builds(
    AlertmanagerSettings,
    group_by=st.just(("alertname",)),
    group_wait_secs=st.integers(0, 40),
    group_interval_secs=st.integers(1, 60),
    repeat_interval_secs=st.integers(20, 200),
    send_resolved=st.booleans(),
)


@given(st.fixed_dictionaries({"a": spans_of_a_pod(), "b": spans_of_a_pod(), "c": spans_of_a_pod()}), SETTINGS)
def test_notifications_are_sent_at_the_ticks_of_the_group(
    spans: dict, settings: AlertmanagerSettings
) -> None:
    assert sent(spans, settings) == tick_through(spans, settings)


def test_the_first_notification_follows_group_wait_and_the_next_group_interval() -> None:
    settings = AlertmanagerSettings(group_wait_secs=30, group_interval_secs=60)
    assert sent({"a": [(10, 75)], "b": [(50, None)]}, settings) == [
        (40, {"a": None}),
        (100, {"a": 75.0, "b": None}),
    ]


def test_an_alert_resolved_before_the_first_notification_is_never_sent() -> None:
    assert sent({"a": [(10, 35)]}, AlertmanagerSettings(group_wait_secs=30)) == []


def test_without_send_resolved_no_resolve_is_sent() -> None:
    settings = AlertmanagerSettings(group_wait_secs=0, group_interval_secs=10, send_resolved=False)
    assert sent({"a": [(10, 35)], "b": [(40, None)]}, settings) == [(10, {"a": None}), (40, {"b": None})]


def test_groups_do_not_wait_for_each_other() -> None:
    settings = AlertmanagerSettings(group_by=("...",), group_wait_secs=5, group_interval_secs=300)
    assert sent({"a": [(10, None)], "b": [(20, None)]}, settings) == [(15, {"a": None}), (25, {"b": None})]
