"""The documentation site builds strictly, is complete and searchable, and loads from no other host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from playwright.sync_api import sync_playwright

from harness.process import program

ROOT = Path(__file__).parents[2]


PROGRAMS = Path(sys.executable).parent


def run(command: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program that is installed beside Python, without the variables for a build's addresses."""
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in ("REPOSITORY_URL", "SITE_URL", "REVISION")
    }
    # mike starts mkdocs.
    env |= {"NO_MKDOCS_2_WARNING": "1", "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [str(PROGRAMS / command), *arguments],
        check=False,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = run("mkdocs", "build", "--site-dir", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


class Links(HTMLParser):
    """The addresses in a page: targets of links, and files that the browser loads by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.leads: set[str] = set()
        self.loads: set[str] = set()
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.ids |= {own[key] for key in ("id", "name") if own.get(key)}
        if tag == "a" and own.get("href"):
            self.leads.add(own["href"])
        elif tag == "link" and own.get("rel") != "canonical" and own.get("href"):
            self.loads.add(own["href"])
        else:
            self.loads |= {own[key] for key in ("src", "srcset") if own.get(key)}


def test_every_link_leads_to_a_file_and_an_anchor_of_the_site(site: Path) -> None:
    pages = {
        path: Links(path.read_text())
        for path in site.rglob("*.html")
        if "swagger" not in path.name and path.name != "404.html"
    }
    assert len(pages) > 50
    for path, links in pages.items():
        here = f"http://site/{path.relative_to(site)}"
        for target in links.leads | links.loads:
            url, anchor = urldefrag(urljoin(here, target))
            if urlsplit(url).netloc != "site":
                assert target not in links.loads, f"{path}: loads {target}"
                continue
            file = site / unquote(urlsplit(url).path).lstrip("/")
            file = file / "index.html" if file.is_dir() else file
            assert file.exists(), f"{path}: {target}"
            if anchor and file in pages:
                assert unquote(anchor) in pages[file].ids, f"{path}: {target}"


def test_no_style_sheet_loads_a_file_from_another_host(site: Path) -> None:
    for path in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//", path.read_text()) == [], path


def test_a_search_finds_the_expected_pages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    places = {entry["location"] for entry in index}
    for place in (
        "reference/configuration/",
        "reference/alert-rules/#vllm",
        "runbooks/vllm/#vllmstuck",
        "repository/CHANGELOG/",
    ):
        assert place in places


def test_a_broken_link_anchor_or_diagram_fails_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "README.md").write_text(
        '# A\n\n[a](b.md) [c](#d) [e](../nothing.yml)\n\n<img src="none.png">\n\n```mermaid\nflowchart LR\n    x --> y\n```\n'
    )
    (tmp_path / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT}/mkdocs.yml\nnav: [README.md]\nplugins: []\nhooks: [{ROOT}/docsite/hooks.py]\n"
    )
    done = run("mkdocs", "build", cwd=tmp_path)
    assert done.returncode == 1
    for what in ("'b.md'", "'#d'", "'../nothing.yml'", "picture none.png", "make diagrams"):
        assert what in done.stderr
    assert "5 warnings in strict mode" in done.stdout


def test_mike_publishes_a_version_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("# A\n")
    # Use the plain theme, because this test checks mike and not the site.
    (tmp_path / "mkdocs.yml").write_text(
        "site_name: a\nsite_url: ''\nplugins: [mike: {canonical_version: latest}]\n"
    )
    git = partial(subprocess.run, check=True, cwd=tmp_path, capture_output=True, text=True)
    git(["git", "init", "-q", "-b", "main"])
    for key, value in (("user.name", "a"), ("user.email", "a@example.com"), ("commit.gpgsign", "false")):
        git(["git", "config", key, value])
    git(["git", "commit", "-q", "--allow-empty", "-m", "a"])
    done = run("mike", "deploy", "--update-aliases", "0.2", "latest", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    versions = json.loads(git(["git", "show", "gh-pages:versions.json"]).stdout)
    assert [(one["version"], one["aliases"]) for one in versions] == [("0.2", ["latest"])]
    assert "0.2/index.html" in git(["git", "ls-tree", "-r", "--name-only", "gh-pages"]).stdout


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_search_routes_and_diagrams_work_without_any_other_host(address: str) -> None:
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        # The page of the routes keeps a core busy for seconds, while other tests need the core, too.
        page.set_default_timeout(120_000)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}reference/openapi/")
        routes = page.frame_locator("iframe")
        routes.get_by_text("/v1/pause/{scope}", exact=True).wait_for()
        page.goto(f"{address}explanation/design/")
        picture = page.locator("img.diagram").first
        assert picture.evaluate("async one => { await one.decode(); return one.naturalWidth }") > 100
        page.get_by_role("textbox", name="Search").fill("VllmStuck")
        page.locator(".md-search-result__link").first.wait_for()
        browser.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
