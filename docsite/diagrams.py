"""Draws Mermaid diagrams as pictures, so that the site needs no script for them.

``python -m docsite.diagrams`` draws each diagram of the documentation with Mermaid in Chromium, and writes it
to ``docs/images/diagrams``. The name of a picture is a digest of the diagram's text. Mermaid comes from npm.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .repository_links import ROOT, source_of

FOLDER = ROOT / "docs" / "images" / "diagrams"
MERMAID = "mermaid@12.3.0"
_BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def digest(diagram: str) -> str:
    """The digest of a diagram: the name of its picture."""
    return hashlib.sha256(diagram.encode()).hexdigest()[:12]


def pictures(text: str, site_path: str, folder: Path = FOLDER) -> tuple[str, list[str]]:
    """A page with its diagrams replaced by pictures, and the digests of the diagrams that have no picture."""
    missing: list[str] = []

    def picture(found: re.Match[str]) -> str:
        name = digest(found[1])
        if not (folder / f"{name}.svg").exists():
            missing.append(name)
            return found[0]
        up = posixpath.relpath("docs/images/diagrams", posixpath.dirname(source_of(site_path)) or ".")
        return f"[![diagram]({up}/{name}.svg){{ .diagram }}]({up}/{name}.svg)"

    return _BLOCK.sub(picture, text), missing


def diagrams() -> dict[str, str]:
    """Every diagram of the documentation by its digest."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    found = [one for page in pages for one in _BLOCK.findall(page.read_text(encoding="utf-8"))]
    return {digest(one): one for one in found}


def _mermaid(folder: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is missing; it is needed to fetch Mermaid")
    command = [npm, "pack", "--silent", MERMAID]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603 - npm
    with tarfile.open(folder / done.stdout.split()[-1]) as package:
        script = package.extractfile("package/dist/mermaid.min.js")
        if script is None:
            raise SystemExit(f"{MERMAID} has no dist/mermaid.min.js")
        return script.read().decode()


def main() -> int:
    """Draw the missing pictures, and remove pictures whose diagram is gone."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - the site's build does without it

    wanted = diagrams()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.svg"):
        if path.stem not in wanted:
            path.unlink()
            print(f"{path}: removed")
    todo = {name: text for name, text in wanted.items() if not (FOLDER / f"{name}.svg").exists()}
    if not todo:
        return 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=_mermaid(Path(folder)))
        # Labels must be SVG: an SVG picture does not show HTML inside it.
        page.evaluate("mermaid.initialize({startOnLoad: false, htmlLabels: false})")
        for name, text in todo.items():
            draw = "async ([id, text]) => (await mermaid.render(id, text)).svg"
            drawn = page.evaluate(draw, [f"d{name}", text])
            (FOLDER / f"{name}.svg").write_text(f"{drawn}\n", encoding="utf-8")
            print(f"{FOLDER / name}.svg: drawn")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
