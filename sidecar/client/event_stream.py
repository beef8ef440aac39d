"""Reads the Server-Sent Events of one sidecar."""

from __future__ import annotations

from collections.abc import Iterator

from .access import AccessSettings
from .connection import Connection, SidecarResponse


class StreamRefused(Exception):
    """The sidecar did not open the stream.

    Attributes:
        response: its response.
    """

    def __init__(self, response: SidecarResponse) -> None:
        super().__init__(response.detail)
        self.response = response


class EventStream:
    """The events of one scope and everything inside it.

    Args:
        settings: the URL of the sidecar, the scope, and the credentials.
        name: the name of the program, for the sidecar's log.
    """

    def __init__(self, settings: AccessSettings, name: str) -> None:
        self._connection = Connection(settings, name)

    def events(self, quiet_secs: float) -> Iterator[tuple[str, str]]:
        """Name and data of each event, until the sidecar ends the stream.

        Args:
            quiet_secs: the connection is lost if nothing arrives for this long.

        Raises:
            StreamRefused: the sidecar did not open the stream.
            Unreachable: there is no connection.
        """
        name, data = "", list[str]()
        try:
            for line in self._connection.stream("events", quiet_secs):
                if isinstance(line, SidecarResponse):
                    raise StreamRefused(line)
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if field == "event":
                    name = value
                elif field == "data":
                    data.append(value)
                elif not line and data:
                    yield name, "\n".join(data)
                    name, data = "", []
        finally:
            self._connection.close()
