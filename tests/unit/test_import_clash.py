"""PyPI's ``sidecar`` has the same import name. For any order of installation, an error message explains the
clash."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.kubernetes import ROOT


def run(code: str, path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=path,
        env={"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def overwritten(tmp_path):
    """This package with the ``__init__.py`` of the other one."""
    folder = tmp_path / "sidecar"
    folder.mkdir()
    for name in ("client", "cli", "import_clash.py", "supervision.py"):
        (folder / name).symlink_to(ROOT / "sidecar" / name)
    (folder / "__init__.py").write_text("__version__ = '0.8.1'\nclass Sidecar: pass\n")
    return tmp_path


def test_a_client_import_from_the_other_sidecar_package_is_refused(overwritten) -> None:
    done = run("import sidecar.client", overwritten)
    assert "ImportError: " in done.stderr
    assert "belongs to another project with the same import name" in done.stderr


def test_a_command_in_the_other_sidecar_package_is_refused(overwritten) -> None:
    done = run("from sidecar.cli import main; main(['status'])", overwritten)
    assert "belongs to another project with the same import name" in done.stderr


def test_the_class_of_the_other_package_gets_a_clear_error() -> None:
    done = run("from sidecar import Sidecar", ROOT)
    assert "not the JupyterLab widget" in done.stderr


def test_any_other_missing_name_raises_the_usual_error() -> None:
    done = run("from sidecar import Nothing", ROOT)
    assert "cannot import name 'Nothing'" in done.stderr
