"""The style and the script of the page."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_TYPES = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}


@cache
def static_file(name: str) -> tuple[bytes, str]:
    """Content and content type of the file ``name``, one of ``page.css`` and ``page.js``."""
    return (Path(__file__).with_name("static") / name).read_bytes(), _TYPES[name]
