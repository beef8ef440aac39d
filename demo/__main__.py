"""Runs ten scenes: an engine fails and recovers, requests wait and pass. Ends by itself or with Ctrl-C."""

from __future__ import annotations

import functools
import signal
import sys
import threading
import time
from collections.abc import Callable

from .environment import SCOPE, DemoEnvironment, eventually

PAUSE_SECS = 5.0


class Demo:
    """Runs the scenes of the demo.

    Args:
        environment: the running programs.
        say: called with each line of output.

    Attributes:
        secs: how long each scene took, by title.
    """

    def __init__(self, environment: DemoEnvironment, say: Callable[[str], None] = print) -> None:
        self._environment = environment
        self._say = say
        self.secs: dict[str, float] = {}
        self._rest = threading.Event()

    def run(self) -> None:
        """Run all scenes, one after the other."""
        environment, sidecar = self._environment, self._environment.sidecar
        self._say(f"sidecar      {sidecar.url}/v1/status/{SCOPE}")
        self._say(f"prometheus   {environment.prometheus.url}/alerts")
        self._say(f"alertmanager {environment.alertmanager.url}")
        self._scene("All is well", "four requests a second; the gate is open", self._good)
        self._scene(
            "The engine slows down",
            "it still answers, but its queue grows: watch vllm:num_requests_waiting",
            self._slow,
        )
        self._scene(
            "The engine is stuck",
            "/health answers 200, but no token is generated; VllmStuck fires and the gate closes",
            self._stuck,
        )
        self._scene("Paused", "requests wait at the gate, not in the engine; none is refused", self._paused)
        self._scene(
            "The engine recovers",
            "it drains, the alert resolves, every waiting request passes",
            self._recovered,
        )
        self._scene("An operator pauses", "with a reason, until an operator resumes", self._by_hand)
        self._scene("The operator resumes", "the gate opens at once", self._resumed)
        self._scene(
            "An agent is not well",
            "it claims to be distressed for three seconds; the gate closes, then opens by itself",
            self._agent,
        )
        self._scene(
            "The sidecar is killed while paused",
            "kill -9, then a restart: the gate is still closed, with the same reason and the same start",
            self._killed,
        )
        self._scene("The end", "every request is answered, and the history lists every change", self._end)

    def _scene(self, title: str, look: str, play: Callable[[], None]) -> None:
        self._say(f"\n{len(self.secs) + 1}. {title}: {look}")
        began = time.monotonic()
        play()
        self.secs[title] = round(time.monotonic() - began, 1)
        self._say(f"   ({self.secs[title]} s) {self._line()}")

    def _line(self) -> str:
        status = self._environment.sidecar.status(SCOPE)
        counters = status["counters"]
        line = f"gate {status['gate']}, {status['effective_state']}, {counters['waiters']} waiting"
        line += f", {counters['requests_waited']} have waited, {counters['requests_timed_out']} timed out"
        return line + (f": {status['reason']} (since {status['since']})" if status["reason"] else "")

    def _show(self, moment: str) -> None:
        self._say(f"   {moment}: {self._line()}")

    def _is(self, gate: str) -> bool:
        return bool(self._environment.sidecar.status(SCOPE)["gate"] == gate)

    def _waiting(self) -> int:
        return int(self._environment.sidecar.counters(SCOPE)["waiters"])

    def _good(self) -> None:
        self._environment.load.per_sec = 4
        self._rest.wait(PAUSE_SECS)

    def _slow(self) -> None:
        self._environment.fault("slow")
        eventually(
            lambda: (self._environment.prometheus.value("vllm:num_requests_waiting") or 0) > 10,
            "the queue grows",
        )

    def _stuck(self) -> None:
        self._environment.fault("stuck")
        eventually(lambda: self._is("closed"), "the gate closes", 120)

    def _paused(self) -> None:
        eventually(lambda: self._waiting() > 10, "requests wait")

    def _recovered(self) -> None:
        self._environment.fault("none")
        eventually(lambda: self._is("open"), "the gate opens", 120)
        eventually(lambda: self._waiting() == 0, "no request waits", 60)

    def _by_hand(self) -> None:
        self._environment.sidecar.pause(SCOPE, "looking at the weights", max_pause_secs=0)
        self._rest.wait(PAUSE_SECS)

    def _resumed(self) -> None:
        self._environment.sidecar.resume(SCOPE)
        eventually(lambda: self._waiting() == 0, "no request waits")
        self._rest.wait(PAUSE_SECS / 2)

    def _agent(self) -> None:
        self._environment.sidecar.claim(
            SCOPE, "distressed", reason="loops without progress", source="agent-7", ttl_secs=3
        )
        eventually(lambda: self._waiting() > 2, "requests wait")
        self._show("while agent-7 claims to be distressed")
        eventually(lambda: self._is("open"), "the claim expires")
        eventually(lambda: self._waiting() == 0, "no request waits")

    def _killed(self) -> None:
        sidecar = self._environment.sidecar
        sidecar.pause(SCOPE, "before the crash", max_pause_secs=0)
        eventually(lambda: self._waiting() > 2, "requests wait")
        self._show("before kill -9")
        sidecar.kill()
        sidecar.session.close()
        asked = self._environment.load.asked
        eventually(
            lambda: self._environment.load.asked > asked + 2, "requests come while there is no sidecar"
        )
        self._say("   killed: workers go by the gate's last known state, so requests still wait")
        sidecar.restart()
        eventually(lambda: self._waiting() > 2, "the worker has reported to the new process")
        self._show("after the restart, counted from zero")
        sidecar.resume(SCOPE)
        eventually(lambda: self._waiting() == 0, "no request waits")

    def _end(self) -> None:
        self._environment.load.per_sec = 0
        sidecar, load = self._environment.sidecar, self._environment.load
        eventually(lambda: self._waiting() == 0, "no request waits")
        for entry in reversed(sidecar.get(f"/v1/history/{SCOPE}", params={"limit": 12}).json()["entries"]):
            change = f"{entry['from']} to {entry['to']} by {entry['source']}"
            self._say(f"   {entry['at']} {entry['kind']}: {change}: {entry['reason']}")
        eventually(lambda: not load.pending, "all requests are answered", 60)
        self._say(f"   answers by status: {dict(load.statuses)}")


def main() -> int:
    """Run all scenes, and stop everything that was started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with DemoEnvironment() as environment:
            Demo(environment, functools.partial(print, flush=True)).run()
            if "--stay" in sys.argv:
                print("\nkeeps running until Ctrl-C", flush=True)
                threading.Event().wait()
    except KeyboardInterrupt:
        print("\nended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
