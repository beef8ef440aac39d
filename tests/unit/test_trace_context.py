"""Which `traceparent` headers are valid (W3C Trace Context, section 3.2)."""

from __future__ import annotations

import pytest

from sidecar.trace_context import parse_traceparent

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    "value",
    [
        f"00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-00",
        f"cc-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what-comes-later",
    ],
)
def test_a_valid_context_is_kept_unchanged(value: str) -> None:
    assert parse_traceparent([value]) == value
    assert parse_traceparent([f" {value}\t".encode()]) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01\n",
        f"cc-{TRACE}-{PARENT}-01-\r\nx: y",
        f"cc-{TRACE}-{PARENT}-01-{'x' * 5000}",
        f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0\uff11",
    ],
)
def test_an_invalid_context_is_dropped(value: str) -> None:
    assert parse_traceparent([value]) is None


def test_a_repeated_header_is_dropped() -> None:
    value = f"00-{TRACE}-{PARENT}-01"
    assert parse_traceparent([value, value]) is None
    assert parse_traceparent([]) is None
