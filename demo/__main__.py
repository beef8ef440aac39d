"""Ten acts: what goes well, what goes wrong, who notices, and who waits. Ends with Ctrl-C, or by itself."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable

from .stage import SCOPE, Stage, eventually

PAUSE_SECS = 5.0


class Play:
    """The acts, on a stage.

    Attributes:
        secs: how long each act took, by title.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.secs: dict[str, float] = {}
        self._rest = threading.Event()

    def run(self) -> None:
        """All acts, one after the other."""
        stage, sidecar = self._stage, self._stage.sidecar
        print(f"sidecar      {sidecar.url}/v1/status/{SCOPE}")
        print(f"prometheus   {stage.prometheus.url}/alerts")
        print(f"alertmanager {stage.alertmanager.url}")
        self._act("All is well", "four requests a second; the gate is open", self._good)
        self._act(
            "The engine slows down",
            "it answers, but its queue grows: watch vllm:num_requests_waiting",
            self._slow,
        )
        self._act(
            "The engine is stuck",
            "/health says ok, no token is made; VllmStuck fires, the gate closes",
            self._stuck,
        )
        self._act("Paused", "requests wait at the gate, not in the engine; nothing is refused", self._paused)
        self._act("The engine recovers", "it drains, the alert resolves, all who wait pass", self._recovered)
        self._act("An operator pauses", "with a reason, for as long as it takes", self._by_hand)
        self._act("The operator resumes", "at once", self._resumed)
        self._act("An agent is not well", "it says so itself, for three seconds", self._agent)
        self._act(
            "The sidecar is killed while paused",
            "kill -9, and started again: the gate is as it was",
            self._killed,
        )
        self._act("The end", "counts add up, and the history tells all of it", self._end)

    def _act(self, title: str, look: str, play: Callable[[], None]) -> None:
        print(f"\n{len(self.secs) + 1}. {title}: {look}", flush=True)
        began = time.monotonic()
        play()
        self.secs[title] = round(time.monotonic() - began, 1)
        print(f"   ({self.secs[title]} s) {self._line()}", flush=True)

    def _line(self) -> str:
        status = self._stage.sidecar.status(SCOPE)
        counters = status["counters"]
        told = f"gate {status['gate']}, {status['effective_state']}, {counters['waiters']} waiting"
        told += f", {counters['requests_waited']} have waited, {counters['requests_timed_out']} timed out"
        return told + (f": {status['reason']}" if status["reason"] else "")

    def _good(self) -> None:
        self._stage.load.per_sec = 4
        self._rest.wait(PAUSE_SECS)

    def _slow(self) -> None:
        self._stage.fault("slow")
        eventually(
            lambda: (self._stage.prometheus.value("vllm:num_requests_waiting") or 0) > 10, "the queue grows"
        )

    def _stuck(self) -> None:
        self._stage.fault("stuck")
        eventually(lambda: self._stage.sidecar.status(SCOPE)["gate"] == "closed", "the gate closes", 120)

    def _paused(self) -> None:
        eventually(lambda: self._stage.sidecar.status(SCOPE)["counters"]["waiters"] > 10, "requests wait")

    def _recovered(self) -> None:
        self._stage.fault("none")
        eventually(lambda: self._stage.sidecar.status(SCOPE)["gate"] == "open", "the gate opens", 120)
        eventually(lambda: self._stage.sidecar.status(SCOPE)["counters"]["waiters"] == 0, "nobody waits", 60)

    def _by_hand(self) -> None:
        self._stage.sidecar.pause(SCOPE, "looking at the weights", max_pause_secs=0)
        self._rest.wait(PAUSE_SECS)

    def _resumed(self) -> None:
        self._stage.sidecar.resume(SCOPE)
        self._rest.wait(PAUSE_SECS / 2)

    def _agent(self) -> None:
        self._stage.sidecar.claim(
            SCOPE, "distressed", reason="loops without progress", source="agent-7", ttl_secs=3
        )
        eventually(lambda: self._stage.sidecar.status(SCOPE)["gate"] == "open", "the claim ends")

    def _killed(self) -> None:
        sidecar = self._stage.sidecar
        sidecar.pause(SCOPE, "before the crash", max_pause_secs=0)
        sidecar.kill()
        sidecar.session.close()
        sidecar.restart()
        eventually(lambda: sidecar.status(SCOPE)["gate"] == "closed", "it is as it was")
        sidecar.resume(SCOPE)

    def _end(self) -> None:
        self._stage.load.per_sec = 0
        sidecar = self._stage.sidecar
        eventually(lambda: sidecar.counters(SCOPE)["waiters"] == 0, "nobody waits")
        for entry in reversed(sidecar.get(f"/v1/history/{SCOPE}", params={"limit": 12}).json()["entries"]):
            print(
                f"   {entry['at']} {entry['kind']}: {entry['from']} to {entry['to']} by {entry['source']}: {entry['reason']}"
            )
        load = self._stage.load
        eventually(lambda: not load.pending, "all are answered", 60)
        print(f"   answers by status: {dict(load.statuses)}")


def main() -> int:
    """Play, and end cleanly whatever happens."""
    # Whoever ends it, nothing it started is left.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Stage() as stage:
            Play(stage).run()
            if "--stay" in sys.argv:
                print("\nstays until Ctrl-C", flush=True)
                threading.Event().wait()
    except KeyboardInterrupt:
        print("\nended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
