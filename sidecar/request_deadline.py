"""Ends an HTTP request of the library requests that takes too long, in any phase."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any, Self


class RequestDeadline:
    """A context in which a request may run. Use its `adapter` for the request.

    The timeouts of the library requests apply to each read from the socket. A server that sends a byte now
    and then would never exceed them. So a timer shuts the connection down.

    Args:
        secs: seconds for the whole request.
    """

    def __init__(self, secs: float) -> None:
        self._secs = secs
        self._until = time.monotonic() + secs
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(secs, self._shut_down)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for one in self._sockets:
            one.close()

    @property
    def has_passed(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._until

    def passed_text(self) -> str:
        """The error text if the deadline has passed, else an empty string."""
        return f"the response was not complete within {self._secs:g} s" if self.has_passed else ""

    def adapter(self) -> Any:  # noqa: ANN401 - a requests.adapters.HTTPAdapter
        """An adapter whose connections end at the deadline."""
        import requests  # noqa: PLC0415
        import urllib3  # noqa: PLC0415

        watch = self._watch

        class Plain(urllib3.connection.HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return watch(super()._new_conn())

        class Encrypted(urllib3.connection.HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return watch(super()._new_conn())

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Encrypted

        pools = {"http": PlainPool, "https": EncryptedPool}

        class Adapter(requests.adapters.HTTPAdapter):
            def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
                super().init_poolmanager(*args, **kwargs)
                self.poolmanager.pool_classes_by_scheme = pools

            def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401
                manager = super().proxy_manager_for(proxy, **kwargs)
                manager.pool_classes_by_scheme = pools
                return manager

        return Adapter()

    def _watch(self, connected: socket.socket) -> socket.socket:
        # Keep a duplicate, because TLS takes over the descriptor of the original socket.
        self._sockets.append(connected.dup())
        if self.has_passed:
            self._shut_down()
        return connected

    def _shut_down(self) -> None:
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the socket is closed already
