"""Documentation, pasted: the fenced blocks of a page, and terminals to paste them into."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .process import eventually, program

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.M | re.S)
_FILE = re.compile(r"# (\S+\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: where it stands, relative to the repository.
        language: what stands behind the fence.
        text: what is between the fences.
    """

    page: str
    language: str
    text: str

    @property
    def file(self) -> str:
        """The name in a first line such as ``# prometheus.yml``; empty where there is none."""
        match = _FILE.match(self.text)
        return match[1] if match else ""


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks of a page in some languages, in all where none is named."""
    text = (ROOT / page).read_text()
    found = [
        Block(page, language, re.sub(rf"^{indent}", "", body, flags=re.M))
        for indent, language, body in _FENCE.findall(text)
    ]
    return [one for one in found if not languages or one.language in languages]


def pages() -> list[str]:
    """Every page for readers, relative to the repository."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


class Running:
    """A block that goes on until it is stopped, or until what it waits for has come."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._popen.stdout as stdout:
            for line in stdout:
                self.lines.append(line.rstrip("\n"))

    def says(self, what: str, since: int = 0) -> None:
        """Wait until a line from number ``since`` on has ``what`` in it."""

        def said() -> bool:
            found = any(what in line for line in self.lines[since:])
            if not found:
                self.alive()
            return found

        eventually(said, what)

    def alive(self) -> None:
        """Fail with what it said if it has ended."""
        if self._popen.poll() is not None:
            self._reader.join(10)
            raise AssertionError(f"ended with {self._popen.returncode}:\n" + "\n".join(self.lines))

    def interrupt(self) -> int:
        """Ctrl-C, for all that it started; the exit status."""
        if self._popen.poll() is None:
            os.killpg(self._popen.pid, signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        code = self._popen.wait(60)
        self._reader.join(10)
        return code


def checkout(folder: Path) -> Path:
    """A copy of the repository without what is made there: environments, caches, state."""
    tree = folder / "tree"
    ignore = shutil.ignore_patterns(
        ".git", ".venv", "build", "dist", "__pycache__", ".*_cache", "*.egg-info", "*.db*"
    )
    shutil.copytree(ROOT, tree, ignore=ignore, symlinks=True)
    return tree


class Terminals:
    """Terminals in a checkout. `make` works in it: nothing it installs may reach the environment of the tests.

    Args:
        tree: the checkout.
        folder: for everything else.
        places: what is replaced in everything that is pasted: addresses that a test cannot use.
        environ: further variables.
        programs: names on the PATH, and the shell commands behind them.

    Attributes:
        places: as above; it may be changed at any time.
    """

    def __init__(
        self,
        tree: Path,
        folder: Path,
        replacements: Mapping[str, str],
        environ: Mapping[str, str],
        programs: Mapping[str, str],
    ) -> None:
        self.tree = tree
        self.replacements = dict(replacements)
        named = folder / "programs"
        named.mkdir()
        for name, command in programs.items():
            (named / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (named / name).chmod(0o755)
        found = {str(Path(program(name)).parent) for name in ("amtool", "promtool", "curl", "make")}
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("WELLBEING_", "MAKE"))
        }
        self._environ = {
            **clean,
            "PATH": os.pathsep.join([str(named), *sorted(found), os.environ["PATH"]]),
            "HOME": str(folder),
            "PYTHONUNBUFFERED": "1",
            **environ,
        }
        self._running: list[Running] = []

    def __enter__(self) -> Terminals:
        return self

    def __exit__(self, *_: object) -> None:
        for one in reversed(self._running):
            one.interrupt()

    def save(self, block: Block) -> Path:
        """Save a block that names its file."""
        assert block.file, block.text
        path = self.tree / block.file
        path.write_text(self._replaced(block.text))
        return path

    def paste(self, block: Block, **environ: str) -> str:
        """Run a block to its end; what it says."""
        popen = self._begin(block.text, environ)
        out, _ = popen.communicate(timeout=120)
        assert popen.returncode == 0, f"{block.text}\n{out}"
        return out

    def start(self, block: Block, **environ: str) -> Running:
        """Begin a block that does not end by itself at once."""
        running = Running(self._begin(block.text, environ))
        self._running.append(running)
        return running

    def _begin(self, text: str, environ: Mapping[str, str]) -> subprocess.Popen[str]:
        command = ["bash", "-euo", "pipefail", "-c", self._replaced(text)]
        env = {**self._environ, **environ}
        return subprocess.Popen(
            command, cwd=self.tree, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def _replaced(self, text: str) -> str:
        for old, new in self.replacements.items():
            text = text.replace(old, new)
        return text
