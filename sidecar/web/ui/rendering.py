"""Renders the templates of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sidecar import __version__
from sidecar.auth import Identity, Role

from .wording import count_words, duration_words, exact_words, external_text, scope_name, time_element

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_TEMPLATES.globals.update(
    count=count_words, duration=duration_words, foreign=external_text, name=scope_name, version=__version__
)


class Viewer:
    """The person who opened the page, and the actions that the page offers.

    Args:
        identity: the identity of the request.
        signs_in: whether the sidecar has credentials, and the client may still sign in.
    """

    def __init__(self, identity: Identity, *, signs_in: bool) -> None:
        self.name = identity.name
        self._identity = identity
        self._signs_in = signs_in and not identity.name

    def may_act(self, scope: str) -> bool:
        """Whether to offer actions on ``scope``: the client may act, or can still sign in to act."""
        return self._identity.may(Role.OPERATOR, scope) or self._signs_in

    def may_see(self, scope: str) -> bool:
        """Whether the client may open the page of ``scope``."""
        return self._identity.may(Role.VIEWER, scope) or self._signs_in


def render(template: str, viewer: Viewer, base: str, now: float, **values: Any) -> str:  # noqa: ANN401
    """Render ``template``.

    Args:
        template: the name of the file.
        viewer: the person who opened the page.
        base: the relative URL of the page ``/``.
        now: wall time, seconds since the epoch.
        values: further values of the template.
    """
    return _TEMPLATES.get_template(template).render(
        viewer=viewer,
        base=base,
        now=now,
        ago=lambda at: time_element(at, now),
        exact=lambda at: exact_words(at, now),
        **values,
    )
