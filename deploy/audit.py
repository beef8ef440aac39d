"""Checks the locked dependencies for known vulnerabilities with pip-audit.

pip-audit succeeds when it cannot look a dependency up. This program fails then: what was not looked up does
not count as safe. ``make audit AUDIT=skip`` does not run it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock", "deploy/requirements-build.lock")
HINT = "where no vulnerability service can be reached, AUDIT=skip leaves this check out"


def verdict(dependencies: Iterable[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """The exit status and the lines to print.

    Args:
        dependencies: the report of pip-audit.
    """
    every = list(dependencies)
    skipped = sorted(one["name"] for one in every if "skip_reason" in one)
    lines = []
    for one in every:
        for found in one.get("vulns", ()):
            mended = ", ".join(found["fix_versions"]) or "no version"
            lines.append(f"{one['name']} {one['version']}: {found['id']}, fixed in {mended}")
    if len(skipped) == len(every):
        lines.append(
            f"no dependency could be looked up: the package index has no data on vulnerabilities; {HINT}"
        )
    elif skipped:
        lines.append(f"could not be looked up: {', '.join(skipped)}")
    if lines:
        return 1, lines
    return 0, [f"no known vulnerability in {len(every)} dependencies"]


def main(arguments: list[str]) -> int:
    """Audit the lock files with the named pip-audit. Returns the highest exit status."""
    (program,) = arguments
    worst = 0
    for lock in LOCKS:
        command = [
            program,
            "--require-hashes",
            "--disable-pip",
            "--progress-spinner=off",
            "--format=json",
            "-r",
            lock,
        ]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603
        if not done.stdout.startswith("{"):
            sys.stderr.write(done.stderr)
            print(f"{lock}: known vulnerabilities could not be looked up: pip-audit failed; {HINT}")
            return 1
        status, lines = verdict(json.loads(done.stdout)["dependencies"])
        for line in lines:
            print(f"{lock}: {line}")
        worst = max(worst, status)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
