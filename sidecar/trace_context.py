"""The request header ``traceparent`` of W3C Trace Context, which names a request in a distributed trace.

Rules of this file: it imports no other module of the product, so that the client can use it too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HEADER = "traceparent"
STATE_HEADER = "tracestate"

_VALUE = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,200})?", re.ASCII
)
_LENGTH_00 = 55


def parse_traceparent(values: Sequence[bytes | str]) -> str | None:
    """The trace context in the ``traceparent`` headers of a request; None: there is no valid one.

    A version above 00 may have further fields. A header that comes twice is not valid (W3C Trace Context,
    section 3.2).

    Args:
        values: the value of each ``traceparent`` header.
    """
    if len(values) != 1:
        return None
    value = values[0]
    text = (value.decode("latin-1") if isinstance(value, bytes) else value).strip(" \t")
    if not _VALUE.fullmatch(text) or (text.startswith("00") and len(text) != _LENGTH_00):
        return None
    return text
