"""Alertmanager's matchers: ``severity="critical"``, ``alertname=~"Vllm.+"``, ``!=``, ``!~``.

As there, a label that is missing counts as the empty string, and a regular expression has to match the
whole value; ``.`` matches no newline. The expressions are Python's, which Go's RE2 syntax nearly is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.core.errors import shown

from .errors import InvalidMatcher

_MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.ASCII | re.DOTALL)
_ESCAPE = re.compile(r'\\(.)|(")', re.DOTALL)
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label.

    Attributes:
        name: the label's.
        op: ``=``, ``!=``, ``=~`` or ``!~``.
        value: to compare with: a text, or a regular expression.
    """

    name: str
    op: str
    value: str
    _pattern: re.Pattern[str] | None = field(default=None, repr=False, compare=False)

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
        name, op, raw = match.groups()
        value = _unquote(raw, text)
        pattern = None
        if op in ("=~", "!~"):
            try:
                pattern = re.compile(value)
            except (re.error, RecursionError, OverflowError) as error:
                message = f"{shown(text)}: the regular expression is wrong: {error}"
                raise InvalidMatcher(message) from None
        return cls(name, op, value, pattern)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` meet the condition."""
        value = labels.get(self.name, "")
        if self._pattern is None:
            return (value == self.value) is (self.op == "=")
        return (self._pattern.fullmatch(value) is not None) is (self.op == "=~")


def _unquote(raw: str, text: str) -> str:
    if not raw.startswith('"'):
        if '"' in raw:
            message = f'{shown(text)} is no matcher: a " in a value has to be quoted'
            raise InvalidMatcher(message)
        return raw
    inner = raw[1:-1]
    if len(raw) == 1 or not raw.endswith('"') or any(match[2] for match in _ESCAPE.finditer(inner)):
        message = f"{shown(text)} is no matcher: the quotes of its value do not close at its end"
        raise InvalidMatcher(message)
    if re.sub(r"\\.", "", inner, flags=re.DOTALL).endswith("\\"):
        message = f"{shown(text)} is no matcher: the quotes of its value do not close at its end"
        raise InvalidMatcher(message)
    # What is no escape stays as it stands, so that a regular expression needs no second backslash.
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[0]), inner)
