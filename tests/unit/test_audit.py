"""`make audit`: a dependency that was not looked up does not count as safe; only AUDIT=skip leaves the audit out."""

from __future__ import annotations

import subprocess

import pytest

from deploy.audit import LOCKS, ROOT, main, verdict

WELL = {"name": "a", "version": "1", "vulns": []}
ILL = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("dependencies", "status", "said"),
    [
        ([WELL, WELL], 0, ["no known vulnerability in 2 dependencies"]),
        ([WELL, ILL], 1, ["b 2: PYSEC-1, fixed in 2.1"]),
        ([WELL, UNKNOWN, ILL], 1, ["b 2: PYSEC-1, fixed in 2.1", "could not be looked up: c"]),
        ([WELL, UNKNOWN], 1, ["could not be looked up: c"]),
        ([UNKNOWN, UNKNOWN], 1, ["no dependency could be looked up"]),
    ],
)
def test_the_exit_status_and_messages_depend_on_the_findings(dependencies, status, said) -> None:
    found, lines = verdict(dependencies)
    assert found == status
    assert [line.partition(":")[0] for line in lines] == [line.partition(":")[0] for line in said]
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True))


def test_every_lock_file_is_audited() -> None:
    locks = [*ROOT.glob("*.lock"), *(ROOT / "deploy").rglob("*.lock")]
    assert {str(file.relative_to(ROOT)) for file in locks} == set(LOCKS)


def test_the_audit_fails_without_an_answer_of_the_service_and_names_audit_skip(tmp_path, capfd) -> None:
    program = tmp_path / "pip-audit"
    program.write_text("#!/bin/sh\necho 'connection refused' >&2\nexit 1\n")
    program.chmod(0o755)
    assert main([str(program)]) == 1
    printed = capfd.readouterr()
    assert "connection refused" in printed.err
    assert "could not be looked up" in printed.out
    assert "AUDIT=skip" in printed.out


def test_a_skipped_audit_says_so() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "audit", "AUDIT=skip"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "known vulnerabilities of the dependencies were not looked up: AUDIT=skip\n"


def test_no_workflow_skips_the_audit() -> None:
    workflows = [file.read_text() for file in (ROOT / ".github").rglob("*.yml")]
    assert any("make audit" in text for text in workflows)
    assert any("make release-check" in text for text in workflows)
    assert not any("AUDIT" in text for text in workflows)
