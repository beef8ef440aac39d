"""Parsing of webhook bodies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.alerts import InvalidNotification, parse_notification, payload

FIXTURES = Path(__file__).parents[2] / "fixtures" / "alertmanager"
BODIES = {path.name: path.read_bytes() for path in sorted(FIXTURES.glob("[0-9]*.json"))}
START = "2026-11-23T08:46:19.902Z"
START_SECS = 1795423579.902


def alert(**changes):
    known = {
        "status": "firing",
        "labels": {"alertname": "A"},
        "annotations": {},
        "startsAt": START,
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "28daa743f86ed66e",
    }
    return {key: value for key, value in {**known, **changes}.items() if value is not ...}


def body(*alerts, **changes):
    known = {"version": "4", "alerts": list(alerts or (alert(),))}
    return json.dumps(
        {key: value for key, value in {**known, **changes}.items() if value is not ...}
    ).encode()


def refusal(content, **limits):
    with pytest.raises(InvalidNotification) as caught:
        parse_notification(content, **limits)
    assert str(caught.value) == f"{caught.value.where}: {caught.value.why}"
    return caught.value


@pytest.mark.parametrize("name", BODIES)
def test_a_body_of_a_real_alertmanager_is_parsed_completely(name):
    sent = json.loads(BODIES[name])
    notification = parse_notification(BODIES[name])
    assert notification.receiver == sent["receiver"]
    assert notification.group_key == sent["groupKey"]
    assert notification.truncated_alerts == sent["truncatedAlerts"]
    assert [
        (alert.firing, alert.labels, alert.annotations, alert.fingerprint) for alert in notification.alerts
    ] == [
        (one["status"] == "firing", one["labels"], one["annotations"], one["fingerprint"])
        for one in sent["alerts"]
    ]


def test_a_firing_alert_has_no_end():
    (one,) = parse_notification(BODIES["01_single_firing.json"]).alerts
    assert one.firing
    assert one.starts_at == pytest.approx(START_SECS, abs=1e-6)
    assert one.ends_at is None


def test_a_resolved_alert_has_its_real_end():
    (one,) = parse_notification(BODIES["02_single_resolved.json"]).alerts
    assert not one.firing
    assert one.ends_at == pytest.approx(START_SECS + 143, abs=1e-6)


def test_each_alert_keeps_its_own_status_in_a_mixed_group():
    notification = parse_notification(BODIES["04_group_mixed_status.json"])
    assert {one.firing for one in notification.alerts} == {True, False}


def test_a_truncated_body_has_the_number_of_missing_alerts():
    notification = parse_notification(BODIES["06b_truncated_status_resolved_but_others_firing.json"])
    assert notification.truncated_alerts == 3
    assert [one.firing for one in notification.alerts] == [False, False]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T00:00:00.5z", 0.5),
        ("1970-01-01t00:00:01Z", 1.0),
        ("2026-11-23T09:11:36.302068972Z", 1795425096.302068972),
        ("2026-11-23T09:11:36.302068972123Z", 1795425096.302068972),
        ("2026-11-23T10:11:36.302068972+01:00", 1795425096.302068972),
        ("2026-11-23T03:41:36-05:30", 1795425096.0),
        ("9999-12-31T23:59:58Z", 253402300798.0),
    ],
)
def test_rfc_3339_times_are_parsed_to_the_microsecond(text, seconds):
    (one,) = parse_notification(body(alert(startsAt=text))).alerts
    assert one.starts_at == pytest.approx(seconds, rel=0, abs=1e-6)


BAD_TIMES = """
now 2026-11-23 2026-11-23T08:46:19
2026-11-23T08:46:19.Z 2026-11-23T08:46:19+0100 2026-02-30T00:00:00Z
2026-11-23T24:00:01Z 2026-11-23T08:46:19+24:00 0000-01-01T00:00:00Z
0001-01-01T00:00:00Z 9999-12-31T23:59:59-14:00 9999-12-31T23:59:59.9999999Z
٢٠٢٦-11-23T08:46:19Z
"""


@pytest.mark.parametrize("text", [*BAD_TIMES.split(), "", "2026-11-23 08:46:19Z", "2026-11-23T08:46:19Z\n"])
def test_invalid_times_and_times_that_cannot_be_formatted_are_refused(text):
    assert refusal(body(alert(startsAt=text))).where == "alerts[0].startsAt"


@pytest.mark.parametrize("key", ["version", "alerts"])
def test_a_missing_required_key_of_a_notification_is_named(key):
    error = refusal(body(**{key: ...}))
    assert (error.where, error.why) == (key, "is missing")


@pytest.mark.parametrize("key", ["status", "labels", "startsAt", "fingerprint"])
def test_a_missing_required_key_of_an_alert_is_named(key):
    error = refusal(body(alert(), alert(**{key: ...})))
    assert (error.where, error.why) == (f"alerts[1].{key}", "is missing")


def test_a_missing_optional_key_gets_its_default():
    notification = parse_notification(body(alert(annotations=..., endsAt=...)))
    assert (notification.receiver, notification.group_key, notification.truncated_alerts) == ("", "", 0)
    assert notification.alerts[0].annotations == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 4),
        ("version", "3"),
        *(("alerts", wrong) for wrong in ({}, None, [None], ["x"])),
        ("receiver", 1),
        ("receiver", None),
        ("groupKey", []),
        *(("truncatedAlerts", wrong) for wrong in (-1, True, 1.5, "1")),
    ],
)
def test_wrong_values_of_a_notification_are_refused_with_their_position(key, value):
    assert refusal(body(**{key: value})).where.startswith(key)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", "Firing"),
        ("status", 1),
        ("labels", None),
        ("labels", [["a", "b"]]),
        ("annotations", "x"),
        ("startsAt", 1795423579),
        *(("fingerprint", wrong) for wrong in ("", "a" * 65, "a\n", "é", 7)),
    ],
)
def test_wrong_values_of_an_alert_are_refused_with_their_position(key, value):
    assert refusal(body(alert(**{key: value}))).where == f"alerts[0].{key}"


@pytest.mark.parametrize("ends_at", [..., "0001-01-01T00:00:00Z", "soon", None])
def test_a_resolved_alert_needs_a_real_end(ends_at):
    assert refusal(body(alert(status="resolved", endsAt=ends_at))).where == "alerts[0].endsAt"


@pytest.mark.parametrize("value", [5, None, True, ["x"], {"x": "y"}])
@pytest.mark.parametrize("key", ["labels", "annotations"])
def test_every_label_and_annotation_has_to_be_text(key, value):
    error = refusal(body(alert(**{key: {"ok": "\ud800", "pod": value}})))
    assert error.where == f"alerts[0].{key}.pod"


def test_unknown_keys_are_ignored_at_every_level():
    notification = parse_notification(body(alert(silencedBy=[1]), notification_reason="x", routeLabels={}))
    assert len(notification.alerts) == 1


def test_an_empty_group_is_a_notification():
    assert parse_notification(b'{"version": "4", "alerts": []}').alerts == ()


def test_more_alerts_than_allowed_are_refused():
    two = body(alert(), alert())
    assert len(parse_notification(two, max_alerts=2).alerts) == 2
    assert refusal(two, max_alerts=1).where == "alerts"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"version": "4", "alerts": []} x',
        b'{"version": "4", "alerts": [], "x": NaN}',
        b'{"version": "4", "alerts": [], "x": -Infinity}',
        b'{"version": "4", "alerts": [], "x": ' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(content):
    assert refusal(content).where == "body"


@pytest.mark.parametrize("escape", [r"\ud800", r"\uDFFF", r"\\\ud83d", r"\\ud83d\ude42", r"\ude42\ud83d"])
def test_lone_surrogates_become_replacement_characters(escape):
    sent = body(alert(labels={"a": "@", "@": "x"}, annotations={"summary": "@"}), receiver="@")
    notification = parse_notification(sent.replace(b"@", escape.encode()))
    (one,) = notification.alerts
    for text in (notification.receiver, *one.labels, *one.labels.values(), *one.annotations.values()):
        text.encode("utf-8")
    assert "\ufffd" in one.labels["a"]


def test_escaped_characters_beyond_the_first_plane_arrive_unharmed():
    sent = body(alert(labels={"a": "🙂", "b": "日本"}))
    assert rb"\ud83d" in sent
    assert parse_notification(sent).alerts[0].labels == {"a": "🙂", "b": "日本"}


@pytest.mark.parametrize(
    "content",
    [
        body(version="hunter2"),
        body(receiver=["hunter2"]),
        body(alert(status="hunter2")),
        body(alert(startsAt="hunter2")),
        body(alert(fingerprint="hunter2 " * 99)),
        body(alert(labels={"pod": ["hunter2"]})),
        body(alert(labels={"hunter2\x1b[31m": 1})),
        body(alert(labels={"hunter2" * 99: 1})),
        b'{"version": "4", "alerts": [hunter2]}',
        b'{"version": "4", "alerts": ["hunter2',
        b'{"x": "\\hunter2"}',
    ],
)
def test_the_error_contains_no_values_of_the_body(content):
    message = str(refusal(content))
    assert "hunter2" not in message
    assert message.isprintable()
    assert len(message) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(START),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def parses_or_refuses(content):
    try:
        notification = parse_notification(content)
    except InvalidNotification as error:
        assert str(error).isprintable()  # noqa: PT017 - it may be accepted as well
        return
    for one in notification.alerts:
        assert one.firing is (one.ends_at is None)
        for text in (*one.labels, *one.labels.values(), *one.annotations, *one.annotations.values()):
            text.encode("utf-8")


@given(st.binary())
def test_any_bytes_are_parsed_or_refused(content):
    parses_or_refuses(content)


@given(st.sampled_from(sorted(BODIES.values())), st.data(), st.binary(max_size=6), st.integers(0, 20))
def test_a_real_body_with_damaged_bytes_is_parsed_or_refused(content, data, junk, cut):
    at = data.draw(st.integers(0, len(content)))
    parses_or_refuses(content[:at] + junk + content[at + cut :])


@given(
    st.sampled_from(
        ["status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "alerts", "version"]
    ),
    JSON,
    st.sampled_from(["firing", "resolved"]),
)
@example("labels", {"a": "\ud800", "b": 5}, "firing")
@example("labels", {"\x1b": 5}, "firing")
def test_a_body_with_any_value_anywhere_is_parsed_or_refused(key, value, status):
    one = alert(status=status, endsAt=START)
    message = {"version": "4", "alerts": [one]}
    (message if key in message else one)[key] = value
    parses_or_refuses(json.dumps(message).encode())


def test_a_time_is_parsed_once_unless_its_text_is_long() -> None:
    long = f"2026-11-23T08:46:19.{'0' * 10_000}Z"
    payload._seconds_of.cache_clear()
    for text in (START, START, long, long):
        (one,) = parse_notification(body(alert(startsAt=text))).alerts
        assert one.starts_at == pytest.approx(START_SECS, abs=1.0)
    found = payload._seconds_of.cache_info()
    assert (found.hits, found.misses, found.currsize) == (1, 1, 1)
