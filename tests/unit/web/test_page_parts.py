"""The parts of the page that need no server: texts, the tree, the timeline, links, forms."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.config import UiLink
from sidecar.core.state import WellbeingState
from sidecar.core.values import Hold, HoldKind, ScopeRecord, Signal
from sidecar.gates.gate import GateState
from sidecar.store import HistoryEntry
from sidecar.web.problems import Problem
from sidecar.web.ui.base_url import base_of, scope_url
from sidecar.web.ui.forms import read_form
from sidecar.web.ui.links import alert_links, scope_links
from sidecar.web.ui.scope_tree import PAGE_SIZE, ScopeRow, build_tree, count_rows, page_of
from sidecar.web.ui.timeline import DAY_SECS, tracks_of
from sidecar.web.ui.wording import duration_words, external_text, relative_words

CURRENT = {
    "Gate": "open", "Advice": "none", "Restriction": "unrestricted", "Trial": "open", "Own state": "healthy",
    "Gate of the root": "open",
}  # fmt: skip


@pytest.mark.parametrize(
    ("secs", "words"),
    [(0, "0 s"), (-5, "0 s"), (99, "99 s"), (100, "1 min"), (299, "4 min"), (3600, "1 h"), (7500, "2 h 5 min"),
     (86_400, "1 d"), (90_000, "1 d 1 h"), (1e12, "11574074 d 1 h")],
)  # fmt: skip
def test_a_duration_is_printed_in_one_or_two_units(secs: float, words: str) -> None:
    assert duration_words(secs) == words


def test_a_time_is_printed_relative_to_now() -> None:
    assert relative_words(1240, 1000) == "in 4 min"
    assert relative_words(760, 1000) == "4 min ago"


def test_foreign_text_is_escaped_and_isolated() -> None:
    assert external_text('<b>"\u202e\x00') == '<bdi dir="auto">&lt;b&gt;&#34;</bdi>'
    assert len(external_text("w" * 2000, 100)) == len('<bdi dir="auto"></bdi>') + 100


@pytest.mark.parametrize(
    ("path", "base"), [("/", "./"), ("/ui/scope", "../"), ("/ui/scope/a/b", "../../../")]
)
def test_links_are_relative_to_the_page(path: str, base: str) -> None:
    assert base_of(path) == base
    assert scope_url(base, "a/b") == f"{base}ui/scope/a/b"


def row(
    scope: str, state: WellbeingState = WellbeingState.HEALTHY, waiting: int = 0, *, hold: bool = False
) -> ScopeRow:
    put = Hold(HoldKind.MANUAL, "why", 0, None, "op") if hold else None
    record = ScopeRecord(state, manual=put)
    state_of_gate = GateState(record, nearest_hold=put, held_by=scope, closed=hold)
    return ScopeRow(scope, state_of_gate, waiting, True, False, None, False)


def listed(rows: list[ScopeRow], **filters: str) -> list[str]:
    top = build_tree(rows, **filters)[""]
    first = page_of(top, 1)
    return [one.path for number in range(1, first.last + 1) for one in page_of(top, number).entries]


def test_the_worst_subtree_comes_first_with_its_parents() -> None:
    rows = [row(""), row("a"), row("b/x/y", WellbeingState.DISTRESSED), row("b/z"), row("c", hold=True)]
    assert listed(rows) == ["c", "b", "b/x", "b/x/y", "b/z", "a"]
    assert listed(rows, state="distressed") == ["b", "b/x", "b/x/y"]
    assert listed(rows, text="Z") == ["b", "b/z"]
    assert listed(rows, text="WHY") == ["c"]


@settings(max_examples=40, deadline=None)
@given(
    st.sets(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=4).map("/".join), max_size=300),
    st.sampled_from(["", "paused", "waiting", "unwell"]),
)
def test_the_pages_show_each_entry_once_and_parents_before_children(scopes: set[str], state: str) -> None:
    rows = [
        row(one, WellbeingState(len(one) % 4), waiting=len(one) % 2, hold="a" in one)
        for one in sorted(scopes)
    ]
    shown = listed(rows, state=state)
    wanted = {one.scope for one in rows if one.has(state)}
    assert len(shown) == len(set(shown))
    assert wanted <= set(shown)
    for number, path in enumerate(shown):
        up = path.rpartition("/")[0]
        assert not up or up in shown[:number]
        assert path in wanted or any(one.startswith(path + "/") for one in wanted), (
            "a parent is listed only if a scope inside it is"
        )
    top = build_tree(rows)[""]
    assert (top.known, top.waiting) == (len(rows), sum(one.waiting for one in rows))
    assert count_rows(rows).paused == top.paused
    assert len(page_of(top, 10**9).entries) <= PAGE_SIZE


def entry(at: float, kind: str, old: str, new: str) -> HistoryEntry:
    return HistoryEntry(0, at, "s", kind, old, new, "time", "")


def test_the_timeline_covers_the_time_before_the_first_entry_and_after_the_last() -> None:
    now = 1_000_000.0
    newest_first = [
        entry(now - 100, "pause", "open", "closed"),
        entry(now - 50_000, "resume", "closed", "open"),
    ]
    tracks = tracks_of(newest_first, [], CURRENT, now)
    assert [one.name for one in tracks] == ["Gate"]
    first, last = tracks[0].spans
    assert (first.begin, first.end, first.x) == (now - DAY_SECS, now - 50_000, 0)
    assert (last.begin, last.end) == (now - 100, now)
    assert last.x + last.width <= 1440
    assert tracks[0].words == "closed 2 times, 10 h 8 min in all"


def test_a_trial_is_only_shown_while_it_lasts() -> None:
    now = 1_000_000.0
    newest_first = [entry(now - 10, "trial", "trial", "open"), entry(now - 40, "trial", "closed", "trial")]
    tracks = tracks_of(newest_first, [("", [])], CURRENT, now)
    assert [(one.name, one.words) for one in tracks] == [("Trial", "trial 1 time, 30 s in all")]


def test_link_templates_are_expanded_and_escaped() -> None:
    links = [
        UiLink("G", "https://g/?s={scope}"),
        UiLink("R", "https://r/{alertname}/{scope}"),
        UiLink("F", "https://f/{fingerprint}"),
    ]
    alert = Signal("alert:00ff", WellbeingState.CAUTIOUS, "", 0, alertname='A/{scope}"&')
    assert scope_links(links, "a/b") == [("G", "https://g/?s=a%2Fb")]
    assert alert_links(links, "a", alert) == [
        ("R", "https://r/A%2F%7Bscope%7D%22%26/a"),
        ("F", "https://f/00ff"),
    ]
    nameless = Signal("alert:00ff", WellbeingState.CAUTIOUS, "", 0)
    assert [name for name, _ in alert_links(links, "a", nameless)] == ["F"]
    assert alert_links(links, "a", Signal("agent:x", WellbeingState.CAUTIOUS, "", 0)) == []


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "reason", "secs"),
    [(b"", "", None), (b"reason=a+b%00&secs=300", "a b", 300.0), (b"secs=inf", "", None), (b"reason=%ff", "\ufffd", None),
     (b"secs=0&reason=x", "x", 0.0)],
)  # fmt: skip
def test_form_fields_are_decoded(body: bytes, reason: str, secs: float | None) -> None:
    form = read_form(FORM + "; charset=utf-8", body, ("reason", "secs"))
    assert (form.reason, form.secs) == (reason, secs)


@pytest.mark.parametrize(
    ("kind", "body"),
    [("", b""), ("application/json", b"{}"), ("text/plain", b"reason=x"), (FORM, b"\xff"), (FORM, b"b=1"), (FORM, b"&".join([b"a=1"] * 99)),
     (FORM, b"a" * 40_000)],
)  # fmt: skip
def test_a_body_that_is_not_a_form_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(Problem):
        read_form(kind, body, ("a",))
