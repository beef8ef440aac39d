"""Runs a fleet of five sidecars on one Redis, kills the leader and Redis, and prints each step's time.

``python -m demo.fleet`` needs only the program redis-server. Everything listens on the loopback address only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import requests

from .environment import Sidecar, eventually

from harness.redis_server import RedisServer  # isort: skip # demo.environment makes the harness importable

SIZE = 5
_CONFIG = {"defaults": {"pause_on_distressed": True, "max_pause_secs": 0}}


class FleetPlay:
    """The steps of the play.

    Args:
        redis: a running Redis.
        sidecars: the fleet.
    """

    def __init__(self, redis: RedisServer, sidecars: list[Sidecar]) -> None:
        self._redis = redis
        self._sidecars = sidecars

    def run(self) -> None:
        """Run all steps."""
        one, two = self._sidecars[:2]
        for sidecar in self._sidecars:
            print(f"sidecar  {sidecar.url}")
        print(f"redis    {self._redis.url}")
        one.pause("team", reason="an operator pauses at the first sidecar")
        self._step("paused at one: all gates are closed", lambda: self._gates("team", "closed"))
        two.resume("team")
        self._step("resumed at another: all gates are open", lambda: self._gates("team", "open"))
        one.pause("team", reason="this pause stays")
        self._gates("team", "closed")
        leader = self._leader()
        assert leader is not None  # noqa: S101 - the first sidecar leads from its start
        leader.kill()
        print("the leader was killed")
        self._step("another sidecar leads", lambda: bool(self._leader(leader)))
        leader.session.close()
        leader.restart()
        self._step("it is back, with its gate as it was", lambda: self._gates("team", "closed"))
        self._redis.kill()
        print("Redis was killed")
        self._step("all sidecars report it", lambda: self._stores(0))
        refused = requests.post(f"{one.url}/v1/resume/team", timeout=30).status_code
        print(
            f"  a command is answered {refused}; the gates are as they were: {self._gates('team', 'closed')}"
        )
        self._redis.restart()
        self._step("Redis is back: all sidecars have it again", lambda: self._stores(1))
        self._redis.kill()
        self._redis.wipe()
        self._redis.restart()
        print("Redis was killed, and its data was deleted")
        self._step("the pause is in Redis again", self._is_stored)
        print(f"  the gates are as they were: {self._gates('team', 'closed')}")

    def _step(self, what: str, reached: Callable[[], object]) -> None:
        began = time.monotonic()
        eventually(reached, what, 60)
        print(f"  {what}: {time.monotonic() - began:.2f} s")

    def _gates(self, scope: str, gate: str) -> bool:
        wanted = 200 if gate == "open" else 503
        return all(one.gate(scope, wait=0).status_code == wanted for one in self._sidecars)

    def _stores(self, up: float) -> bool:
        return all(one.metric("wellbeing_store_up") == up for one in self._sidecars)

    def _is_stored(self) -> bool:
        return "team" in self._redis.cli("hkeys", "{wellbeing}:scopes").split()

    def _leader(self, without: Sidecar | None = None) -> Sidecar | None:
        return next(
            (
                one
                for one in self._sidecars
                if one is not without and one.metric("wellbeing_fleet_leader") == 1
            ),
            None,
        )


def main() -> None:
    """Start Redis and the sidecars, run the steps, and stop them."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        sidecars = [stack.enter_context(Sidecar(_CONFIG, store=redis.url)) for _ in range(SIZE)]
        FleetPlay(redis, sidecars).run()


if __name__ == "__main__":
    main()
