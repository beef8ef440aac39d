"""Server-Sent Events: a snapshot, then every change in the scope and below."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

import pytest

from harness.process import eventually
from harness.sidecar import Sidecar


class Follower:
    """Reads events in a thread."""

    def __init__(self, sidecar: Sidecar, scope: str) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.ended = threading.Event()
        self._socket = socket.create_connection(sidecar.where, 60)
        self._socket.sendall(f"GET /v1/events/{scope} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self._lines = self._socket.makefile("r", encoding="utf-8", newline="\n")
        self.status = int(self._lines.readline().split()[1])
        self.headers = {}
        while line := self._lines.readline().strip():
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        kind, number = "", ""
        for line in self._lines:  # including the sizes of chunks
            name, _, value = line.strip().partition(": ")
            if name == "event":
                kind = value
            elif name == "id":
                number = value
            elif name == "data":
                shot = json.loads(value)
                assert str(shot["version"]) == number
                self.events.append((kind, shot))
        self.ended.set()

    def seen(self) -> list[tuple[str, str, str, str]]:
        return [(kind, shot["scope"], shot["gate"], shot["state"]) for kind, shot in self.events]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.ended.wait(30)
        self._lines.close()
        self._socket.close()


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    with Sidecar({"limits": {"max_event_streams": 3}}) as own:
        yield own


def test_a_stream_sends_a_snapshot_and_then_every_change_in_the_scope_and_below(sidecar: Sidecar) -> None:
    sidecar.claim("f", "cautious")
    with Follower(sidecar, "f") as follower:
        assert follower.headers["content-type"] == "text/event-stream"
        eventually(lambda: follower.events, "the snapshot")
        sidecar.claim("f/x", "distressed")
        sidecar.pause("f", "a test")
        eventually(lambda: len(follower.events) >= 4, "the changes")
        sidecar.claim("other", "cautious")
        sidecar.resume("f")
        eventually(lambda: len(follower.events) >= 6, "both open again")
        seen = follower.seen()
        assert seen[:2] == [
            ("snapshot", "f", "open", "cautious"),
            ("change", "f/x", "open", "distressed"),
        ]
        assert set(seen[2:4]) == {
            ("change", "f", "closed", "cautious"),
            ("change", "f/x", "closed", "distressed"),
        }
        assert len(seen) == 6


def test_an_unnamed_scope_follows_its_ancestor(sidecar: Sidecar) -> None:
    with Follower(sidecar, "nobody/knows") as follower:
        eventually(lambda: follower.events, "the snapshot")
        sidecar.pause("", "everything")
        eventually(lambda: ("change", "nobody/knows", "closed", "healthy") in follower.seen(), "it closes")
        sidecar.resume("")
        eventually(lambda: ("change", "nobody/knows", "open", "healthy") in follower.seen(), "it opens")
        sidecar.claim("nobody/knows/it", "cautious")
        eventually(
            lambda: ("change", "nobody/knows/it", "open", "cautious") in follower.seen(), "a scope below"
        )


def test_the_number_of_streams_is_limited_and_a_closed_stream_frees_its_place(sidecar: Sidecar) -> None:
    followers = [Follower(sidecar, "") for _ in range(3)]
    answer = sidecar.get("/v1/events")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/too-many-streams")
    retries = {answer.headers["Retry-After"]}
    eventually(
        lambda: retries.add(sidecar.get("/v1/events").headers["Retry-After"]) or len(retries) > 1,
        "they differ",
    )
    assert retries <= {"5", "6", "7"}
    for follower in followers:
        follower.__exit__()

    def room() -> bool:
        with Follower(sidecar, "") as follower:
            return follower.status == 200

    eventually(room, "there is room")
    assert sidecar.session.post(f"{sidecar.url}/v1/events", timeout=30).status_code == 405
    assert sidecar.get("/v1/events/a//b").status_code == 400


def test_a_stream_ends_with_the_sidecar() -> None:
    with Sidecar() as own, Follower(own, "") as follower:
        eventually(lambda: follower.events, "the snapshot")
        own.stop()
        assert follower.ended.wait(30)
