"""All parts of a release have the same version, and the version has release notes."""

from __future__ import annotations

import re

import pytest
import yaml

from deploy.release_notes import notes
from harness.kubernetes import ROOT
from sidecar import __version__


@pytest.mark.parametrize("file", ["deploy/Dockerfile", "deploy/docker-bake.hcl"])
def test_the_images_have_the_version(file) -> None:
    assert re.findall(r'VERSION(?:" \{ default = "|=)([\d.]+)', (ROOT / file).read_text()) == [__version__]


def test_every_image_tag_is_the_version() -> None:
    tags = {
        (str(file.relative_to(ROOT)), tag)
        for folder in ("deploy/kubernetes", "docs")
        for file in (ROOT / folder).rglob("*.*")
        if file.suffix in (".yaml", ".md")
        for tag in re.findall(r"wellbeing-sidecar:(\d[\w.]*)|newTag: ([\d.]+)", file.read_text())
        if __version__ not in tag
    }
    assert tags == set()


def test_the_release_notes_are_the_changelog_section_of_the_version() -> None:
    text = "# Changelog\n\n## Unreleased\n\n- c\n\n## 0.2.0 (2026-11-30)\n\n- a\n\n### Client\n\n- b\n\n## 0.1.0\n\n- old\n"
    assert notes(text, "0.2.0") == "- a\n\n### Client\n\n- b\n"
    assert notes(text, "0.1.0") == "- old\n"
    for version in ("0.2", "0.3.0"):
        with pytest.raises(ValueError, match="has no section"):
            notes(text, version)


@pytest.mark.parametrize("file", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda file: file.name)
def test_the_workflows_are_valid_yaml_and_name_existing_files(file) -> None:
    text = file.read_text()
    assert yaml.safe_load(text)
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"run: make ([a-z-]+)", text):
        assert f"\n{target}:" in makefile
    for path in re.findall(r"(?:files|run): (\.?[a-z.]+/[\w./-]+)", text):
        assert (ROOT / path).exists(), path
