"""Sends a mixed load to one sidecar. Checks the conservation law, and samples open files and memory."""

from __future__ import annotations

import random
import socket
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from .crash import notification
from .process import eventually, eventually_equal
from .sidecar import Sidecar, assert_conserved

SCOPES = [f"team/{number}" for number in range(20)]
FEWEST_SAMPLES = 8


@dataclass
class Sample:
    """One sample of the sidecar."""

    at: float
    files: int
    memory_kb: int
    waiters: int
    scopes: int


@dataclass
class Report:
    """The result of a soak test."""

    samples: list[Sample] = field(default_factory=list)
    operations: dict[str, int] = field(default_factory=dict)

    def median(self, name: str, part: slice) -> float:
        return statistics.median(getattr(one, name) for one in self.samples[part])

    def figures(self) -> dict[str, Any]:
        """Medians of the second and of the last quarter, and counts."""
        quarter = len(self.samples) // 4
        early, late = slice(quarter, 2 * quarter), slice(3 * quarter, None)
        return {
            "samples": len(self.samples),
            **{
                name: {"second quarter": self.median(name, early), "last quarter": self.median(name, late)}
                for name in ("files", "memory_kb", "waiters", "scopes")
            },
            "operations": self.operations,
        }


class Soak:
    """Waiters, abandoned requests, pauses, alerts and reloads at the same time.

    Args:
        sidecar: the sidecar; its config may be changed.
        secs: duration in seconds.
    """

    def __init__(self, sidecar: Sidecar, secs: float) -> None:
        self._sidecar = sidecar
        self._secs = secs
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self.report = Report()

    def run(self) -> Report:
        acts = [self._wait] * 6 + [self._abandon] * 2 + [self._pause] * 2 + [self._alert] * 2
        acts += [self._claim, self._reload, self._claim_once]
        threads = [
            threading.Thread(target=self._churn, args=(act, number)) for number, act in enumerate(acts)
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + self._secs
        try:
            while (
                time.monotonic() < end or len(self.report.samples) < FEWEST_SAMPLES
            ) and not self._failures:
                self._sample()
                self._stop.wait(min(1.0, self._secs / 30))
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        if self._failures:
            raise self._failures[0]
        self._check_nothing_is_left()
        return self.report

    def _churn(self, act: Callable[[requests.Session, random.Random], None], seed: int) -> None:
        rng = random.Random(seed)
        name = act.__name__.strip("_")
        try:
            with requests.Session() as session:
                while not self._stop.is_set():
                    act(session, rng)
                    self.report.operations[name] = self.report.operations.get(name, 0) + 1
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread of the test
            self._failures.append(error)

    # -- the load ---------------------------------------------------------------------------------

    def _url(self, path: str) -> str:
        return f"{self._sidecar.url}{path}"

    def _wait(self, session: requests.Session, rng: random.Random) -> None:
        params = {"wait": rng.choice((0, 0.05, 0.5, 2))}
        answer = session.get(self._url(f"/v1/gate/{rng.choice(SCOPES)}/a"), params=params, timeout=30)
        assert answer.status_code in (200, 503), answer.text

    def _abandon(self, _: requests.Session, rng: random.Random) -> None:
        with socket.create_connection(self._sidecar.where, timeout=60) as sock:
            sock.sendall(f"GET /v1/gate/{rng.choice(SCOPES)}?wait=30 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            self._stop.wait(rng.uniform(0, 0.05))

    def _pause(self, session: requests.Session, rng: random.Random) -> None:
        scope = rng.choice(SCOPES)
        body = {"reason": "soak", "max_pause_secs": rng.choice((0.05, 0.5, 5))}
        ok(session.post(self._url(f"/v1/pause/{scope}"), json=body, timeout=30))
        self._stop.wait(rng.uniform(0, 0.2))
        if rng.random() < 0.7:
            ok(session.post(self._url(f"/v1/resume/{scope}"), timeout=30))

    def _alert(self, session: requests.Session, rng: random.Random) -> None:
        alerts = {f"soak-{rng.randrange(200)}": rng.choice(SCOPES) for _ in range(rng.randint(1, 20))}
        body = notification(alerts, firing=rng.random() < 0.4)
        ok(session.post(self._url("/v1/alerts"), data=body, timeout=30))
        self._stop.wait(0.05)

    def _claim(self, session: requests.Session, rng: random.Random) -> None:
        body = {"state": rng.choice(("healthy", "cautious", "distressed")), "ttl_secs": 1}
        ok(session.put(self._url(f"/v1/state/{rng.choice(SCOPES)}"), json=body, timeout=30))
        self._stop.wait(0.02)

    def _claim_once(self, session: requests.Session, rng: random.Random) -> None:
        """Claim a state for a scope that is used only once."""
        body = {"state": "distressed", "ttl_secs": 0.5}
        ok(session.put(self._url(f"/v1/state/once/{rng.getrandbits(64)}"), json=body, timeout=30))
        self._stop.wait(0.05)

    def _reload(self, session: requests.Session, rng: random.Random) -> None:
        ok(session.post(self._url("/-/reload"), timeout=30))
        self._stop.wait(0.3)

    # -- the samples ------------------------------------------------------------------------------

    def _sample(self) -> None:
        statuses = self._sidecar.status(below="true")
        for status in (statuses, *statuses["below"]):
            assert_conserved(status["counters"])
        below = statuses["below"]
        self.report.samples.append(
            Sample(
                time.monotonic(),
                len(list(Path(f"/proc/{self._sidecar.worker_pid}/fd").iterdir())),
                pss_kb(self._sidecar.worker_pid),
                sum(status["counters"]["waiters"] for status in below),
                len(below),
            )
        )

    def _check_nothing_is_left(self) -> None:
        """Check that no waiter and no claim is left after the load."""
        for scope in SCOPES:
            self._sidecar.resume(scope)

        def waiting() -> int:
            below = self._sidecar.status(below="true")["below"]
            return sum(status["counters"]["waiters"] for status in below)

        eventually_equal(waiting, 0, "no waiter is left")

        def claims() -> list[dict[str, Any]]:
            below = self._sidecar.status("once", below="true")["below"]
            return [signal for status in below for signal in status["signals"]]

        eventually(lambda: not claims(), "all claims have expired")


def ok(response: requests.Response) -> None:
    assert response.status_code == 200, (response.status_code, response.text)


def pss_kb(pid: int) -> int:
    """The proportional set size of a process, in kB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("the kernel does not report PSS")
