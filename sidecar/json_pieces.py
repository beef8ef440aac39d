"""Parses and writes large JSON in pieces, so that threads do not block the event loop.

The functions of ``json`` hold the interpreter lock for the whole text: 75 ms for a notification of 10,000
alerts. Here the members of the top-level object, and the elements of its lists, are handled one by one.
Between two of them another thread can run.

Faster libraries (orjson, msgspec) take 30 ms, and hold the lock for all of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from json.decoder import JSONArray, JSONDecodeError, JSONObject  # type: ignore[attr-defined]
from typing import Any

_WHITESPACE = " \t\n\r"
_BYTE_ORDER_MARK = "\ufeff"
_CHUNK_CHARACTERS = 65_536
_SMALL_CHARACTERS = 65_536
"""Shorter text is parsed at once, which takes less than a millisecond."""

Pairs = list[tuple[str, Any]]


def loads_in_pieces(
    text: str,
    *,
    parse_constant: Callable[[str], Any] | None = None,
    object_pairs_hook: Callable[[Pairs], Any] | None = None,
) -> Any:  # noqa: ANN401 - any JSON value
    """Parse JSON like `json.loads`, with the same errors."""
    if text.startswith(_BYTE_ORDER_MARK):
        # `json.loads` raises the error for a byte order mark.
        return json.loads(text)
    decoder = _decoder(parse_constant, object_pairs_hook)
    if len(text) <= _SMALL_CHARACTERS:
        return decoder.decode(text)
    scan = decoder.scan_once  # type: ignore[attr-defined]

    def scan_list(whole: str, start: int) -> tuple[Any, int]:
        if whole[start : start + 1] == "[":
            found: tuple[Any, int] = JSONArray((whole, start + 1), scan)
            return found
        return scan(whole, start)  # type: ignore[no-any-return]

    begin = _skip_whitespace(text, 0)
    if text[begin : begin + 1] == "{":
        value, end = JSONObject((text, begin + 1), True, scan_list, None, object_pairs_hook)
    elif text[begin : begin + 1] == "[":
        value, end = scan_list(text, begin)
    else:
        return decoder.decode(text)
    end = _skip_whitespace(text, end)
    if end != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return value


@lru_cache(maxsize=8)
def _decoder(
    parse_constant: Callable[[str], Any] | None, object_pairs_hook: Callable[[Pairs], Any] | None
) -> json.JSONDecoder:
    """The decoder of `json.loads`, which makes a new one for each call."""
    return json.JSONDecoder(parse_constant=parse_constant, object_pairs_hook=object_pairs_hook)


def dump_in_pieces(value: Mapping[str, Any]) -> Iterator[bytes]:
    """The JSON of ``value``, the same as of `json.dumps`, in chunks of about 64 kB.

    The elements of its lists are released as they are written. Releasing all of them at once would block
    other threads.
    """
    parts: list[str] = []
    size = 0
    for piece in _pieces(value):
        parts.append(piece)
        size += len(piece)
        if size >= _CHUNK_CHARACTERS:
            yield "".join(parts).encode()
            parts, size = [], 0
    yield "".join(parts).encode()


def _pieces(value: Mapping[str, Any]) -> Iterator[str]:
    before = "{"
    for name, member in value.items():
        yield f"{before}{json.dumps(name)}: "
        before = ", "
        if isinstance(member, list) and member:
            bracket = "["
            for index, element in enumerate(member):
                yield bracket + json.dumps(element)
                bracket = ", "
                member[index] = None
            yield "]"
        else:
            yield json.dumps(member)
    yield "{}" if before == "{" else "}"


def _skip_whitespace(text: str, start: int) -> int:
    while start < len(text) and text[start] in _WHITESPACE:
        start += 1
    return start
