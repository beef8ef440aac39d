"""Matchers mean what they mean in Alertmanager (the cases were compared with amtool 0.25)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.alerts import InvalidMatcher, Matcher


@pytest.mark.parametrize(
    ("text", "name", "op", "value"),
    [
        ('severity="critical"', "severity", "=", "critical"),
        ("severity=critical", "severity", "=", "critical"),
        (' severity \t!= "critical"\n', "severity", "!=", "critical"),
        ('alertname=~"Vllm.+"', "alertname", "=~", "Vllm.+"),
        ("alertname!~Vllm.+", "alertname", "!~", "Vllm.+"),
        ("a=", "a", "=", ""),
        ('a=""', "a", "=", ""),
        ("a==x", "a", "=", "=x"),
        ("a=two words", "a", "=", "two words"),
        ('a=" x "', "a", "=", " x "),
        (r'a="\"\\\n"', "a", "=", '"\\\n'),
        (r"a=x\"\\\n", "a", "=", 'x"\\\n'),
        (r'a="\d\."', "a", "=", r"\d\."),
        (r'a="\\n"', "a", "=", r"\n"),
        ("a=x\\", "a", "=", "x\\"),
        ('a="x,y=z"', "a", "=", "x,y=z"),
        ('a="日本"', "a", "=", "日本"),
        ('"k8s.pod.name"="x"', "k8s.pod.name", "=", "x"),
        (r'"a\"b"=x', 'a"b', "=", "x"),
        ("service.name=llama", "service.name", "=", "llama"),
        ("a-b=c", "a-b", "=", "c"),
        ("1a=b", "1a", "=", "b"),
        ("ä=b", "ä", "=", "b"),
        ('🙂!~"x|y"', "🙂", "!~", "x|y"),
    ],
)
def test_every_syntax_of_alertmanager_is_parsed(text, name, op, value):
    assert Matcher.parse(text) == Matcher(name, op, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "severity",
        "=critical",
        "a!b",
        "a~b",
        '{a="b"}',
        '""="x"',
        'a="b',
        'a="',
        'a=b"',
        'a=b"c',
        'a="b"c"',
        'a="b" c',
        'a="b\\"',
        'a="b", c="d"',
        "a=b,c=d",
    ],
)
def test_text_that_is_not_a_matcher_is_refused(text):
    with pytest.raises(InvalidMatcher, match="is not a matcher"):
        Matcher.parse(text)


@pytest.mark.parametrize(
    ("text", "matchers"),
    [
        ('a="b"', ['a="b"']),
        ('{a="b"}', ['a="b"']),
        ('{a="b",c!="d"}', ['a="b"', 'c!="d"']),
        (' { a="b" , c=~"d" , } ', ['a="b"', 'c=~"d"']),
        ("a=b,c=d", ["a=b", "c=d"]),
        ('a="b",', ['a="b"']),
        ('a="x,y}",b=~"[,}]{1,2}"', ['a="x,y}"', 'b=~"[,}]{1,2}"']),
        ('{"a,b"="{c}", service.name="d"}', ['"a,b"="{c}"', 'service.name="d"']),
        (r'a="\",", b="c"', [r'a="\","', 'b="c"']),
        ("a=~x{2}", ['a=~"x{2}"']),
        ("{}", []),
    ],
)
def test_a_text_may_be_a_list_with_or_without_braces(text, matchers):
    assert Matcher.parse_list(text) == tuple(map(Matcher.parse, matchers))


@pytest.mark.parametrize(
    "text", ["", " ", ",", "a=b,,c=d", ",a=b", '{a="b"', "a=b}", "{a=b},{c=d}", "{{}}", "{,}"]
)
def test_text_that_is_not_a_list_is_refused(text):
    with pytest.raises(InvalidMatcher):
        Matcher.parse_list(text)


@pytest.mark.parametrize(
    "pattern",
    ["(", "[", "*", "a{2,1}", r"\Z", r"\1", "(?=x)", "(?<!x)y", "a++", "(" * 5000],
)
@pytest.mark.parametrize("op", ["=~", "!~"])
def test_syntax_that_re2_does_not_support_is_refused(pattern, op):
    with pytest.raises(InvalidMatcher, match="is not a regular expression"):
        Matcher.parse(f'a{op}"{pattern}"')


def test_the_error_is_short_and_escaped():
    with pytest.raises(InvalidMatcher) as caught:
        Matcher.parse("\x1b" + "x" * 10_000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_a_matcher_made_without_parsing_is_checked_as_well():
    assert Matcher("a", "=~", "x.*").matches({"a": "xyz"})
    assert not Matcher("a", "=~", "x.*").matches({"a": "zyx"})
    with pytest.raises(InvalidMatcher):
        Matcher("a", "=~", "(")
    with pytest.raises(InvalidMatcher, match="is not an operator"):
        Matcher("a", "==", "x")


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("a=x", "x", True),
        ("a=x", "X", False),
        ("a!=x", "x", False),
        ("a!=x", "y", True),
        ("a=~x|y", "y", True),
        ("a=~x|y", "xy", False),
        ("a=~x", "xx", False),
        ("a=~x", "x\n", False),
        ("a=~x$", "x\n", False),
        ("a=~^x$", "x", True),
        ("a=~x.y", "x\ny", False),
        ("a=~(?s)x.y", "x\ny", True),
        ("a=~(?i)VLLM.*", "vllmDown", True),
        ("a!~x|y", "y", False),
        ("a!~x|y", "xy", True),
        (r"a=~\d+", "42", True),
        (r"a=~\d+", "٤٢", False),
        (r"a=~\w+", "é", False),
        ("a=~.", "é", True),
        (r"a=~\pL+", "éa", True),
        ("a=~[[:alpha:]]+", "abc", True),
        ("a=~x(?i)y", "xY", True),
        (r"a=~x\z", "x", True),
    ],
)
def test_a_matcher_applies_to_the_whole_value(text, value, holds):
    assert Matcher.parse(text).matches({"a": value}) is holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a=", True),
        ("a!=", False),
        ("a=x", False),
        ("a!=x", True),
        ("a=~.*", True),
        ("a=~.+", False),
        ("a!~.+", True),
        ("a!~.*", False),
    ],
)
def test_a_missing_label_counts_as_the_empty_string(text, holds):
    matcher = Matcher.parse(text)
    assert matcher.matches({"b": "x"}) is holds
    assert matcher.matches({"a": ""}) is holds


@given(st.text())
def test_a_quoted_value_is_unquoted(value):
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert Matcher.parse(f'a="{quoted}"').value == value


@given(st.text(max_size=20))
def test_any_text_is_parsed_or_refused(text):
    for candidate in (text, f"a={text}", f"a=~{text}", f'a=~"{text}"'):
        try:
            [matcher.matches({"a": "x"}) for matcher in Matcher.parse_list(candidate)]
        except InvalidMatcher as error:
            assert str(error)  # noqa: PT017 - it may match as well


def test_the_time_of_a_match_is_bounded():
    assert not Matcher.parse('a=~"([a-z0-9]+-?)+"').matches({"a": "a" * 5_000 + "_x"})
    assert Matcher.parse('a=~"(a|a)*(a*)*"').matches({"a": "a" * 5_000})
