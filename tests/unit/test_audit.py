"""How `make audit` reads pip-audit's report: a dependency that was not looked up does not count as safe."""

from __future__ import annotations

import pytest

from deploy.audit import verdict

WELL = {"name": "a", "version": "1", "vulns": []}
ILL = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("dependencies", "strict", "status", "said"),
    [
        ([WELL, WELL], True, 0, "no known vulnerability in 2 dependencies"),
        ([WELL, ILL], False, 1, "b 2: PYSEC-1, fixed in 2.1"),
        ([UNKNOWN, ILL], False, 1, "b 2: PYSEC-1, fixed in 2.1"),
        ([WELL, UNKNOWN], False, 1, "could not be looked up: c"),
        ([UNKNOWN, UNKNOWN], False, 0, "no dependency could be looked up"),
        ([UNKNOWN, UNKNOWN], True, 1, "no dependency could be looked up"),
    ],
)
def test_the_exit_status_and_message_depend_on_the_findings(dependencies, strict, status, said) -> None:
    found, lines = verdict(dependencies, strict=strict)
    assert found == status
    assert lines[0].startswith(said)
