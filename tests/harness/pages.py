"""Runs documentation: the fenced code blocks of a page, and terminals that run them."""

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
from typing import Self

from .process import eventually, program

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S+\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path of the page, relative to the repository.
        language: the language after the opening fence.
        text: the text between the fences.
    """

    page: str
    language: str
    text: str

    @property
    def file(self) -> str:
        """The name in a first line such as ``# prometheus.yml``; empty if there is none."""
        match = _FILE.match(self.text)
        return match[1] if match else ""


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks of a page in these languages; in all languages if none is named."""
    text = (ROOT / page).read_text()
    found = [
        Block(page, language, re.sub(rf"^{indent}", "", body, flags=re.MULTILINE))
        for indent, language, body in _FENCE.findall(text)
    ]
    return [one for one in found if not languages or one.language in languages]


def pages() -> list[str]:
    """The paths of all documentation pages, relative to the repository."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


class Running:
    """A block that runs until it is stopped or ends by itself."""

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
        """Wait for a line that contains ``what``, at or after line number ``since``."""

        def is_found() -> bool:
            found = any(what in line for line in self.lines[since:])
            if not found:
                self.alive()
            return found

        eventually(is_found, what)

    def alive(self) -> None:
        """Fail with the output if the block has ended."""
        if self._popen.poll() is not None:
            self._reader.join(10)
            raise AssertionError(f"ended with {self._popen.returncode}:\n" + "\n".join(self.lines))

    def interrupt(self) -> int:
        """Send Ctrl-C to the block and its children. Returns the exit status."""
        if self._popen.poll() is None:
            os.killpg(self._popen.pid, signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        code = self._popen.wait(60)
        self._reader.join(10)
        return code


def checkout(folder: Path) -> Path:
    """A copy of the repository without generated files: environments, caches, state."""
    tree = folder / "tree"
    ignore = shutil.ignore_patterns(
        ".git", ".venv", "build", "dist", "__pycache__", ".*_cache", "*.egg-info", "*.db*"
    )
    shutil.copytree(ROOT, tree, ignore=ignore, symlinks=True)
    return tree


class Terminals:
    """Terminals in a checkout, so that `make` cannot change the environment of the tests.

    Args:
        tree: the checkout.
        folder: folder for all other files.
        replacements: texts that are replaced in each block, such as addresses that a test cannot use.
        environ: additional variables.
        programs: shell commands by their names on the PATH.

    Attributes:
        replacements: the replacements; a test may change them at any time.
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
            # Most installed modules are never imported.
            "PIP_NO_COMPILE": "1",
            **environ,
        }
        self._running: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in reversed(self._running):
            one.interrupt()

    def save(self, block: Block) -> Path:
        """Write a block to the file that it names."""
        assert block.file, block.text
        path = self.tree / block.file
        path.write_text(self._replaced(block.text))
        return path

    def paste(self, block: Block, **environ: str) -> str:
        """Run a block until it ends. Returns its output."""
        popen = self._begin(block.text, environ)
        out, _ = popen.communicate(timeout=600)
        assert popen.returncode == 0, f"{block.text}\n{out}"
        return out

    def start(self, block: Block, **environ: str) -> Running:
        """Start a block that keeps running."""
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
