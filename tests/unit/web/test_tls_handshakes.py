"""Clients that do not complete their TLS handshake take a limited number of places."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import uvloop

from harness.in_loop import until
from harness.tls import certify
from sidecar.config import TlsConfig
from sidecar.web import tls
from sidecar.web.tls import Tls

MAX = 3


class _Counts(asyncio.Protocol):
    """Counts the connections whose handshake is done."""

    made = 0

    def connection_made(self, _: asyncio.BaseTransport) -> None:
        type(self).made += 1


async def _closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


def test_handshakes_in_progress_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certify(tmp_path)
    monkeypatch.setattr(tls, "MAX_HANDSHAKES", MAX)
    files = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    own, refused = Tls(TlsConfig(**files)), []
    own.context.on_refused = lambda: refused.append(1)
    trusting = ssl.create_default_context(cafile=files["cert_file"])

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Counts, "127.0.0.1", 0, ssl=own.context)
        host, port = server.sockets[0].getsockname()

        async def handshakes_are(count: int) -> None:
            await until(lambda: len(own.context.handshakes) == count, f"{count} handshakes are in progress")

        # Connections whose handshake is done do not count.
        honest = [await asyncio.open_connection(host, port, ssl=trusting) for _ in range(2 * MAX)]
        await handshakes_are(0)
        stalled = [await asyncio.open_connection(host, port) for _ in range(MAX)]
        await handshakes_are(MAX)
        assert not refused
        excess = await asyncio.open_connection(host, port)
        assert await _closed(excess[0])
        assert refused == [1]
        # A client that leaves, or that sends something else than TLS, makes room.
        stalled[0][1].close()
        stalled[1][1].write(b"GET / HTTP/1.1\r\n\r\n")
        await handshakes_are(MAX - 2)
        honest.append(await asyncio.open_connection(host, port, ssl=trusting))
        await handshakes_are(MAX - 2)
        assert _Counts.made == 2 * MAX + 1
        assert len(refused) == 1
        server.close()
        for reader, writer in [*honest, *stalled, excess]:
            writer.close()
            await _closed(reader)

    uvloop.run(asyncio.wait_for(run(), 60))
