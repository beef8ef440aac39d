"""Valid scopes, and the conversion of any text to a scope."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import InvalidScope
from sidecar.core.scope import (
    ROOT,
    ancestors_of,
    join_segments,
    lies_within,
    parent_of,
    parse_scope,
)
from sidecar.scope_segments import MAX_SEGMENT_LENGTH, to_segment

ANY_TEXT = st.text(st.characters() | st.sampled_from("\x00/ ~_.\ud800")) | st.sampled_from([".", ".."])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "team-a/llama/agent-7",
        "A.b_c:d~e-f/0",
        "x" * 64,
        "...",
        ".a",
        "a..",
        "a/...",
        "/".join("12345678"),
    ],
)
def test_a_valid_scope_is_returned_unchanged(text):
    assert parse_scope(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/", "segment 1 is empty"),
        ("/a", "segment 1 is empty"),
        ("a/", "segment 2 is empty"),
        ("a//b", "segment 2 is empty"),
        ("a/b c", "segment 2 has a character outside"),
        ("a\n", "segment 1 has a character outside"),
        ("é", "segment 1 has a character outside"),
        ("٣", "segment 1 has a character outside"),
        ("a%2Fb", "segment 1 has a character outside"),
        ("x" * 65, "segment 1 has 65 characters"),
        ("/".join("123456789"), "it has 9 segments"),
        (".", "segment 1 is . or .."),
        ("..", "segment 1 is . or .."),
        ("a/../b", "segment 2 is . or .."),
        ("a/b/.", "segment 3 is . or .."),
    ],
)
def test_an_invalid_scope_is_refused_with_the_reason(text, why):
    with pytest.raises(InvalidScope, match=why):
        parse_scope(text)


def test_the_error_has_a_short_escaped_part_of_the_text():
    with pytest.raises(InvalidScope) as caught:
        parse_scope("\x1b\u202e" + "x" * 10_000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_ancestors_come_nearest_first_and_end_at_the_root():
    assert list(ancestors_of("a/b/c")) == ["a/b", "a", ROOT]
    assert list(ancestors_of("a")) == [ROOT]
    assert list(ancestors_of(ROOT)) == []
    assert parent_of("a/b") == "a"
    assert parent_of(ROOT) == ROOT


@pytest.mark.parametrize(
    ("scope", "outer", "inside"),
    [
        ("a", "", True),
        ("", "", True),
        ("a/b", "a", True),
        ("a/b", "a/b", True),
        ("ab", "a", False),
        ("a", "a/b", False),
        ("", "a", False),
        ("A/b", "a", False),
    ],
)
def test_a_scope_lies_within_itself_and_its_ancestors_only(scope, outer, inside):
    assert lies_within(scope, outer) is inside


def test_a_valid_segment_is_returned_unchanged():
    assert to_segment("llama-3.1_8b:fp8~x") == "llama-3.1_8b:fp8~x"


@pytest.mark.parametrize(
    "value", ["", "meta-llama/Llama 3", "модель", "x" * 65, "x" * 20_000, "a\n", "\ud800", "\x00", ".", ".."]
)
def test_any_other_value_is_cleaned_cut_and_marked_with_its_digest(value):
    segment = to_segment(value)
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    assert segment.endswith(f"~{digest}")
    assert len(segment) <= MAX_SEGMENT_LENGTH
    assert parse_scope(segment) == segment
    assert "/" not in segment


def test_a_long_value_is_cut_to_the_longest_segment():
    assert to_segment("x" * 65) == "x" * 55 + "~" + hashlib.sha256(b"x" * 65).hexdigest()[:8]


@given(ANY_TEXT)
def test_any_text_becomes_a_valid_segment_that_stays_one(value):
    segment = to_segment(value)
    assert parse_scope(segment) == segment
    assert segment
    assert to_segment(segment) == segment


@given(st.sets(ANY_TEXT | st.text("ab /", max_size=5), min_size=2, max_size=30))
def test_different_values_stay_different(values):
    assert len({to_segment(value) for value in values}) == len(values)


@given(st.lists(ANY_TEXT, max_size=12))
def test_joined_segments_are_a_scope(values):
    scope = join_segments(values)
    assert parse_scope(scope) == scope
    assert len(scope.split("/")) == max(1, min(len(values), 8))
