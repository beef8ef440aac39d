r"""Alertmanager's matchers: ``severity="critical"``, ``alertname=~"Vllm.+"``, ``!=``, ``!~``.

As there, a label that is missing counts as the empty string, and a regular expression has to match the
whole value, as ``^(?:…)$`` does: ``.`` matches no newline.

The expressions are RE2's, as in Go: what is understood there is understood here, and no expression takes
longer than the value is long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.core.errors import shown

from .errors import InvalidMatcher

_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*|"(?:[^"\\]|\\.)+")\s*(=~|!~|!=|=)\s*(.*?)\s*""", re.ASCII | re.DOTALL
)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r'(?:[^"\\]|\\.)*\\?', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}
_OPERATORS = ("=", "!=", "=~", "!~")


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label.

    Attributes:
        name: the label's.
        op: ``=``, ``!=``, ``=~`` or ``!~``.
        value: to compare with: a text, or a regular expression.

    Raises:
        InvalidMatcher: the operator is none of these, or the regular expression is wrong.
    """

    name: str
    op: str
    value: str
    _pattern: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.op not in _OPERATORS:
            message = f"{shown(self.op)} is no operator: use one of {' '.join(_OPERATORS)}"
            raise InvalidMatcher(message)
        if self.op in ("=~", "!~"):
            object.__setattr__(self, "_pattern", _compile(self.value))

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """The matcher that ``text`` spells.

        Raises:
            InvalidMatcher: it spells none.
        """
        match = _MATCHER.fullmatch(text)
        if match is None:
            message = f'{shown(text)} is no matcher: write label="value", or != =~ !~ in place of ='
            raise InvalidMatcher(message)
        name, op, value = match.groups()
        return cls(_unescape(name[1:-1]) if name.startswith('"') else name, op, _unquote(value, text))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` meet the condition."""
        value = labels.get(self.name, "")
        if self._pattern is None:
            return (value == self.value) is (self.op == "=")
        return (self._pattern.fullmatch(value) is not None) is (self.op == "=~")


def _compile(value: str) -> Any:  # noqa: ANN401 - re2 tells no types
    import re2  # noqa: PLC0415 - the built-in rules have no expression, and start without it

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(value, options)
    except (re2.error, UnicodeError) as error:
        why = error.args[0] if error.args else error
        why = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        message = f"{shown(value)} is no regular expression of RE2: {shown(why)}"
        raise InvalidMatcher(message) from None


def _unquote(value: str, text: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        return _unescape(quoted[1])
    if value.startswith('"'):
        message = f"{shown(text)} is no matcher: the quotes of its value do not close at its end"
        raise InvalidMatcher(message)
    if not _BARE.fullmatch(value):
        message = f'{shown(text)} is no matcher: a " in a value has to be quoted'
        raise InvalidMatcher(message)
    if "," in value:
        # Alertmanager would read two matchers here.
        message = (
            f"{shown(text)} is no matcher: quote a value that has a comma, and write one matcher an item"
        )
        raise InvalidMatcher(message)
    return _unescape(value)


def _unescape(text: str) -> str:
    # What is no escape stays as it stands, so that a regular expression needs no second backslash.
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[0]), text)
