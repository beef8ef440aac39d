"""Parses the command line.

The module of a command is imported only for that command. So a short command, such as ``gate`` in a shell
script, does not wait for other modules.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn, Protocol, cast

from sidecar import __version__

from .commands import SUMMARIES
from .exit_statuses import EPILOG

_PROGRAM = "wellbeing-sidecar"
_DEFAULT_WIDTH = 80
_DESCRIPTION = """\
Gates LLM inference by the wellbeing of agents and models. `serve` runs the sidecar. The other commands use a
running sidecar or help with its config."""
_EXAMPLES = """\
examples:
  wellbeing-sidecar serve --config sidecar.yaml
  wellbeing-sidecar status
  wellbeing-sidecar pause team-a/llama --reason "checking the model" --max-pause-secs 10m
  wellbeing-sidecar resume team-a/llama
  wellbeing-sidecar gate team-a/llama --wait 5m && start-the-batch

`wellbeing-sidecar COMMAND --help` shows the arguments of a command. A scope is a path such as team-a/llama. A
command on it also applies to everything inside it. Durations are seconds, or like 90s, 5m, 1h30m.

"""


class _CommandModule(Protocol):
    """The interface of a command's module. ``add_arguments`` and ``EXAMPLES`` are optional."""

    EXAMPLES: tuple[str, ...]
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Formats help at the terminal's width. argparse would load `shutil` and three compression modules."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width() - 2)


def _width() -> int:
    """Columns of the terminal, as `shutil.get_terminal_size` has them."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _DEFAULT_WIDTH  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return _DEFAULT_WIDTH


class _Parser(argparse.ArgumentParser):
    """Suggests a similar choice or flag for an unknown one."""

    def error(self, message: str) -> NoReturn:
        """Print ``message`` and exit with 2."""
        super().error(message + self._hint(message))

    def _hint(self, message: str) -> str:
        from sidecar.core.errors import closest_match  # noqa: PLC0415 - only mistakes need it

        near = None
        if "invalid choice: " in message:
            got = message.partition("invalid choice: '")[2].partition("'")[0]
            known = [one.strip(" '") for one in message.partition("choose from ")[2].rstrip(")").split(",")]
            near = closest_match(got, known)
        elif message.startswith("unrecognized arguments: -"):
            got = message.partition(": ")[2].split()[0]
            near = closest_match(got, self.flags())
        return f" (did you mean {near}?)" if near else ""

    @property
    def flags_before_command(self) -> list[str]:
        """The flags of this parser itself."""
        return list(self._option_string_actions)

    def flags(self) -> list[str]:
        """All flags of this parser and its commands."""
        found = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no other way
                found += [flag for one in action.choices.values() for flag in one.flags()]
        return found


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of the command that ``arguments`` begin with. ``run`` of the result runs the command.

    Help, ``--version`` and mistakes end the process, as argparse does.
    """
    name, *rest = arguments or ("",)
    if name in SUMMARIES:
        parser = _Parser(prog=f"{_PROGRAM} {name}", **_texts(name))
        _add_arguments(parser, name)
        return parser.parse_args(rest)
    parser = make_parser()
    command = next((one for one in rest if one in SUMMARIES), None)
    if name.startswith("-") and name not in parser.flags_before_command and command:
        parser.error(f"{name} must come after the command: {_PROGRAM} {command} {name} ...")
    return parser.parse_args(arguments)


def make_parser() -> _Parser:
    """The parser of all commands."""
    parser = _Parser(
        prog=_PROGRAM,
        description=_DESCRIPTION,
        epilog=_EXAMPLES + EPILOG,
        formatter_class=_HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, summary in SUMMARIES.items():
        _add_arguments(commands.add_parser(name, help=summary, **_texts(name)), name)
    return parser


def _texts(name: str) -> dict[str, Any]:
    summary = SUMMARIES[name]
    lines = "".join(f"  {_PROGRAM} {one}\n" for one in getattr(_module(name), "EXAMPLES", ()))
    return {
        "description": summary[0].upper() + summary[1:] + ".",
        "epilog": ("examples:\n" + lines + "\n" if lines else "") + EPILOG,
        "formatter_class": _HelpFormatter,
    }


def _add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    module = _module(name)
    parser.set_defaults(run=module.run, command=name)
    add_arguments = getattr(module, "add_arguments", None)
    if add_arguments is not None:
        add_arguments(parser)


def _module(name: str) -> _CommandModule:
    return cast("_CommandModule", import_module(f".{name.replace('-', '_')}", __package__))
