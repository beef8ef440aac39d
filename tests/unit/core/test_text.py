"""Text from other programs is safe to log and to display."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.text import clean_text

UNSAFE = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]))


def test_ordinary_text_is_unchanged():
    for text in ("", "Error rate 12 % on pod-7", "äöü 🙂 日本語", "<b>&amp;"):
        assert clean_text(text, 1000) == text


@pytest.mark.parametrize("character", UNSAFE + "\u2028\u2029\u200e\u200f")
def test_an_unsafe_character_becomes_a_space(character):
    assert clean_text(f"a{character}b", 1000) == "a b"


def test_runs_of_unsafe_characters_become_one_space_and_the_ends_are_stripped():
    assert clean_text("\r\n a\r\n\tb \x00", 1000) == "a b"


def test_a_terminal_sequence_loses_its_escape():
    assert clean_text("\x1b[31mred\x9b0m", 1000) == "[31mred 0m"


def test_a_lone_surrogate_becomes_the_replacement_character():
    assert clean_text("a\ud800b\udfff", 1000) == "a\ufffdb\ufffd"


def test_long_text_is_cut_and_ends_in_an_ellipsis():
    assert clean_text("x" * 10, 10) == "x" * 10
    assert clean_text("x" * 11, 10) == "x" * 9 + "…"


@given(st.text(st.characters() | st.sampled_from(UNSAFE + "\ud800\udfff")), st.integers(1, 50))
def test_any_text_becomes_one_short_line_that_can_be_encoded(text, limit):
    cleaned = clean_text(text, limit)
    assert len(cleaned) <= limit
    assert not re.search(f"[{re.escape(UNSAFE)}]", cleaned)
    cleaned.encode("utf-8")
