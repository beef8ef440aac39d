"""``completion``: prints the completion script of a shell, made from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from .command_tree import Argument, CommandHelp, commands_of
from .exit_statuses import OK
from .output import print_text

_PROGRAM = "wellbeing-sidecar"

EXAMPLES = (
    "completion bash > ~/.local/share/bash-completion/completions/wellbeing-sidecar",
    'completion zsh > "${fpath[1]}/_wellbeing-sidecar"',
    "completion fish > ~/.config/fish/completions/wellbeing-sidecar.fish",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    from .parser import make_parser  # noqa: PLC0415 - it imports this module

    scripts: dict[str, Callable[[Sequence[CommandHelp]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    print_text(scripts[options.shell](commands_of(make_parser())).rstrip("\n"))
    return OK


def _flags(command: CommandHelp) -> list[Argument]:
    return [one for one in command.arguments if one.names]


def _positional_choices(command: CommandHelp) -> list[str]:
    return [choice for one in command.arguments if not one.names for choice in one.choices]


def _bash(commands: Sequence[CommandHelp]) -> str:
    cases, values = [], []
    for command in commands:
        words = [name for one in _flags(command) for name in one.names] + _positional_choices(command)
        cases.append(f'        {command.name}) words="{" ".join(words)}" ;;')
        for one in _flags(command):
            key = "|".join(f"{command.name}:{name}" for name in one.names)
            if one.choices:
                allowed = " ".join(one.choices)
                values.append(f'        {key}) COMPREPLY=($(compgen -W "{allowed}" -- "$word")); return ;;')
            elif one.takes_file:
                values.append(f'        {key}) COMPREPLY=($(compgen -f -- "$word")); return ;;')
            elif one.metavar:
                values.append(f"        {key}) return ;;")
    names = " ".join(command.name for command in commands)
    return "\n".join(
        [
            f"# Completion of {_PROGRAM} for bash.",
            "_wellbeing_sidecar() {",
            "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=",
            "    COMPREPLY=()",
            '    if [ "$COMP_CWORD" -eq 1 ]; then',
            f'        COMPREPLY=($(compgen -W "{names} --help --version" -- "$word"))',
            "        return",
            "    fi",
            '    case "${COMP_WORDS[1]}:$before" in',
            *values,
            "    esac",
            '    case "${COMP_WORDS[1]}" in',
            *cases,
            "    esac",
            '    COMPREPLY=($(compgen -W "$words" -- "$word"))',
            '    [ ${#COMPREPLY[@]} -gt 0 ] || [[ $word == -* ]] || COMPREPLY=($(compgen -f -- "$word"))',
            "}",
            f"complete -o filenames -F _wellbeing_sidecar {_PROGRAM}",
            "",
        ]
    )


def _zsh(commands: Sequence[CommandHelp]) -> str:
    names = [f"        {_quoted(f'{one.name}:{one.summary}')}" for one in commands]
    cases = []
    for command in commands:
        specs = [
            _quoted(f"{name}[{_zsh_text(one.help)}]" + (_zsh_value(one, one.choices) if one.metavar else ""))
            for one in _flags(command)
            for name in one.names
        ]
        places = [one for one in command.arguments if not one.names]
        # The argument at an optional position can be a value of the next position.
        allowed = _positional_choices(command)
        specs += [
            _quoted(f"{number}{_zsh_value(one, allowed)}") for number, one in enumerate(places, start=1)
        ]
        cases.append(f"        {command.name}) _arguments {' '.join(specs)} ;;")
    return "\n".join(
        [
            f"#compdef {_PROGRAM}",
            f"# Completion of {_PROGRAM} for zsh.",
            "_wellbeing_sidecar() {",
            "    local -a commands",
            "    commands=(",
            *names,
            "    )",
            "    if (( CURRENT == 2 )); then",
            "        _describe command commands",
            "        return",
            "    fi",
            "    local command=$words[2]",
            "    shift words",
            "    (( CURRENT-- ))",
            "    case $command in",
            *cases,
            "    esac",
            "}",
            'if [ "$funcstack[1]" = "_wellbeing-sidecar" ]; then',
            '    _wellbeing_sidecar "$@"',
            "else",
            f"    compdef _wellbeing_sidecar {_PROGRAM}",
            "fi",
            "",
        ]
    )


def _zsh_value(argument: Argument, choices: Sequence[str]) -> str:
    # Use an empty list for a value that cannot be completed: with a blank, zsh would not complete flags.
    action = "_files" if argument.takes_file and not choices else f"({' '.join(choices)})"
    return f":{_zsh_text(argument.metavar)}:{action}"


def _fish(commands: Sequence[CommandHelp]) -> str:
    lines = [
        f"# Completion of {_PROGRAM} for fish.",
        "function __wellbeing_sidecar_runs",
        "    set -l words (commandline -opc)",
        '    test (count $words) -ge 2; and test "$words[2]" = $argv[1]',
        "end",
        f"complete -c {_PROGRAM} -f",
    ]
    for command in commands:
        lines.append(
            f"complete -c {_PROGRAM} -n __fish_is_first_token -a {command.name} -d {_quoted(command.summary)}"
        )
        condition = f"-n '__wellbeing_sidecar_runs {command.name}'"
        choices = _positional_choices(command)
        lines += [f"complete -c {_PROGRAM} {condition} -a {choice}" for choice in choices]
        for one in command.arguments:
            if not one.names and one.takes_file:
                lines.append(f"complete -c {_PROGRAM} {condition} -F")
            for name in one.names:
                flag = f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                value = " -x" if one.metavar else ""
                value = " -r -F" if one.takes_file else value
                value += f" -a {_quoted(' '.join(one.choices))}" if one.choices else ""
                lines.append(f"complete -c {_PROGRAM} {condition} {flag}{value} -d {_quoted(one.help)}")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """``text`` in single quotes for a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh_text(text: str) -> str:
    for one in "\\[]:":
        text = text.replace(one, "\\" + one)
    return text
