"""Reads the commands and flags of the parser into plain values, for completion and the manual page."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

_FILES = ("FILE", "DIR")


@dataclass(frozen=True, slots=True)
class Argument:
    """A flag or a positional argument.

    Attributes:
        names: the flags; empty: it is positional.
        help: one sentence.
        choices: the allowed values; empty: any.
        metavar: the name of its value; empty: it has none.
        takes_file: whether its value is a path.
    """

    names: tuple[str, ...]
    help: str
    choices: tuple[str, ...]
    metavar: str
    takes_file: bool


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """A command with its summary, arguments and epilog."""

    name: str
    summary: str
    arguments: tuple[Argument, ...]
    epilog: str


def commands_of(parser: argparse.ArgumentParser) -> list[CommandHelp]:
    """All commands of ``parser``."""
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            summaries = {one.dest: one.help or "" for one in action._choices_actions}  # noqa: SLF001
            found += [
                CommandHelp(name, summaries.get(name, ""), arguments_of(one), one.epilog or "")
                for name, one in action.choices.items()
            ]
    return found


def arguments_of(parser: argparse.ArgumentParser) -> tuple[Argument, ...]:
    """The arguments of one command."""
    return tuple(
        _argument(parser, action)
        for action in parser._actions  # noqa: SLF001
        if not isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
    )


def _argument(parser: argparse.ArgumentParser, action: argparse.Action) -> Argument:
    choices = tuple(map(str, action.choices or ()))
    metavar = action.metavar if isinstance(action.metavar, str) else "|".join(choices) or action.dest.upper()
    has_value = action.nargs != 0
    text = (action.help or "") % {"prog": parser.prog, "default": action.default}
    return Argument(
        tuple(action.option_strings), text, choices, metavar if has_value else "", metavar in _FILES
    )
