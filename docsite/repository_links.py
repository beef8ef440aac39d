"""Converts links to files outside ``docs/`` for the documentation site.

In the repository, ``../../alerts/vllm.rules.yml`` is a file. The site is built from ``docs/`` only. On the
site, such a link leads to the repository's URL if that is known, else to a copy of the file below
``repository/``. Markdown files outside ``docs/`` are pages of the site in both cases, so that search finds
them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

ROOT = Path(__file__).parents[1]
COPIES = "repository"
"""The folder of the site that has what is outside ``docs/``."""

_FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_PICTURE_TAG = re.compile(r"<(?:img|source)\s[^>]*>")
_PICTURE = re.compile(r'(\s(?:src|srcset)=")([^"\s]+)(?=")')
_IGNORED = ("__pycache__", ".")


def source_of(site_path: str) -> str:
    """The repository path of a page of the site."""
    inside, _, rest = site_path.partition("/")
    return rest if inside == COPIES else f"docs/{site_path}"


def target_of(path: str, root: Path = ROOT) -> str:
    """The site path of a file of the repository, or of the index of a folder."""
    if (root / path).is_dir():
        name = "README.md" if (root / path / "README.md").exists() else "index.md"
        path = posixpath.join(path, name)
    inside, _, rest = path.partition("/")
    return rest if inside == "docs" else f"{COPIES}/{path}"


def links(text: str, change: Callable[[str], str]) -> str:
    """``text`` with each link's target replaced by what ``change`` returns for it, except in code blocks."""
    return _outside_code(text, lambda part: _TARGET.sub(lambda found: change(found[1]), part))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """``text`` with each part outside code blocks replaced by what ``change`` returns for it."""
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join(parts) + change(text[end:])


def targets(text: str) -> list[str]:
    """The targets of all links of a page, except in code blocks."""
    return _TARGET.findall(_FENCE.sub("", text))


def local_target(target: str, source: str) -> str | None:
    """The repository path that a link in the file ``source`` leads to.

    ``None`` for anchors and addresses.
    """
    path = unquote(target.partition("#")[0])
    if not path or re.match(r"\w+:", path):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), path))


def rewritten(text: str, site_path: str, repository: str = "", root: Path = ROOT) -> str:
    """The Markdown of a page with its links converted for the site.

    Args:
        text: as it is in the repository.
        site_path: path of the page in the site.
        repository: address below which the repository shows its files; empty where it is not known.
        root: the repository.
    """
    source = source_of(site_path)

    def change(target: str) -> str:
        path = local_target(target, source)
        if path is None or not (root / path).exists():
            # MkDocs reports broken links.
            return target
        wanted = target_of(path, root)
        is_copy = wanted.startswith(f"{COPIES}/") and not path.endswith(".md")
        if is_copy and repository and not (root / path / "README.md").exists():
            return f"{repository.rstrip('/')}/{quote(path)}"
        _, hash_, anchor = target.partition("#")
        return quote(posixpath.relpath(wanted, posixpath.dirname(site_path) or ".")) + hash_ + anchor

    return links(text, change)


def picture_sources(text: str, site_path: str, url: str, root: Path = ROOT) -> tuple[str, list[str]]:
    """Make the picture paths in HTML tags relative to the page's address. MkDocs does so only for Markdown.

    Args:
        text: as it is in the repository.
        site_path: path of the page in the site.
        url: address of the page in the site: ``how-to/page/``.
        root: the repository.

    Returns:
        The Markdown of the page, and the sources that are no files of ``docs/``.
    """
    missing: list[str] = []

    def change(found: re.Match[str]) -> str:
        path = local_target(found[2], source_of(site_path))
        if path is None:
            return found[0]
        if not path.startswith("docs/") or not (root / path).is_file():
            missing.append(found[2])
            return found[0]
        return found[1] + quote(posixpath.relpath(target_of(path, root), posixpath.dirname(url) or "."))

    def in_tag(tag: re.Match[str]) -> str:
        return _PICTURE.sub(change, tag[0])

    return _outside_code(text, lambda part: _PICTURE_TAG.sub(in_tag, part)), missing


def copied(pages: dict[str, str], repository: str = "", root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """The files and folders outside ``docs/`` that pages link to, directly or through each other.

    Args:
        pages: text of each page by its path in the site.
        repository: as in `rewritten`.
        root: the repository.

    Yields:
        The site path and the repository path of a file to copy or of a folder to list.
    """
    seen = set(pages)
    waiting = [(source_of(site_path), text) for site_path, text in pages.items()]
    while waiting:
        source, text = waiting.pop()
        for target in targets(text):
            path = local_target(target, source)
            if path is None or not (root / path).exists():
                continue
            wanted = target_of(path, root)
            if not wanted.startswith(f"{COPIES}/") or wanted in seen:
                continue
            if wanted.endswith("/README.md") and not path.endswith(".md"):
                path = f"{path}/README.md"
            if repository and not path.endswith(".md"):
                continue
            seen.add(wanted)
            yield wanted, path
            if path.endswith(".md"):
                waiting.append((path, (root / path).read_text(encoding="utf-8")))
            elif (root / path).is_dir():
                waiting.append((f"{path}/index.md", folder_page(path, root)))


def folder_page(path: str, root: Path = ROOT) -> str:
    """The page that lists the files of a folder."""
    files = sorted(
        file.relative_to(root / path).as_posix()
        for file in (root / path).rglob("*")
        if file.is_file()
        and not any(part.startswith(_IGNORED) for part in file.relative_to(root / path).parts)
    )
    return f"# `{path}/`\n\n" + "".join(f"- [{file}]({quote(file)})\n" for file in files)
