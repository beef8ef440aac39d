"""The config of the page's links: each mistake is reported with its line, and only valid URLs become
links."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.config import ConfigError, UiLink, load_config


def load(tmp_path: Path, *links: object) -> tuple[UiLink, ...]:
    text = "ui:\n  links:\n" + "".join(f"    - {json.dumps(link)}\n" for link in links)
    (tmp_path / "c.yaml").write_text(text)
    return load_config(tmp_path / "c.yaml", {}).ui_links


@pytest.mark.parametrize(
    "url",
    [
        "https://grafana.example/d/x?var-scope={scope}",
        "http://prometheus:9090/alerts?search={alertname}#{fingerprint}",
        "https://[::1]:3000/{scope}",
        "https://runbooks.example/plain",
    ],
)
def test_a_url_template_is_accepted_unchanged(tmp_path: Path, url: str) -> None:
    assert load(tmp_path, {"name": "Link", "url": url}) == (UiLink("Link", url),)


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ({"url": "https://x/"}, "name: is missing"),
        ({"name": "Link"}, "url: is missing"),
        ({"name": "", "url": "https://x/"}, "name: must be"),
        ({"name": 7, "url": "https://x/"}, "name: must be"),
        ({"name": "a\u202eb", "url": "https://x/"}, "name: must be"),
        ({"name": "x" * 500, "url": "https://x/"}, "name: must be"),
        ({"name": "Link", "url": "javascript:alert(1)//{scope}"}, "url: must be a URL"),
        ({"name": "Link", "url": "data:text/html,x"}, "url: must be a URL"),
        ({"name": "Link", "url": "//evil.example/{scope}"}, "url: must be a URL"),
        ({"name": "Link", "url": "{scope}"}, "url: must be a URL"),
        ({"name": "Link", "url": "https://"}, "url: must be a URL"),
        ({"name": "Link", "url": "https://[x/"}, "url: must be a URL"),
        ({"name": "Link", "url": "https://x/a b"}, "url: must be a URL"),
        ({"name": "Link", "url": "https://x/\n"}, "url: must be a URL"),
        ({"name": "Link", "url": ["https://x/"]}, "url: must be"),
        ({"name": "Link", "url": "https://x/{scop}"}, "did you mean {scope}?"),
        ({"name": "Link", "url": "https://x/{labels.pod}"}, "known are {scope}"),
        ({"name": "Link", "url": "https://x/", "ulr": "https://x/"}, "did you mean url?"),
        ("https://x/", "links[0]"),
    ],
)
def test_a_mistake_is_reported_with_its_line(tmp_path: Path, link: object, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, link)
    assert problem in str(caught.value)
    assert "c.yaml:3" in str(caught.value)


def test_a_url_whose_host_depends_on_a_scope_is_refused(tmp_path: Path) -> None:
    """An alert chooses the scope. It must not choose the host of a link."""
    with pytest.raises(ConfigError, match="url: must be a URL"):
        load(tmp_path, {"name": "Link", "url": "https://{scope}.example/"})
