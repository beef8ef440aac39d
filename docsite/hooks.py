"""Hooks that MkDocs calls while it builds the site (``hooks`` in mkdocs.yml)."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parents[1]))

from docsite.diagrams import pictures
from docsite.repository_links import COPIES, ROOT, copied, folder_page, picture_sources, rewritten

_log = logging.getLogger("mkdocs.hooks.docsite")


def _repository(config: MkDocsConfig) -> str:
    """The URL of this version's files in the repository; empty if the repository's URL is not known."""
    address = (config.repo_url or "").rstrip("/")
    return f"{address}/blob/{config.extra['revision']}" if address else ""


def on_files(files: Files, /, *, config: MkDocsConfig) -> Files:
    """Add the files outside ``docs/`` that pages link to."""
    pages = {file.src_uri: file.content_string for file in files.documentation_pages()}
    for site_path, source in copied(pages, _repository(config)):
        path = ROOT / source
        content = folder_page(source).encode() if path.is_dir() else path.read_bytes()
        files.append(File.generated(config, site_path, content=content))
    return files


def on_page_markdown(text: str, /, *, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Replace links by the site's links, and diagrams by their pictures."""
    uri = page.file.src_uri
    if uri.startswith(f"{COPIES}/"):
        # These pages are not below docs/, where MkDocs would link to for an edit.
        page.edit_url = None
    text, missing = pictures(text, uri)
    for digest in missing:
        _log.warning("%s: the diagram %s has no picture: run `make diagrams`", uri, digest)
    text, missing = picture_sources(text, uri, page.url)
    for source in missing:
        _log.warning("%s: the picture %s is not a file in docs/", uri, source)
    return rewritten(text, uri, _repository(config))
