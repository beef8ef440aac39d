"""Jinja2 templates for the bodies of hooks. They run in Jinja2's sandbox.

The texts of an event come from alerts, agents and operators. They are values of a template, never a template
themselves, and `check` finds a template that does not quote them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_HOSTILE = 'a "quoted" text,\nwith \\ and a second line'
_MAX_BODY_BYTES = 1_048_576
_MAX_COMPILED = 100
_FIELDS = (
    "event", "scope", "scope_name", "from", "to", "source", "alertname", "reason", "cause", "at", "until",
    "actor", "link", "id",
)  # fmt: skip


class TemplateFailed(ValueError):
    """A template is not valid, or cannot be rendered. The message says why."""


@lru_cache(maxsize=1)
def _environment() -> Environment:
    # Imported here: a sidecar without such a hook does not need Jinja2 at the start.
    from jinja2 import StrictUndefined  # noqa: PLC0415
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


@lru_cache(maxsize=_MAX_COMPILED)
def _compile(text: str) -> Template:
    """The template of ``text``.

    Environments and templates contain reference cycles, and the sidecar seldom collects cycles. So a reload
    compiles a template only for a text that has changed.

    Raises:
        TemplateFailed: the syntax is wrong.
    """
    from jinja2 import TemplateError  # noqa: PLC0415

    try:
        return _environment().from_string(text)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f"line {line}: " if line else ""
        raise TemplateFailed(f"{where}{error}") from None


class BodyTemplate:
    """A template of a request body.

    Args:
        text: the template.

    Raises:
        TemplateFailed: the syntax is wrong.
    """

    def __init__(self, text: str) -> None:
        self._template = _compile(text)

    def render(self, fields: Mapping[str, object]) -> bytes:
        """The body of an event.

        Args:
            fields: the values; they are also members of ``data``, because ``from`` is a word of Jinja2.

        Raises:
            TemplateFailed: the template cannot be rendered with these values, or the body is too large.
        """
        try:
            body = self._template.render({**fields, "data": fields}).encode()
        except Exception as error:  # noqa: BLE001 - templates raise anything
            raise TemplateFailed(str(error) or type(error).__name__) from None
        if len(body) > _MAX_BODY_BYTES:
            raise TemplateFailed(f"the body has more than {_MAX_BODY_BYTES} bytes")
        return body

    def check(self, content_type: str) -> None:
        """Render the template with texts that contain quotes and line breaks, and with missing values.

        Raises:
            TemplateFailed: rendering fails, or ``content_type`` is JSON and the body is not.
        """
        for value in (_HOSTILE, None):
            body = self.render(dict.fromkeys(_FIELDS, value) | {"event": "pause", "scope": value or ""})
            if "json" in content_type.lower():
                _require_json(body)


def _require_json(body: bytes) -> None:
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        raise TemplateFailed(
            f"the body would not be JSON for a text with quotes and line breaks ({error}): "
            "write values as {{ reason | tojson }}, or set content_type"
        ) from None
