"""Long-lived tasks, timers and threads survive any exception."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading

import pytest

from sidecar import supervision
from sidecar.supervision import (
    Failures,
    RepeatingTimer,
    backoff_secs,
    end_task,
    run_supervised,
    run_thread_supervised,
)


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch):
    monkeypatch.setattr(supervision, "_FIRST_BACKOFF_SECS", 0.0)
    monkeypatch.setattr(supervision, "_CANCEL_AGAIN_SECS", 0.01)


class Flaky:
    def __init__(self, errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


ERRORS = [OSError("reset"), KeyError("x"), RecursionError(), MemoryError(), AssertionError()]


def test_a_task_is_started_again_after_any_exception(caplog):
    run, failures = Flaky(ERRORS), Failures()

    async def task():
        run()

    asyncio.run(run_supervised("follow", task, failures))
    assert run.calls == len(ERRORS) + 1
    assert failures.counts == {"follow": len(ERRORS)}
    lines = [record for record in caplog.records if record.message == "task_failed"]
    assert len(lines) == 1
    assert lines[0].fields == {"task": "follow", "failures": 1}
    assert lines[0].exc_info


def test_a_cancelled_task_ends():
    async def scenario():
        failures = Failures()

        async def task():
            await asyncio.Event().wait()

        running = asyncio.create_task(run_supervised("wait", task, failures))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not failures.counts["wait"]

    asyncio.run(scenario())


def test_a_task_that_swallows_its_cancellation_still_ends():
    async def main():
        began = asyncio.Event()

        async def lose_one():
            with contextlib.suppress(asyncio.CancelledError):
                began.set()
                await asyncio.sleep(60)
            await asyncio.sleep(60)

        task = asyncio.create_task(lose_one())
        await began.wait()
        await end_task(task)
        assert task.cancelled()

    asyncio.run(main())


def test_a_thread_is_started_again_after_any_exception():
    run, failures = Flaky(ERRORS), Failures(logging.getLogger("quiet"))
    run_thread_supervised("poll", run, failures, threading.Event())
    assert run.calls == len(ERRORS) + 1
    assert failures.counts == {"poll": len(ERRORS)}


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_system_exit_and_keyboard_interrupt_do_not_end_a_supervised_thread(error):
    run, failures = Flaky([error]), Failures(logging.getLogger("quiet"))
    run_thread_supervised("poll", run, failures, threading.Event())
    assert run.calls == 2
    assert failures.counts == {"poll": 1}


def test_a_log_handler_that_raises_does_not_end_a_thread():
    class Raises(logging.Handler):
        def emit(self, record):
            raise KeyError("a handler of the user")

    log = logging.getLogger("raises")
    log.addHandler(Raises())
    run, failures = Flaky(ERRORS), Failures(log)
    run_thread_supervised("poll", run, failures, threading.Event())
    assert run.calls == len(ERRORS) + 1
    assert failures.counts == {"poll": len(ERRORS)}


def test_a_log_line_has_the_given_message(caplog):
    try:
        raise OSError  # noqa: TRY301 - the exception is recorded where it is caught
    except OSError:
        Failures(message="a sentence").record("poll")
    assert [record.message for record in caplog.records] == ["a sentence"]


def test_a_stopped_thread_is_not_started_again():
    stopped = threading.Event()

    def run():
        stopped.set()
        raise OSError

    run_thread_supervised("poll", run, Failures(), stopped)


def test_a_timer_continues_after_any_exception_until_it_is_stopped():
    async def scenario():
        run, failures = Flaky(ERRORS), Failures()
        done = asyncio.Event()

        def call():
            try:
                run()
            finally:
                if run.calls > len(ERRORS):
                    timer.stop()
                    done.set()

        timer = RepeatingTimer(asyncio.get_running_loop(), lambda: 0.0, call, name="tick", failures=failures)
        await done.wait()
        await asyncio.sleep(0)
        assert run.calls == len(ERRORS) + 1
        assert failures.counts == {"tick": len(ERRORS)}

    asyncio.run(scenario())


def test_backoff_grows_and_has_a_limit(monkeypatch):
    monkeypatch.setattr(supervision, "_FIRST_BACKOFF_SECS", 0.1)
    assert 0.05 <= backoff_secs(1) <= 0.1
    assert 7.5 <= backoff_secs(1_000) <= 15.0
