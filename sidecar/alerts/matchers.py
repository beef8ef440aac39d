r"""Alertmanager's matchers: ``severity="critical"``, ``alertname=~"Vllm.+"``, ``!=``, ``!~``.

As in Alertmanager 0.27 and later, a name may be any UTF-8 text, bare (``service.name``) or quoted, and one
text may be a list, with or without braces: ``{severity="critical", team="a"}``.

As in Alertmanager, a missing label counts as the empty string, and a regular expression must match the whole
value, like ``^(?:…)$``. ``.`` does not match a newline.

Regular expressions use RE2 syntax, as in Go. The time of a match is linear in the length of the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.core.errors import short_repr

from .errors import InvalidMatcher

_MATCHER = re.compile(r"""\s*([^\s{}!=~,\\"'`]+|"(?:[^"\\]|\\.)+")\s*(=~|!~|!=|=)\s*(.*?)\s*""", re.DOTALL)
_LISTED = re.compile(r'(?:[^",\\]|\\.?|"(?:[^"\\]|\\.)*"?)*', re.DOTALL)
"""One matcher of a list: it ends at the next comma outside quotes."""
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r'(?:[^"\\]|\\.)*\\?', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}
_OPERATORS = ("=", "!=", "=~", "!~")


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label.

    Attributes:
        name: the name of the label.
        op: ``=``, ``!=``, ``=~`` or ``!~``.
        value: text or a regular expression to compare with.

    Raises:
        InvalidMatcher: the operator is unknown, or the regular expression is invalid.
    """

    name: str
    op: str
    value: str
    _pattern: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.op not in _OPERATORS:
            message = f"{short_repr(self.op)} is not an operator: use one of {' '.join(_OPERATORS)}"
            raise InvalidMatcher(message)
        if self.op in ("=~", "!~"):
            object.__setattr__(self, "_pattern", _compile(self.value))

    @classmethod
    def parse_list(cls, text: str) -> tuple[Matcher, ...]:
        """Parse one or more matchers, separated by commas, with or without braces around them.

        Raises:
            InvalidMatcher: ``text`` is not a list of matchers.
        """
        inner = text.strip()
        if inner.startswith("{"):
            if not inner.endswith("}"):
                message = f"{short_repr(text)} is not a list of matchers: the closing brace is missing"
                raise InvalidMatcher(message)
            inner = inner[1:-1].strip()
            if not inner:
                return ()
        elif inner.endswith("}") and inner.count("}") > inner.count("{"):
            message = f"{short_repr(text)} is not a list of matchers: the opening brace is missing"
            raise InvalidMatcher(message)
        items = []
        end = -1
        while end < len(inner):
            item = _LISTED.match(inner, end + 1)
            assert item is not None  # noqa: S101 - the expression matches the empty text
            items.append(item[0])
            end = item.end()
        if len(items) > 1 and not items[-1].strip():
            # A comma may follow the last one.
            items.pop()
        return tuple(cls.parse(item) for item in items)

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """Parse a single matcher.

        Raises:
            InvalidMatcher: ``text`` is not a matcher.
        """
        match = _MATCHER.fullmatch(text)
        if match is None:
            message = f'{short_repr(text)} is not a matcher: write label="value", or != =~ !~ instead of ='
            raise InvalidMatcher(message)
        name, op, value = match.groups()
        return cls(_unescape(name[1:-1]) if name.startswith('"') else name, op, _unquote(value, text))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` meet the condition."""
        value = labels.get(self.name, "")
        if self._pattern is None:
            return (value == self.value) is (self.op == "=")
        return (self._pattern.fullmatch(value) is not None) is (self.op == "=~")


def _compile(value: str) -> Any:  # noqa: ANN401 - re2 has no type hints
    import re2  # noqa: PLC0415 - the built-in rules need no regular expressions

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(value, options)
    except (re2.error, UnicodeError) as error:
        why = error.args[0] if error.args else error
        why = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        message = f"{short_repr(value)} is not a regular expression of RE2: {short_repr(why)}"
        raise InvalidMatcher(message) from None


def _unquote(value: str, text: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        return _unescape(quoted[1])
    if value.startswith('"'):
        message = f"{short_repr(text)} is not a matcher: the closing quote of the value must be at its end"
        raise InvalidMatcher(message)
    if not _BARE.fullmatch(value):
        message = f'{short_repr(text)} is not a matcher: quote a value that contains "'
        raise InvalidMatcher(message)
    if "," in value:
        # Alertmanager would parse this as two matchers.
        message = f"{short_repr(text)} is not a matcher: quote a value that contains a comma"
        raise InvalidMatcher(message)
    return _unescape(value)


def _unescape(text: str) -> str:
    # Unknown escapes are kept, so that a regular expression needs no second backslash.
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[0]), text)
