"""Simulates continuous batching with a paged KV cache. Takes values and times, returns events; no clock, no
I/O.

Every iteration makes one token for each sequence of the batch. A larger batch takes longer, but makes more
tokens per second. A sequence takes a block of the cache for every few tokens. When no block is free, the youngest sequence is preempted: its blocks are freed, and its tokens are computed again later. So an engine that is too full is less efficient, and a burst of requests makes this worse.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

BATCH = 16
BLOCKS = 72
BLOCK_TOKENS = 8
ITERATION_SECS = 0.03
SEQUENCE_SECS = 0.002
PREFILL_TOKENS_PER_SEC = 700.0
PROMPT_TOKENS = 32
ANSWER_TOKENS = 24
MOST_TOKENS = 48
SLOW = 10.0

Fault = Literal["none", "slow", "stuck", "nan", "repetition", "short", "error", "dead"]
FAULTS: tuple[Fault, ...] = ("none", "slow", "stuck", "nan", "repetition", "short", "error", "dead")
End = Literal["stop", "length", "abort", "error", "repetition"]
ENDS: tuple[End, ...] = ("stop", "length", "abort", "error", "repetition")


@dataclass(eq=False)
class Sequence:
    """One request in the engine.

    Attributes:
        arrived_at: seconds, in the time of the model.
        wanted: the number of tokens after which it ends by itself.
        done: called with the reason of the end.
        corrupted: its logits were not numbers.
        is_probe: a health check of the engine itself.
    """

    arrived_at: float
    wanted: int = ANSWER_TOKENS
    done: Callable[[End], None] = lambda _: None
    made: int = 0
    blocks: int = 0
    to_prefill: int = PROMPT_TOKENS
    began_at: float | None = None
    token_at: float | None = None
    corrupted: bool = False
    is_probe: bool = False


class Watcher(Protocol):
    """Receives the events of the model, and counts them."""

    def queued(self, secs: float) -> None:
        """A request left the queue for the first time, after ``secs`` seconds."""

    def prefilled(self, sequence: Sequence, tokens: int) -> None:
        """``tokens`` tokens of a prompt were computed."""

    def token(self, sequence: Sequence, secs: float, *, first: bool) -> None:
        """A token was generated: seconds since the arrival, or since the token before it."""

    def preempted(self) -> None:
        """A sequence was preempted and lost its blocks."""

    def ended(self, sequence: Sequence, end: End, secs: float) -> None:
        """A sequence ended: seconds since its arrival."""


@dataclass(eq=False)
class Model:
    """A queue, a batch, and a cache.

    Args:
        watcher: receives the events.
        paused: whether no iteration begins.
    """

    watcher: Watcher
    fault: Fault = "none"
    paused: bool = False
    waiting: deque[Sequence] = field(default_factory=deque)
    running: list[Sequence] = field(default_factory=list)
    _free: int = BLOCKS
    _now: float = 0.0
    _owed: float = 0.0
    _answers: int = 0

    @property
    def cache_usage(self) -> float:
        """The share of the cache that is in use, 0 to 1."""
        return 1 - self._free / BLOCKS

    def add(self, sequence: Sequence) -> None:
        """Queue a request."""
        self.waiting.append(sequence)

    def drop(self, sequence: Sequence) -> None:
        """Abort a request whose client is gone. A request that has ended is not changed."""
        if sequence in self.waiting:
            self.waiting.remove(sequence)
            self._end(sequence, "abort")
        elif sequence in self.running:
            self._leave(sequence)
            self._end(sequence, "abort")

    def drop_all(self) -> None:
        """Abort all requests."""
        for sequence in [*self.running, *self.waiting]:
            self.drop(sequence)

    def retract(self) -> None:
        """Move the running requests back to the queue, in their order, without their blocks."""
        for sequence in reversed(self.running[:]):
            self._preempt(sequence)

    def step(self, now: float, secs: float) -> None:
        """Simulate the ``secs`` seconds before ``now``."""
        self._now = now
        if self.paused or self.fault == "stuck":
            self._owed = 0.0
            return
        self._owed += secs
        while self._owed > 0:
            took = self._iterate()
            if took == 0:
                self._owed = 0.0
                return
            self._owed -= took * (SLOW if self.fault == "slow" else 1.0)

    def _iterate(self) -> float:
        """Run one iteration. Returns its duration in seconds; 0: there was no work."""
        self._admit()
        if not self.running:
            return 0.0
        took = 0.0
        for sequence in self.running[:]:
            if sequence not in self.running:
                continue  # preempted by a sequence before it
            if sequence.to_prefill:
                took += sequence.to_prefill / PREFILL_TOKENS_PER_SEC
                self.watcher.prefilled(sequence, sequence.to_prefill)
                sequence.to_prefill = 0
            self._make_token(sequence)
        return took + ITERATION_SECS + SEQUENCE_SECS * len(self.running)

    def _admit(self) -> None:
        while self.waiting and len(self.running) < BATCH:
            sequence = self.waiting[0]
            needed = -(-sequence.to_prefill // BLOCK_TOKENS)
            if needed > self._free:
                return
            self.waiting.popleft()
            self._free -= needed
            sequence.blocks = needed
            if sequence.began_at is None:
                sequence.began_at = self._now
                self.watcher.queued(self._now - sequence.arrived_at)
            self.running.append(sequence)

    def _make_token(self, sequence: Sequence) -> None:
        held = sequence.blocks * BLOCK_TOKENS
        if PROMPT_TOKENS + sequence.made + 1 > held:
            if not self._free:
                youngest = self.running[-1]
                self._preempt(youngest)
                if youngest is sequence:
                    return
            self._free -= 1
            sequence.blocks += 1
        sequence.made += 1
        first = sequence.token_at is None
        since = sequence.arrived_at if sequence.token_at is None else sequence.token_at
        self.watcher.token(sequence, self._now - since, first=first)
        sequence.token_at = self._now
        end = self._end_of(sequence)
        if end is not None:
            self._leave(sequence)
            self._end(sequence, end)

    def _end_of(self, sequence: Sequence) -> End | None:
        if self.fault == "short":
            return "stop"
        if sequence.made < min(sequence.wanted, MOST_TOKENS):
            return None
        self._answers += 1
        odd = self._answers % 2 == 0
        if self.fault == "nan":
            sequence.corrupted = odd
        elif self.fault == "repetition" and odd:
            return "repetition"
        elif self.fault == "error" and odd:
            return "error"
        return "length" if sequence.wanted > MOST_TOKENS else "stop"

    def _preempt(self, sequence: Sequence) -> None:
        self._leave(sequence)
        # The whole sequence is computed again.
        sequence.to_prefill = PROMPT_TOKENS + sequence.made
        self.waiting.appendleft(sequence)
        self.watcher.preempted()

    def _leave(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._free += sequence.blocks
        sequence.blocks = 0

    def _end(self, sequence: Sequence, end: End) -> None:
        self.watcher.ended(sequence, end, self._now - sequence.arrived_at)
        sequence.done(end)
