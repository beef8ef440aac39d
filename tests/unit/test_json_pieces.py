"""Large JSON is parsed and written in pieces, with the same result as in one call."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar import json_pieces
from sidecar.json_pieces import dump_in_pieces, loads_in_pieces

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
_BROKEN = st.text('{}[]",:\\ \n01truefalsenull.eE-x\ufeff', max_size=14)


@pytest.fixture(autouse=True)
def all_text_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_pieces, "_SMALL_CHARACTERS", -1)


def _outcome(parse: object, text: str) -> object:
    try:
        return repr(parse(text))  # type: ignore[operator]
    except json.JSONDecodeError as error:
        return str(error)
    except RecursionError:
        return "too deep"


@given(_VALUES, st.sampled_from([None, 1]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_value_equals_the_one_of_the_standard_parser(value: object, indent: int | None) -> None:
    text = f" {json.dumps(value, indent=indent)}\n"
    assert _outcome(loads_in_pieces, text) == _outcome(json.loads, text)


@given(
    _BROKEN | _VALUES.map(lambda value: json.dumps(value)[:-1]) | _VALUES.map(lambda v: json.dumps(v) + "]")
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_error_equals_the_one_of_the_standard_parser(text: str) -> None:
    assert _outcome(loads_in_pieces, text) == _outcome(json.loads, text)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '{"a": NaN}', '{"a": 1, "a": 2}', "\ufeff{}"]
)
def test_unusual_text_is_parsed_as_by_the_standard_parser(text: str) -> None:
    assert _outcome(loads_in_pieces, text) == _outcome(json.loads, text)


def test_hooks_are_called_as_by_the_standard_parser() -> None:
    text = '{"a": [{"b": 1}], "c": {}, "d": NaN}'
    found = [
        parse(text, parse_constant=str.lower, object_pairs_hook=tuple)
        for parse in (loads_in_pieces, json.loads)
    ]
    assert found[0] == found[1] == (("a", [(("b", 1),)]), ("c", ()), ("d", "nan"))


@given(st.dictionaries(st.text(max_size=5), _VALUES, max_size=5))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_written_text_equals_that_of_the_standard_writer(value: dict[str, object]) -> None:
    expected = json.dumps(value).encode()
    assert b"".join(dump_in_pieces(value)) == expected


def test_a_large_object_is_written_in_chunks() -> None:
    value = {"below": [{"scope": f"s/{number}", "text": "x" * 500} for number in range(1_000)]}
    expected = json.dumps(value).encode()
    chunks = list(dump_in_pieces(value))
    assert b"".join(chunks) == expected
    assert len(chunks) > 4
    assert max(map(len, chunks)) < 100_000
