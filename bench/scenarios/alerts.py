"""e. A webhook: the time until it is durable, and until a watching client sees the gate closed."""

from __future__ import annotations

import select
import time
from typing import NamedTuple

from bench.machine import Disk
from bench.notify import notification
from bench.peers import Ours
from bench.stage import Stage, by_turns
from bench.talk import Connection, request

_SCOPES = 100
_OK = 200
_WATCH = "/v1/watch/e/0"


class _Took(NamedTuple):
    """Seconds."""

    fsync: float
    durable: float
    closed: float


def measure(stage: Stage, turn: int) -> dict[str, float]:
    """Send notifications of all sizes, and measure an fsync on the same disk with each."""
    server = stage.ours(rules=0)
    found: dict[str, float] = {}
    sizes = stage.sizes
    disk = Disk(server.folder)
    for count, times in by_turns(turn, zip(sizes.alerts, sizes.webhooks, strict=True)):
        took = _send(server, disk, count, times)
        for name in _Took._fields:
            each = sorted(getattr(one, name) for one in took)
            found[f"webhook.{count}.{name}.p50"] = each[len(each) // 2] * 1e3
            found[f"webhook.{count}.{name}.p99"] = each[int(len(each) * 0.99)] * 1e3
    disk.close()
    return found


def _send(server: Ours, disk: Disk, count: int, times: int) -> list[_Took]:
    took = []
    scopes = min(count, _SCOPES)
    with Connection(server.where) as sender, Connection(server.where) as watcher:
        # The first one creates the scopes, which is not measured.
        for firing in (True, False):
            sender.ask(notification(count, firing=firing, scopes=scopes))
        for _ in range(times):
            news = notification(count, firing=True, scopes=scopes)
            etag = watcher.ask(request("GET", _WATCH)).etag
            fsync = disk.sync()
            watcher.send(request("GET", f"{_WATCH}?wait=60", b"", f"If-None-Match: {etag}"))
            durable, closed = _time(sender, watcher, news)
            took.append(_Took(fsync, durable, closed))
            sender.ask(notification(count, firing=False, scopes=scopes))
    return took


def _time(sender: Connection, watcher: Connection, news: bytes) -> tuple[float, float]:
    """Seconds until the sender gets its response, and until the watch reports the closed gate."""
    poll = select.poll()
    at: dict[int, float] = {}
    both = {one.sock.fileno(): one for one in (sender, watcher)}
    for number in both:
        poll.register(number, select.POLLIN)
    began = time.perf_counter()
    sender.send(news)
    while len(at) < len(both):
        for number, _ in poll.poll():
            at[number] = time.perf_counter() - began
            poll.unregister(number)
    for one in both.values():
        said = one.receive()
        if said.status != _OK or (one is watcher and b'"gate": "closed"' not in said.body):
            raise RuntimeError(f"answered {said.status}: {said.body!r}")
    return at[sender.sock.fileno()], at[watcher.sock.fileno()]
