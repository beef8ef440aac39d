"""The log of events: a thread writes it in order and without loss, and the event loop never waits for it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from sidecar.core.commands import CommandOutcome
from sidecar.core.events import StateChanged
from sidecar.core.policy import PolicyTable
from sidecar.core.state import WellbeingState
from sidecar.core.values import EMPTY
from sidecar.gates.counters import Counters
from sidecar.gates.tree import GateTree
from sidecar.gates.waiting_room import WaitingRoom
from sidecar.runtime import event_log
from sidecar.runtime.event_log import EventLog


def changed(number: int) -> StateChanged:
    return StateChanged(
        f"s{number}", 1.0, WellbeingState.HEALTHY, WellbeingState.CAUTIOUS, "agent:x", f"reason {number}"
    )


class Lines(logging.Handler):
    """Records the lines; each write waits for ``go``."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.records: list[logging.LogRecord] = []
        self.threads: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.go.wait(30)
        self.threads.add(threading.current_thread().name)
        self.records.append(record)


def at_once(call: Callable[[], None]) -> None:
    call()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    handler = Lines()
    monkeypatch.setattr(event_log.logger, "handlers", [handler])
    monkeypatch.setattr(event_log.logger, "propagate", False)
    monkeypatch.setattr(event_log.logger, "level", logging.INFO)
    event_log.logger.manager._clear_cache()
    return handler


@pytest.mark.parametrize(("outcomes", "events"), [(1, 800), (800, 1)])
def test_a_step_counts_few_events_for_any_distribution_of_events(outcomes: int, events: int) -> None:
    decided = [CommandOutcome(tuple(changed(number) for number in range(events)))] * outcomes
    loop = asyncio.new_event_loop()
    try:
        tree = GateTree(PolicyTable(), 0, WaitingRoom(loop, Counters()))
        tree.update({f"s{number}": EMPTY for number in range(events)}, 0.0)
        before = 0
        for _ in EventLog(Counters(), at_once).count(decided, tree, 2.0):
            done = sum(gate.interventions for gate in tree.gates.values())
            assert before <= done <= before + 10
            before = done
        assert sum(gate.interventions for gate in tree.gates.values()) == 800
        assert before >= 790
    finally:
        loop.close()


def test_a_slow_reader_gets_every_line_in_order(lines: Lines) -> None:
    log = EventLog(Counters(), at_once)
    for number in range(0, 300, 3):
        log.log([CommandOutcome(tuple(changed(number + more) for more in range(3)))])
    # No line could be written so far, and no call was blocked.
    assert lines.records == []
    lines.go.set()
    log.stop()
    log.flush()
    assert [record.fields["scope"] for record in lines.records] == [f"s{number}" for number in range(300)]
    assert "MainThread" not in lines.threads


def test_lines_beyond_the_buffer_are_dropped_and_the_number_is_logged(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "_MAX_UNLOGGED", 10)
    log = EventLog(Counters(), at_once)
    log._unlogged = type(log._unlogged)(maxlen=10)
    log._thread = threading.current_thread()
    for number in range(25):
        log.log([CommandOutcome((changed(number),))])
    log._thread = None
    lines.go.set()
    log.stop()
    log.flush()
    assert lines.records[0].getMessage() == "events_not_logged"
    assert lines.records[0].fields == {"events": 15}
    assert [record.fields["scope"] for record in lines.records[1:]] == [f"s{n}" for n in range(15, 25)]


def test_a_line_that_cannot_be_written_does_not_stop_others(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters()
    log = EventLog(counters, at_once)
    write = event_log._write

    def failing(entry: event_log.HistoryEntry) -> None:
        if entry.scope == "s1":
            raise OSError("no space")
        write(entry)

    monkeypatch.setattr(event_log, "_write", failing)
    lines.go.set()
    log.log([CommandOutcome(tuple(changed(number) for number in range(4)))])
    while len(lines.records) < 3:
        threading.Event().wait(0.001)
    log.stop()
    log.flush()
    assert [record.fields["scope"] for record in lines.records] == ["s0", "s2", "s3"]
    assert counters.task_failures.counts["event_log"] == 1


def test_no_thread_starts_while_the_last_lines_are_written(lines: Lines) -> None:
    deferred: list[Callable[[], None]] = []
    log = EventLog(Counters(), deferred.append)
    log.log([CommandOutcome((changed(0), changed(1)))])
    log.stop()
    for call in deferred:
        call()
    lines.go.set()
    log.flush()
    assert [record.fields["scope"] for record in lines.records] == ["s0", "s1"]
    assert lines.threads == {"MainThread"}
