"""``init``: asks three questions, and writes configs that work together."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .exit_statuses import OK, USAGE, CommandFailed
from .output import print_line
from .starter_files import ENGINES, MODES, PLACES, SCHEMA_FILE, Answers, next_steps, starter_files

_MEANINGS = {
    **{name: engine.title for name, engine in ENGINES.items()},
    "local": "on this machine",
    "kubernetes": "with the Helm chart",
    "advise": "only observe, and report which pauses would have been made",
    "pause": "pause what is distressed",
}

EXAMPLES = (
    "init",
    "init --engine vllm --place local --mode advise --directory wellbeing",
    "init --engine sglang --place kubernetes --mode pause   # values of the Helm chart",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    parser.add_argument("--engine", choices=tuple(ENGINES), help="the engine that serves the model")
    parser.add_argument("--place", choices=PLACES, help="where the sidecar runs")
    parser.add_argument("--mode", choices=MODES, help="advise: only observe; pause: pause what is distressed")
    parser.add_argument(
        "--directory",
        default=".",
        metavar="DIR",
        help="the folder of the files (default: the current folder)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")


def run(options: argparse.Namespace) -> int:
    """Write the files; print the next steps."""
    answers = Answers(
        options.engine or _ask("Which engine serves the model?", "engine", tuple(ENGINES)),
        options.place or _ask("Where does the sidecar run?", "place", PLACES),
        options.mode or _ask("Should it pause?", "mode", MODES),
    )
    folder = Path(options.directory)
    try:
        files = starter_files(answers)
    except FileNotFoundError as error:
        raise CommandFailed(str(error)) from None
    if answers.place == "local":
        files[SCHEMA_FILE] = _schema()
    there = [name for name in files if (folder / name).exists()]
    if there and not options.force:
        raise CommandFailed(f"not overwritten: {', '.join(there)} in {folder} (--force overwrites)")
    for name, text in files.items():
        _write(folder / name, text)
    for name in files:
        print_line(f"wrote {folder / name}")
    print_line("next:")
    for number, step in enumerate(next_steps(answers, folder), start=1):
        print_line(f"  {number}. {step}")
    return OK


def _ask(question: str, flag: str, choices: Sequence[str]) -> str:
    if not sys.stdin.isatty():
        raise CommandFailed(
            f"there is no terminal for questions: give --{flag} ({', '.join(choices)})", USAGE
        )
    print_line(question)
    for number, choice in enumerate(choices, start=1):
        print_line(f"  {number}. {choice}: {_MEANINGS[choice]}")
    while True:
        try:
            answer = input(f"1-{len(choices)} [1]: ").strip() or "1"
        except EOFError:
            raise CommandFailed("no answer, nothing written") from None
        if answer in choices:
            return answer
        if answer.isdecimal() and 1 <= int(answer) <= len(choices):
            return choices[int(answer) - 1]
        print_line(f"{answer!r} is not one of them")


def _schema() -> str:
    import json  # noqa: PLC0415 - only this command needs them

    from sidecar.config.json_schema import json_schema  # noqa: PLC0415

    return json.dumps(json_schema(), indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror or error}") from None
