"""``/metrics``: the exposition for Prometheus, sent part by part while it is rendered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.metrics import Exposition

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

METRICS = "/metrics"
_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


async def send_metrics(exposition: Exposition, headers: Iterable[tuple[bytes, bytes]], send: Send) -> None:
    """Send the metrics in the format that the request ``headers`` ask for."""
    accept = b",".join(value for name, value in headers if name == b"accept")
    scrape = await exposition.scrape(accept.decode("latin-1"))
    response_headers = [
        (b"content-type", scrape.content_type.encode("latin-1", "replace")),
        (b"content-length", str(scrape.size).encode()),
        *_HEADERS,
    ]
    await send({"type": "http.response.start", "status": 200, "headers": response_headers})
    async for part in scrape.parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
