"""Event streams. Each stream sends the changes of one scope and everything inside it.

Streams of the same scope share one topic, which stores and renders each change once. A change goes to the
topics of its own scope and of its ancestors, so a stream costs nothing while other subtrees change. In each
pass of the event loop only a few streams send, regardless of how many have pending changes.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from sidecar.core.scope import ancestors_of, lies_within
from sidecar.supervision import Failures, run_supervised

from .gate import ScopeGate
from .tree import GateTree

_STREAMS_PER_PASS = 3
_CHUNK_BYTES = 6_144
"""The most that each stream renders in a pass. Together the streams take about a millisecond."""
_SPARE_ENTRIES = 64

Render = Callable[[ScopeGate, str | None], bytes]
"""Renders the change of a gate, or of an unknown scope that follows it."""


class Topic:
    """The changes of one scope and everything inside it that some stream has not sent yet.

    Each gate is listed once, at its latest change.

    Args:
        scope: the scope that is followed.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.streams: dict[EventStream, None] = {}
        self.last = 0
        self._behind = 0
        self._latest: dict[ScopeGate, int] = {}
        self._log: list[tuple[int, ScopeGate]] = []
        self._chunks: dict[int, tuple[bytes, int]] = {}

    def add(self, gate: ScopeGate) -> None:
        """Add a change of ``gate``."""
        self.last += 1
        self._latest[gate] = self.last
        self._log.append((self.last, gate))
        self._chunks.clear()
        if len(self._log) > 2 * len(self._latest) + _SPARE_ENTRIES:
            self._log = [(number, one) for number, one in self._log if self._latest.get(one) == number]

    def drop(self, gate: ScopeGate) -> None:
        """Remove ``gate``, which is forgotten: no further change of it is sent."""
        if self._latest.pop(gate, None) is not None:
            self._chunks.clear()

    def fell_behind(self) -> None:
        """Count another stream or publisher that still needs the changes."""
        self._behind += 1

    def caught_up(self) -> None:
        """Count one stream or publisher fewer: it has sent all changes, or has ended."""
        self._behind -= 1
        if not self._behind:
            self._latest.clear()
            self._log.clear()
            self._chunks.clear()

    def chunk(self, after: int, tree: GateTree, render: Render) -> tuple[bytes, int]:
        """The bytes to send after change number ``after``, and the number of the last change in them."""
        found = self._chunks.get(after)
        if found is None:
            found = self._chunks[after] = self._chunk(after, tree, render)
        return found

    def _chunk(self, after: int, tree: GateTree, render: Render) -> tuple[bytes, int]:
        home, path = tree.find(self.scope)
        parts: list[bytes] = []
        size = 0
        for index in range(bisect_right(self._log, after, key=_number), len(self._log)):
            number, gate = self._log[index]
            if self._latest.get(gate) != number:
                continue
            if lies_within(gate.scope, self.scope):
                parts.append(render(gate, None))
            elif path is not None and gate is home:
                parts.append(render(gate, path))
            else:
                continue
            size += len(parts[-1])
            if size >= _CHUNK_BYTES:
                return b"".join(parts), number
        return b"".join(parts), self.last


def _number(entry: tuple[int, ScopeGate]) -> int:
    return entry[0]


class EventStream:
    """One client that follows a topic.

    Args:
        streams: all streams; they decide when it may send.
        topic: the topic that it follows.
    """

    def __init__(self, streams: EventStreams, topic: Topic) -> None:
        self.topic = topic
        self._streams = streams
        self._sent = topic.last
        self._behind = False
        self._queued = False
        self._may_send = asyncio.Event()
        self._ended = False

    @property
    def scope(self) -> str:
        """The scope that is followed."""
        return self.topic.scope

    def notify(self) -> None:
        """Queue this stream for sending, because the topic has changes."""
        if not self._behind:
            self._behind = True
            self.topic.fell_behind()
        if not self._queued:
            self._queued = True
            self._streams.queue(self)

    def allow_send(self) -> None:
        """Let this stream send."""
        self._queued = False
        self._may_send.set()

    def end(self) -> None:
        """End the stream."""
        self._ended = True
        self._may_send.set()

    def leave(self) -> None:
        """The client has disconnected."""
        if self._behind:
            self._behind = False
            self.topic.caught_up()

    async def wait(self, tree: GateTree, secs: float, render: Render) -> bytes | None:
        """The next events, rendered.

        Args:
            tree: of all gates.
            secs: seconds to wait at most.
            render: renders one event.

        Returns:
            The events; empty: nothing changed; None: the stream has ended.
        """
        try:
            async with asyncio.timeout(secs):
                await self._may_send.wait()
        except TimeoutError:
            return b""
        if self._ended:
            return None
        self._may_send.clear()
        data, self._sent = self.topic.chunk(self._sent, tree, render)
        if self._sent < self.topic.last:
            self.notify()
        elif self._behind:
            self._behind = False
            self.topic.caught_up()
        return data


class EventStreams:
    """All event streams.

    Args:
        loop: runs all streams.
        failures: counts and logs the exceptions of the dispatch task.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, failures: Failures) -> None:
        self.max_streams = 1_000
        self._loop = loop
        self._failures = failures
        self._count = 0
        self._topics: dict[str, Topic] = {}
        # Topics by each ancestor of their scope: while their scope is unknown, changes of the ancestor
        # concern them.
        self._inside: dict[str, dict[Topic, None]] = {}
        self._queue: deque[EventStream] = deque()
        self._queued = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def __len__(self) -> int:
        return self._count

    def open(self, scope: str) -> EventStream | None:
        """Open a stream for ``scope``; None: too many streams are open."""
        if self._count >= self.max_streams or self._closing:
            return None
        if self._task is None:
            self._task = self._loop.create_task(
                run_supervised("event_streams", self._dispatch, self._failures)
            )
        topic = self._topics.get(scope)
        if topic is None:
            topic = self._topics[scope] = Topic(scope)
            for path in ancestors_of(scope):
                self._inside.setdefault(path, {})[topic] = None
        stream = EventStream(self, topic)
        topic.streams[stream] = None
        self._count += 1
        return stream

    def leave(self, stream: EventStream) -> None:
        """Remove ``stream``, whose client has disconnected."""
        topic = stream.topic
        if stream not in topic.streams:
            return
        del topic.streams[stream]
        self._count -= 1
        stream.leave()
        if not topic.streams:
            del self._topics[topic.scope]
            for path in ancestors_of(topic.scope):
                del self._inside[path][topic]
                if not self._inside[path]:
                    del self._inside[path]

    def publish(
        self, changed: Iterable[ScopeGate], forgotten: Iterable[ScopeGate], tree: GateTree
    ) -> Iterator[None]:
        """Publish changed and forgotten gates. Each step handles a few gates or streams."""
        if not self._topics:
            return
        for gate in forgotten:
            for topic in self._topics_above(gate):
                topic.drop(gate)
            yield
        changed_topics: dict[Topic, None] = {}
        try:
            for gate in changed:
                for topic in self._topics_of(gate, tree):
                    if topic not in changed_topics:
                        # Keep the changes of the topic until every stream is notified.
                        changed_topics[topic] = None
                        topic.fell_behind()
                    topic.add(gate)
                yield
            for topic in changed_topics:
                for stream in list(topic.streams):
                    stream.notify()
                    yield
        finally:
            for topic in changed_topics:
                topic.caught_up()

    def _topics_of(self, gate: ScopeGate, tree: GateTree) -> Iterator[Topic]:
        """The topics that a change of ``gate`` belongs to."""
        yield from self._topics_above(gate)
        for topic in list(self._inside.get(gate.scope, ())):
            if tree.find(topic.scope)[0] is gate:
                yield topic

    def _topics_above(self, gate: ScopeGate) -> Iterator[Topic]:
        topic = self._topics.get(gate.scope)
        if topic is not None:
            yield topic
        for path in ancestors_of(gate.scope):
            topic = self._topics.get(path)
            if topic is not None:
                yield topic

    def queue(self, stream: EventStream) -> None:
        """Queue ``stream``, which has events to send."""
        self._queue.append(stream)
        self._queued.set()

    async def _dispatch(self) -> None:
        while True:
            for _ in range(min(_STREAMS_PER_PASS, len(self._queue))):
                self._queue.popleft().allow_send()
            if self._queue:
                await asyncio.sleep(0)
            else:
                self._queued.clear()
                await self._queued.wait()

    def shut_down(self) -> None:
        """End all streams, and open no more."""
        self._closing = True
        for topic in self._topics.values():
            for stream in topic.streams:
                stream.end()
        if self._task is not None:
            self._task.cancel()
