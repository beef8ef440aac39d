"""Checks the locked dependencies for known vulnerabilities with pip-audit.

pip-audit succeeds when it cannot look a dependency up; this program fails then. The only exception: if the
package index has no such data at all, this program prints that and succeeds, except in CI.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


def verdict(dependencies: Iterable[Mapping[str, Any]], *, strict: bool) -> tuple[int, list[str]]:
    """The exit status and the lines to print.

    Args:
        dependencies: the report of pip-audit.
        strict: whether to fail if no dependency could be looked up.
    """
    every = list(dependencies)
    skipped = [one["name"] for one in every if "skip_reason" in one]
    lines = []
    for one in every:
        for found in one.get("vulns", ()):
            mended = ", ".join(found["fix_versions"]) or "no version"
            lines.append(f"{one['name']} {one['version']}: {found['id']}, fixed in {mended}")
    if lines:
        return 1, lines
    if len(skipped) == len(every):
        said = "no dependency could be looked up: the package index has no data on vulnerabilities"
        return int(strict), [said]
    if skipped:
        return 1, [f"could not be looked up: {', '.join(sorted(skipped))}"]
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
            return 1
        status, lines = verdict(json.loads(done.stdout)["dependencies"], strict="CI" in os.environ)
        for line in lines:
            print(f"{lock}: {line}")
        worst = max(worst, status)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
