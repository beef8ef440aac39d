"""Messages for Slack with hostile texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sidecar.core.values import LiftCause
from sidecar.hooks.events import HookEvent, events_of
from sidecar.hooks.slack import slack_message
from sidecar.hooks.text import details_of
from sidecar.store import HistoryEntry

PAUSE = HistoryEntry(
    1, 1.0, "team-a/llama", "pause", "open", "closed", "alert:f1", "too slow", "auto", 61.0, "", "Slow"
)

HOLDS = ("auto", "trial_failed")


def message_of(**changes: Any) -> dict[str, Any]:
    [event] = events_of(replace(PAUSE, **changes))
    assert isinstance(event, HookEvent)
    return slack_message(event, "http://127.0.0.1:9477/?scope=team-a%2Fllama")


def texts_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    section, context = message["blocks"]
    return [section["text"], *context["elements"]]


@pytest.mark.parametrize("cause", ["auto", "trial_failed", *(one.value for one in LiftCause)])
def test_each_cause_is_in_words(cause: str) -> None:
    events = list(events_of(replace(PAUSE, cause=cause, kind="pause" if cause in HOLDS else "resume")))
    assert events
    for event in events:
        by = dict(details_of(event))["By"]
        assert "_" not in by
        assert by.endswith(")") if cause == "manual" else ", " in by


@pytest.mark.parametrize("character", ["&", "<", ">", "x", "é", "\N{ROBOT FACE}", "\n"])
@pytest.mark.parametrize("length", [1, 199, 600, 601, 5000])
def test_no_text_makes_a_message_too_long_for_slack(character: str, length: int) -> None:
    long = character * length
    message = message_of(reason=long, source=f"alert:{long}", alertname=long, scope="/".join(["s" * 64] * 8))
    for text in texts_of(message):
        assert len(text["text"]) <= 3000
    assert len(message["text"]) <= 3000
    for entity in ("&a…", "&am…", "&amp…", "&l…", "&lt…", "&g…", "&gt…"):
        assert entity not in message["text"], "an entity is not cut"


def test_no_text_notifies_people_or_disguises_a_link() -> None:
    hostile = "<!channel> <@U123> <!subteam^S1> <http://evil.example|Open the page> @here #general"
    for field in ("reason", "alertname", "source", "actor"):
        message = message_of(**{field: hostile, "cause": "manual" if field == "actor" else "auto"})
        assert "&lt;!channel&gt; &lt;@U123&gt;" in message["text"]
        for text in texts_of(message):
            assert text["verbatim"] is True, "Slack would parse @here and #general"
            assert "<!channel" not in text["text"]
            assert "<@" not in text["text"]
            assert "<http://evil" not in text["text"]
