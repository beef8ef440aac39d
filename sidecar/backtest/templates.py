"""Expands templates in labels and annotations of rules: the common part of Go's templates.

``{{ $labels.NAME }}``, ``{{ .Labels.NAME }}``, ``{{ $value }}``, ``{{ .Value }}``, ``$externalLabels``,
pipelines into ``humanize``, ``humanize1024``, ``humanizeDuration``, ``humanizePercentage``, ``toUpper``,
``toLower``, ``printf`` and ``reReplaceAll``, and ``if``, ``with``, ``else``, ``end`` around them. Any other
form, such as a query, is refused, because a guess could give an alert labels that it did not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import re2

from sidecar.core.errors import short_repr

from .numbers import go_number, humanize, humanize_binary, humanize_duration, humanize_percentage

Operand = str | float
_ACTION = re.compile(r"\{\{(- )?\s*(.*?)\s*( -)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<pipe>\|)"""
    r"""|(?P<path>\$?(?:\.?[A-Za-z_][A-Za-z0-9_]*)+|\.(?![A-Za-z0-9_])))""",
    re.ASCII,
)
_FIELD = re.compile(r"(?:\$labels|\$?\.Labels)\.([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_EXTERNAL = re.compile(r"(?:\$externalLabels|\$?\.ExternalLabels)\.([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_VALUES = ("$value", ".Value", "$.Value")
_GROUP = re.compile(r"\$\{?(\d+)\}?", re.ASCII)
_VERB = re.compile(r"%(?:%|[-+ 0#]*\d*(?:\.\d+)?[vsfgeq])")
_FORMS = (
    "{{ $labels.NAME }}, {{ $value }}, the humanize functions, printf, if, with, else and end "
    "can be filled in"
)


class InvalidTemplate(ValueError):
    """The template cannot be expanded; the message names the part."""


@dataclass(frozen=True, slots=True)
class AlertData:
    """The values for a template.

    Attributes:
        labels: the labels of the series that the expression returned.
        value: the value of its sample.
        external_labels: the external labels of the Prometheus.
    """

    labels: Mapping[str, str]
    value: float
    external_labels: Mapping[str, str]


_Eval = Callable[[AlertData, Operand], Operand]
_Node = Callable[[AlertData, Operand], str]


@dataclass(frozen=True, slots=True)
class Template:
    """A template that can be filled in.

    Attributes:
        text: the text in the rule file.
        uses_value: whether the result depends on the sample's value.
    """

    text: str
    uses_value: bool
    _nodes: tuple[_Node, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Parse ``text``. Raises `InvalidTemplate`."""
        if "{{" not in text:
            return cls(text, uses_value=False, _nodes=(lambda _, __: text,))
        parser = _Parser(text)
        nodes = parser.block(())
        return cls(text, parser.uses_value, nodes)

    def fill(self, data: AlertData) -> str:
        """The text with the values of ``data``."""
        return _joined(self._nodes, data, "")


def _joined(nodes: tuple[_Node, ...], data: AlertData, dot: Operand) -> str:
    return "".join([node(data, dot) for node in nodes])


class _Parser:
    def __init__(self, text: str) -> None:
        self.uses_value = False
        self.ended_by = ""
        self._parts = _split(text)
        self._next = 0

    def block(self, ends: tuple[str, ...]) -> tuple[_Node, ...]:
        """The nodes up to one of the actions in ``ends``; if that is empty, up to the end of the text."""
        nodes: list[_Node] = []
        while self._next < len(self._parts):
            is_action, text = self._parts[self._next]
            self._next += 1
            if not is_action:
                nodes.append(_constant(text))
                continue
            word = text.partition(" ")[0]
            if word in ("else", "end"):
                if word not in ends:
                    raise InvalidTemplate(f"{{{{ {text} }}}} stands outside of if and with")
                self.ended_by = text
                return tuple(nodes)
            if word in ("if", "with"):
                nodes.append(self._branch(word, text[len(word) :], text))
            elif not (text.startswith("/*") and text.endswith("*/")):
                nodes.append(_printed(self._pipeline(text, text)))
        if ends:
            raise InvalidTemplate("{{ end }} is missing")
        return tuple(nodes)

    def _branch(self, word: str, condition: str, action: str) -> _Node:
        test = self._pipeline(condition, action)
        then = self.block(("else", "end"))
        otherwise: tuple[_Node, ...] = ()
        if self.ended_by.startswith("else"):
            rest = self.ended_by[len("else") :].strip()
            again = rest.partition(" ")[0]
            if again in ("if", "with"):
                otherwise = (self._branch(again, rest[len(again) :], rest),)
            elif rest:
                raise _refusal(self.ended_by)
            else:
                otherwise = self.block(("end",))

        def fill(data: AlertData, dot: Operand) -> str:
            value = test(data, dot)
            if value:
                return _joined(then, data, value if word == "with" else dot)
            return _joined(otherwise, data, dot)

        return fill

    def _pipeline(self, text: str, action: str) -> _Eval:
        commands = _tokens(text, action)
        previous: _Eval | None = None
        for command in commands:
            previous = self._command(command, previous, action)
        assert previous is not None  # noqa: S101 - there is at least one command
        return previous

    def _command(self, tokens: list[tuple[str, str]], piped: _Eval | None, action: str) -> _Eval:
        kind, name = tokens[0]
        if kind == "path" and name == "printf":
            return self._printf(tokens[1:], piped, action)
        if kind == "path" and name == "reReplaceAll":
            return self._replace(tokens[1:], piped, action)
        if kind == "path" and name in _FUNCTIONS:
            arguments = [self._operand(one, action) for one in tokens[1:]] + ([piped] if piped else [])
            if len(arguments) != 1:
                raise _refusal(action)
            function, argument = _FUNCTIONS[name], arguments[0]
            return lambda data, dot: function(argument(data, dot))
        if piped is not None or len(tokens) != 1:
            raise _refusal(action)
        return self._operand(tokens[0], action)

    def _printf(self, tokens: list[tuple[str, str]], piped: _Eval | None, action: str) -> _Eval:
        if not tokens or tokens[0][0] != "string":
            raise _refusal(action)
        form = _unquoted(tokens[0][1])
        arguments = [self._operand(one, action) for one in tokens[1:]] + ([piped] if piped else [])
        verbs = [verb for verb in _VERB.findall(form) if verb != "%%"]
        if len(verbs) != len(arguments) or "%" in _VERB.sub("", form):
            raise _refusal(action)

        def fill(data: AlertData, dot: Operand) -> str:
            values = iter([argument(data, dot) for argument in arguments])
            return _VERB.sub(lambda verb: "%" if verb[0] == "%%" else _formatted(verb[0], next(values)), form)

        return fill

    def _replace(self, tokens: list[tuple[str, str]], piped: _Eval | None, action: str) -> _Eval:
        """``reReplaceAll PATTERN REPLACEMENT TEXT``, as Go's ``Regexp.ReplaceAllString``."""
        if len(tokens) != (2 if piped else 3) or tokens[0][0] != "string" or tokens[1][0] != "string":
            raise _refusal(action)
        text = piped or self._operand(tokens[2], action)
        try:
            pattern = re2.compile(_unquoted(tokens[0][1]))
        except re2.error:
            raise _refusal(action) from None
        # Go writes groups as $1 or ${1}, RE2's own replacements as \\1.
        replacement = _GROUP.sub(r"\\\1", _unquoted(tokens[1][1]).replace("\\", r"\\"))
        return lambda data, dot: str(pattern.sub(replacement, str(text(data, dot))))

    def _operand(self, token: tuple[str, str], action: str) -> _Eval:
        kind, text = token
        if kind == "string":
            string = _unquoted(text)
            return lambda _, __: string
        if kind == "number":
            number = float(text)
            return lambda _, __: number
        if text == ".":
            return lambda _, dot: dot
        if text in _VALUES:
            self.uses_value = True
            return lambda data, _: data.value
        field, external = _FIELD.fullmatch(text), _EXTERNAL.fullmatch(text)
        if field is not None:
            name = field[1]
            return lambda data, _: data.labels.get(name, "")
        if external is not None:
            name = external[1]
            return lambda data, _: data.external_labels.get(name, "")
        raise _refusal(action)


def _split(text: str) -> list[tuple[bool, str]]:
    """Texts and actions alternately; ``{{-`` and ``-}}`` trim the adjacent texts."""
    parts: list[tuple[bool, str]] = []
    end = 0
    trim = False
    for match in _ACTION.finditer(text):
        before = text[end : match.start()]
        before = before.lstrip() if trim else before
        parts.append((False, before.rstrip() if match[1] else before))
        parts.append((True, match[2]))
        end, trim = match.end(), bool(match[3])
    rest = text[end:].lstrip() if trim else text[end:]
    if "{{" in rest:
        raise InvalidTemplate(f"{short_repr(rest)}: the braces do not close")
    return [*parts, (False, rest)]


def _tokens(text: str, action: str) -> list[list[tuple[str, str]]]:
    """The commands of a pipeline, each a list of kinds and texts."""
    commands: list[list[tuple[str, str]]] = [[]]
    location, text = 0, text.rstrip()
    while location < len(text):
        match = _TOKEN.match(text, location)
        if match is None:
            raise _refusal(action)
        location = match.end()
        kind = match.lastgroup or ""
        if kind == "pipe":
            commands.append([])
        else:
            commands[-1].append((kind, match[kind]))
    if not all(commands):
        raise _refusal(action)
    return commands


def _refusal(action: str) -> InvalidTemplate:
    return InvalidTemplate(f"{{{{ {short_repr(action)[1:-1]} }}}} cannot be filled in: {_FORMS}")


def _constant(text: str) -> _Node:
    return lambda _, __: text


def _printed(value: _Eval) -> _Node:
    return lambda data, dot: _text(value(data, dot))


def _text(value: Operand) -> str:
    return value if isinstance(value, str) else go_number(value)


def _number(value: Operand) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise InvalidTemplate(f"{short_repr(value)} is not a number") from None
    return value


def _formatted(verb: str, value: Operand) -> str:
    flags, letter = verb[:-1], verb[-1]
    if letter in "feg":
        return f"{flags}{letter}" % _number(value)
    text = _text(value)
    return f"{flags}s" % (f'"{text}"' if letter == "q" else text)


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text[1:-1])


_FUNCTIONS: Mapping[str, Callable[[Operand], Operand]] = {
    "humanize": lambda value: humanize(_number(value)),
    "humanize1024": lambda value: humanize_binary(_number(value)),
    "humanizeDuration": lambda value: humanize_duration(_number(value)),
    "humanizePercentage": lambda value: humanize_percentage(_number(value)),
    "toUpper": lambda value: _text(value).upper(),
    "toLower": lambda value: _text(value).lower(),
}
