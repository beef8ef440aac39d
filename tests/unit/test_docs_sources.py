"""The sources of the documentation site: generated pages, links out of ``docs/``, pictures of diagrams."""

from __future__ import annotations

from pathlib import Path

import pytest

from docsite.build import main
from docsite.diagrams import diagrams, digest, pictures
from docsite.repository_links import ROOT, copied, folder_page, picture_sources, rewritten

FORGE = "https://git.example/project/blob/main"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "docs/how-to/a.md",
        "docs/b.md",
        "alerts/x.rules.yml",
        "alerts/tests/x.test.yml",
        "chart/README.md",
        "LOG.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    return tmp_path


def test_the_generated_pages_are_up_to_date(capsys) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_diagrams_and_pictures_correspond() -> None:
    drawn = {path.stem for path in (ROOT / "docs" / "images" / "diagrams").iterdir()}
    assert drawn == set(diagrams())


@pytest.mark.parametrize(
    ("target", "copy", "linked"),
    [
        ("../b.md#part", "../b.md#part", "../b.md#part"),
        ("#part", "#part", "#part"),
        ("https://example.com/x.md", "https://example.com/x.md", "https://example.com/x.md"),
        ("mailto:a@example.com", "mailto:a@example.com", "mailto:a@example.com"),
        ("../../alerts/x.rules.yml", "../repository/alerts/x.rules.yml", f"{FORGE}/alerts/x.rules.yml"),
        ("../../alerts", "../repository/alerts/index.md", f"{FORGE}/alerts"),
        ("../../chart", "../repository/chart/README.md", "../repository/chart/README.md"),
        ("../../LOG.md#x", "../repository/LOG.md#x", "../repository/LOG.md#x"),
        # MkDocs reports the missing file.
        ("../../alerts/y.rules.yml", "../../alerts/y.rules.yml", "../../alerts/y.rules.yml"),
    ],
)
def test_a_link_to_a_file_outside_the_docs_points_to_a_copy_or_the_repository(
    tree: Path, target, copy, linked
) -> None:
    text = f"[a]({target}) and `x`\n"
    assert rewritten(text, "how-to/a.md", "", tree) == f"[a]({copy}) and `x`\n"
    assert rewritten(text, "how-to/a.md", FORGE, tree) == f"[a]({linked}) and `x`\n"


def test_a_page_from_outside_the_docs_has_working_links_into_the_docs(tree: Path) -> None:
    text = "[a](docs/how-to/a.md) [b](alerts/x.rules.yml) [c](chart/README.md)\n"
    expected = "[a](../how-to/a.md) [b](alerts/x.rules.yml) [c](chart/README.md)\n"
    assert rewritten(text, "repository/LOG.md", "", tree) == expected


def test_links_in_code_are_unchanged(tree: Path) -> None:
    text = "```md\n[a](../../alerts)\n```\n"
    assert rewritten(text, "how-to/a.md", "", tree) == text


def test_pictures_in_html_tags_are_resolved_from_the_address_of_the_page(tree: Path) -> None:
    (tree / "docs" / "c.png").touch()
    tags = '<source\n  media="(x)" srcset="{0}"><img alt="a" src="{0}">\n'
    for page, written, url, expected in (
        ("how-to/a.md", "../c.png", "how-to/a/", "../../c.png"),
        ("b.md", "c.png", "b/", "../c.png"),
        ("README.md", "c.png", "", "c.png"),
        ("repository/LOG.md", "docs/c.png", "repository/LOG/", "../../c.png"),
        ("b.md", "https://example.com/c.png", "b/", "https://example.com/c.png"),
    ):
        assert picture_sources(tags.format(written), page, url, tree) == (tags.format(expected), [])
    code = f"```html\n{tags.format('none.png')}```\n"
    assert picture_sources(code, "b.md", "b/", tree) == (code, [])
    page = '<swagger-ui src="c.json"/>\n'
    assert picture_sources(page, "b.md", "b/", tree) == (page, [])
    for written in ("none.png", "../LOG.md"):
        text = tags.format(written)
        assert picture_sources(text, "b.md", "b/", tree) == (text, [written, written])


def test_linked_files_are_copied_with_the_files_that_they_link_to(tree: Path) -> None:
    (tree / "LOG.md").write_text("[alerts](alerts) [away](https://example.com) [none](nothing)\n")
    pages = {"how-to/a.md": "[log](../../LOG.md) [b](../b.md)\n"}
    files = {
        "repository/LOG.md": "LOG.md",
        "repository/alerts/index.md": "alerts",
        "repository/alerts/x.rules.yml": "alerts/x.rules.yml",
        "repository/alerts/tests/x.test.yml": "alerts/tests/x.test.yml",
    }
    assert dict(copied(pages, "", tree)) == files
    assert dict(copied(pages, FORGE, tree)) == {"repository/LOG.md": "LOG.md"}


def test_a_folder_is_listed_without_hidden_files(tree: Path) -> None:
    (tree / "alerts" / "__pycache__").mkdir()
    for name in ("__pycache__/a.pyc", ".hidden"):
        (tree / "alerts" / name).write_text("")
    assert (
        folder_page("alerts", tree)
        == "# `alerts/`\n\n- [tests/x.test.yml](tests/x.test.yml)\n- [x.rules.yml](x.rules.yml)\n"
    )


def test_a_diagram_is_replaced_by_its_picture(tmp_path: Path) -> None:
    text = "a\n\n```mermaid\nflowchart\n```\n\nb\n"
    name = digest("flowchart\n")
    assert pictures(text, "how-to/a.md", tmp_path) == (text, [name])
    (tmp_path / f"{name}.svg").write_text("<svg/>")
    shown, missing = pictures(text, "how-to/a.md", tmp_path)
    assert (missing, "mermaid" in shown) == ([], False)
    assert f"../images/diagrams/{name}.svg" in shown
    # Relative to the page in the repository; `rewritten` converts it.
    assert f"(docs/images/diagrams/{name}.svg)" in pictures(text, "repository/README.md", tmp_path)[0]
