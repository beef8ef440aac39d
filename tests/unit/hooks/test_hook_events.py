"""Which events an entry of the history produces, and which hooks receive them."""

from __future__ import annotations

import pytest

from sidecar.config import HOOK_EVENTS, Config, HookConfig, Listener, TlsConfig
from sidecar.hooks.events import HookEvent, events_of, wants
from sidecar.hooks.links import base_url, scope_link
from sidecar.hooks.position import HookPosition
from sidecar.hooks.sample_event import sample_event
from sidecar.hooks.slack import slack_message
from sidecar.hooks.text import details_of, title_of
from sidecar.store import HistoryEntry


def entry(kind: str, new: str = "", cause: str = "", scope: str = "a/b", number: int = 7) -> HistoryEntry:
    return HistoryEntry(number, 1_000.5, scope, kind, "", new, "operator", "why", cause)


@pytest.mark.parametrize(
    ("of", "names"),
    [
        (entry("pause", "closed", "auto"), ["pause"]),
        (entry("resume", "open", "recovered"), ["resume"]),
        (entry("hold", "closed", "manual"), []),
        (entry("lift", "closed", "manual"), []),
        (entry("engine", "paused"), []),
        (entry("intervention", "distressed"), ["intervention"]),
        (entry("blind", "blind"), ["blind"]),
        (entry("blind", "seeing"), ["sighted"]),
        (entry("store", "down"), ["store_down"]),
        (entry("store", "up"), ["store_up"]),
        (entry("advice"), ["advice"]),
        (entry("advice_ended"), ["advice_ended"]),
        (entry("trial_failed"), ["trial_failed"]),
        (entry("pause", "closed", "trial_failed"), ["pause", "trial_failed"]),
    ],
)
def test_a_history_entry_has_the_expected_events(of: HistoryEntry, names: list[str]) -> None:
    assert [event.name for event in events_of(of)] == names
    ids = [event.id for event in events_of(of)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("scope", "wanted"),
    [("a/b", True), ("a/b/c", True), ("a", True), ("", True), ("a/bc", False), ("x", False)],
)
def test_a_hook_gets_events_of_its_scope_and_of_the_ancestors(scope: str, wanted: bool) -> None:
    event = HookEvent("pause", entry("pause", scope=scope))
    assert wants(HookConfig("h", scope="a/b"), event) is wanted
    assert not wants(HookConfig("h", scope="a/b", events=("resume",)), event)


def test_an_event_of_the_store_has_the_same_id_before_and_after_it_is_stored() -> None:
    early, late = (
        HookEvent("store_down", entry("store", "down", number=0)),
        HookEvent("store_down", entry("store", "down")),
    )
    assert early.id == late.id


@pytest.mark.parametrize("name", HOOK_EVENTS)
def test_each_event_has_a_description_for_people(name: str) -> None:
    event = sample_event(name, "", 1_000.0, 60.0)
    assert "{" not in title_of(event)
    assert slack_message(event, "")["text"]
    assert ("Until" in dict(details_of(event))) == (name in ("pause", "advice", "trial_failed"))


@pytest.mark.parametrize(
    ("config", "url"),
    [
        (Config(), "http://127.0.0.1:9477"),
        (Config(external_url="https://x/y/"), "https://x/y"),
        (Config(listen=(Listener("unix:/run/x"), Listener("10.0.0.1:80"))), "http://10.0.0.1:80"),
        (Config(listen=(Listener("10.0.0.1:80"),), tls=TlsConfig("c", "k")), "https://10.0.0.1:80"),
        (Config(listen=(Listener("unix:/run/x"),)), ""),
    ],
)
def test_links_point_to_the_sidecar(config: Config, url: str) -> None:
    assert base_url(config) == url
    assert scope_link(url, "a/b~c") == (f"{url}/?scope=a%2Fb~c" if url else "")


def test_a_position_survives_conversion_to_text() -> None:
    position = HookPosition(7, {"pause a": 3})
    assert HookPosition.from_text(position.to_text()) == position


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"entry_id": 1, "notes": 3}', "null"])
def test_text_that_is_not_a_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON errors are ValueErrors
        HookPosition.from_text(text)
