"""Completion in real shells: the line after Tab was pressed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness.process import eventually, program

ROOT = Path(__file__).parents[2]
TYPED = {
    "hist": "history ",
    "history --kin": "history --kind ",
    "history --output jsonl": "history --output jsonl ",
    "history --output t": "history --output table ",
    "completion f": "completion fish ",
    "state team-a/llama dist": "state team-a/llama distressed ",
    "state dist": "state distressed ",
    "copy-store a --conf": "copy-store a --config ",
    "check-config side": "check-config sidecar.yaml ",
    "pause a --token-file to": "pause a --token-file token.txt ",
    "pause a --reason side": "pause a --reason side",
    "hook-test slack --event blin": "hook-test slack --event blind ",
    "backtest --no-send": "backtest --no-send-resolved ",
}
# Each shell binds Ctrl-T to write the line to a file. It reads no settings of this machine.
SHELLS = {
    "bash": (
        ["--norc", "--noprofile", "-i"],
        "source ./_wellbeing-sidecar; bind -x '\"\\C-t\": printf \"%s\\n\" \"$READLINE_LINE\" >> lines'",
    ),
    "zsh": (
        ["-f", "-i"],
        ("fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; "
         "zle_line() { print -r -- \"$BUFFER\" >> lines }; zle -N zle_line; bindkey '^T' zle_line"),
    ),
}  # fmt: skip


def script_of(shell: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "completion", shell],
        check=True, cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout


@contextmanager
def terminal(folder: Path, command: list[str]) -> Iterator[int]:
    """A program in a terminal, and the descriptor of its keyboard."""
    keyboard, screen = pty.openpty()
    environ = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    running = subprocess.Popen(
        command, cwd=folder, env=environ, stdin=screen, stdout=screen, stderr=screen, start_new_session=True
    )
    os.close(screen)
    os.set_blocking(keyboard, False)
    try:
        yield keyboard
    finally:
        running.kill()
        running.wait(30)
        os.close(keyboard)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_commands_flags_values_and_files(tmp_path: Path, shell: str) -> None:
    (tmp_path / "_wellbeing-sidecar").write_text(script_of(shell))
    (tmp_path / "sidecar.yaml").touch()
    (tmp_path / "token.txt").touch()
    lines = tmp_path / "lines"
    arguments, setup = SHELLS[shell]
    seen: list[str] = []
    screen = b""

    def has(count: int) -> bool:
        nonlocal screen
        with suppress(BlockingIOError):
            screen += os.read(keyboard, 65_536)
        seen[:] = lines.read_text().splitlines() if lines.exists() else []
        return len(seen) >= count

    with terminal(tmp_path, [program(shell), *arguments]) as keyboard:
        os.write(keyboard, f"{setup}; echo ready >> lines\n".encode())
        eventually(lambda: has(1), f"{shell} is ready")
        for number, typed in enumerate(TYPED, 2):
            # Ctrl-U empties the line.
            os.write(keyboard, f"\x15wellbeing-sidecar {typed}\t\x14".encode())
            eventually(lambda number=number: has(number), f"{shell} completes {typed}: {screen!r}")
    assert dict(zip(TYPED, seen[1:], strict=True)) == {
        typed: f"wellbeing-sidecar {expected}" for typed, expected in TYPED.items()
    }
    assert b"_arguments:" not in screen, "the completion prints no error"


def test_fish_completes_commands_flags_values_and_files(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "fish" / "completions"
    folder.mkdir(parents=True)
    (folder / "wellbeing-sidecar.fish").write_text(script_of("fish"))
    (tmp_path / "sidecar.yaml").touch()
    (tmp_path / "token.txt").touch()
    asks = "; ".join(f"complete -C 'wellbeing-sidecar {typed}'; echo ==" for typed in TYPED)
    # fish loads completions only for programs that exist.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {"PATH": path, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [program("fish"), "-c", asks], check=True, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    assert done.stderr == ""
    offered = [
        [line.partition("\t")[0] for line in part.splitlines() if line]
        for part in done.stdout.split("==\n")[: len(TYPED)]
    ]
    for (typed, expected), words in zip(TYPED.items(), offered, strict=True):
        wanted = [expected.split()[-1]] if expected.endswith(" ") else []
        assert words == wanted, typed
