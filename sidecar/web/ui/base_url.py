"""Relative URLs, because a proxy may serve the page below a prefix."""

from __future__ import annotations


def base_of(path: str) -> str:
    """The relative URL of ``/`` on the page at ``path``."""
    return "../" * (path.count("/") - 1) or "./"


def scope_url(base: str, scope: str, page: str = "scope") -> str:
    """The relative URL of a page of ``scope``. A scope has no characters that need to be escaped."""
    return f"{base}ui/{page}/{scope}" if scope else f"{base}ui/{page}"
