"""The forms that pause, extend and resume a scope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from sidecar.core.errors import short_repr
from sidecar.core.text import clean_text
from sidecar.web.api.bodies import MAX_REASON_LENGTH
from sidecar.web.problems import Problem

LENGTHS: Mapping[str, str] = {
    "300": "5 minutes",
    "900": "15 minutes",
    "1800": "30 minutes",
    "3600": "1 hour",
    "14400": "4 hours",
    "86400": "1 day",
    "0": "until an operator resumes",
}
"""The lengths of a pause to choose from: the seconds, and the words."""

_CONTENT_TYPE = "application/x-www-form-urlencoded"
_MAX_FIELDS = 10
_MAX_BYTES = 32_768


@dataclass(frozen=True, slots=True)
class ActionForm:
    """A form that was sent.

    Attributes:
        reason: the reason; may be empty.
        secs: the length, one of `LENGTHS`; None: it is not one of them.
    """

    reason: str
    secs: float | None


def read_form(content_type: str, body: bytes, names: tuple[str, ...]) -> ActionForm:
    """Parse a form.

    Args:
        content_type: the value of the header field.
        body: the body of the request.
        names: the fields that the form has.

    Raises:
        Problem: the body is not a form.
    """
    if content_type.partition(";")[0].strip().lower() != _CONTENT_TYPE:
        raise Problem("invalid-body", f"the content type must be {_CONTENT_TYPE}")
    if len(body) > _MAX_BYTES:
        raise Problem("body-too-large", f"the form is longer than {_MAX_BYTES} bytes")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="replace",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise Problem("invalid-body", "not a form: percent-encoded fields in ASCII are expected") from None
    fields = dict(pairs)
    for name in fields:
        if name not in names:
            raise Problem("invalid-body", f"{short_repr(name)}: the form has no such field")
    secs = fields.get("secs", "")
    return ActionForm(
        clean_text(fields.get("reason", ""), MAX_REASON_LENGTH), float(secs) if secs in LENGTHS else None
    )
