"""Writes the manual page from the parser: ``python -m sidecar.cli.manual FILE``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .command_tree import Argument, CommandHelp, commands_of
from .exit_statuses import EPILOG
from .parser import make_parser

_PROGRAM = "wellbeing-sidecar"


def manual_page() -> str:
    """The page, in the macros of man(7)."""
    parser = make_parser()
    return "\n".join([*_lines(parser.description or "", commands_of(parser)), ""])


def _lines(description: str, commands: list[CommandHelp]) -> Iterator[str]:
    yield '.TH WELLBEING\\-SIDECAR 1 "" "wellbeing\\-sidecar" "User Commands"'
    yield ".SH NAME"
    yield "wellbeing\\-sidecar \\- pauses LLM inference while an agent or a model is not well"
    yield ".SH SYNOPSIS"
    yield f".B {_escaped(_PROGRAM)}"
    yield ".I COMMAND"
    yield "[argument ...]"
    yield ".SH DESCRIPTION"
    yield _escaped(description)
    yield "A scope is a path such as team\\-a/llama. Durations are seconds, or like 90s, 5m, 1h30m."
    yield ".SH COMMANDS"
    for command in commands:
        yield f".SS {_escaped(command.name)}"
        yield _escaped(command.summary[:1].upper() + command.summary[1:] + ".")
        for argument in command.arguments:
            if argument.help:
                yield ".TP"
                yield _term(argument)
                yield _escaped(argument.help)
        examples = command.epilog.removesuffix(EPILOG).strip()
        if examples:
            yield ".PP"
            yield ".nf"
            yield _escaped(examples)
            yield ".fi"
    yield ".SH EXIT STATUS"
    yield ".nf"
    yield _escaped(EPILOG.partition("\n")[2].rstrip())
    yield ".fi"
    yield ".SH ENVIRONMENT"
    yield "WELLBEING_URL, WELLBEING_TOKEN, WELLBEING_TOKEN_FILE, WELLBEING_CLIENT_CA_FILE, WELLBEING_CONFIG"
    yield "give the defaults of flags. NO_COLOR turns colours off. USER is recorded as the actor of commands"
    yield "that are sent without a credential from the sidecar's own machine."


def _term(argument: Argument) -> str:
    names = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in argument.names)
    value = f"\\fI{_escaped(argument.metavar)}\\fR" if argument.metavar else ""
    return " ".join(filter(None, (names, value)))


def _escaped(text: str) -> str:
    """``text`` as roff shows it: hyphens stay hyphens, and no line is a request."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").split("\n")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in lines)


def main(path: str) -> None:
    """Write the page to the file at ``path``."""
    Path(path).write_text(manual_page(), encoding="utf-8")


if __name__ == "__main__":
    for _name in [name for name in os.environ if name.startswith("WELLBEING_")]:
        # The defaults of flags must not depend on this machine.
        del os.environ[_name]
    main(sys.argv[1])
