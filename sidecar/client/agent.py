"""An agent's own side: what it claims of itself, kept alive for as long as it lives."""

from __future__ import annotations

import logging
import random
import threading
from typing import Any, Self

from .connection import Connection
from .errors import Unreachable
from .settings import Settings

logger = logging.getLogger("wellbeing.client")

_STATES = ("healthy", "cautious", "concerned", "distressed")
_OK = 200
_MOST_TIMEOUT_SECS = 10.0
_MOST_RETRY_SECS = 5.0
_BEATS_PER_TTL = 3


class Agent:
    """Claims a state for a scope, and repeats it: an agent that dies stops, and its claim ends by itself.

    Keyword arguments are those of `Settings`; what is not given comes from the environment.

    Args:
        name: whose claim it is; the source ``agent:NAME``.
        url: of the sidecar.
        ttl_secs: after this long without a word the claim ends.

    Raises:
        ValueError: an argument or a variable cannot be.
    """

    def __init__(
        self,
        name: str,
        url: str | None = None,
        *,
        ttl_secs: float = 30.0,
        **settings: Any,  # noqa: ANN401 - see Settings
    ) -> None:
        if not ttl_secs > 0:
            raise ValueError(f"ttl_secs: must be above 0, got {ttl_secs!r}")
        self.name = name
        self._settings = Settings.of({"url": url, **settings})
        self._ttl_secs = ttl_secs
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._told = threading.Condition(self._lock)
        self._claim: tuple[str, str] = ("healthy", "")
        self._wanted = 0
        self._done = 0
        self._stopping = False
        self._reachable = True
        self._random = random.Random()  # noqa: S311 - spreads out heartbeats
        self._thread: threading.Thread | None = None

    def report(self, state: str, reason: str = "") -> None:
        """Claim ``state``, from now on; returns at once. ``healthy`` withdraws the claim.

        Raises:
            ValueError: ``state`` is none.
        """
        if state not in _STATES:
            raise ValueError(f"state: must be one of {', '.join(_STATES)}, got {state!r}")
        with self._lock:
            if (state, reason) == self._claim and self._wanted:
                return
            self._claim = (state, reason)
            self._wanted += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wellbeing-agent", daemon=True)
                self._thread.start()
        self._news.set()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until the sidecar has what was reported last; whether it has."""
        with self._told:
            return self._told.wait_for(lambda: self._done == self._wanted, timeout)

    def close(self) -> None:
        """Withdraw the claim: this agent ends well."""
        if self._thread is not None:
            self.report("healthy", "the agent has ended")
            self.flush()
        self._stopping = True
        self._news.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        connection = Connection(self._settings)
        try:
            while not self._stopping:
                self._news.clear()
                with self._lock:
                    wanted, (state, reason) = self._wanted, self._claim
                    due = wanted != self._done or state != "healthy"
                if not due or self._tell(connection, state, reason):
                    with self._told:
                        self._done = wanted
                        self._told.notify_all()
                    pause = self._ttl_secs / _BEATS_PER_TTL
                else:
                    pause = min(_MOST_RETRY_SECS, self._ttl_secs / _BEATS_PER_TTL)
                self._news.wait(pause * self._random.uniform(0.8, 1.0))
        except Exception:
            logger.exception("the agent %s is reported no more", self.name)
        finally:
            connection.close()

    def _tell(self, connection: Connection, state: str, reason: str) -> bool:
        body = {"state": state, "reason": reason, "source": self.name, "ttl_secs": self._ttl_secs}
        timeout = min(_MOST_TIMEOUT_SECS, self._ttl_secs)
        try:
            answer = connection.ask("PUT", "state", body=body, timeout=timeout)
            error = "" if answer.status == _OK else f"it answered {answer.status}: {answer.detail}"
        except Unreachable as unreachable:
            error = str(unreachable)
        if error:
            if self._reachable:
                logger.warning("the wellbeing sidecar does not take what %s reports: %s", self.name, error)
            self._reachable = False
            return False
        if not self._reachable:
            logger.warning("the wellbeing sidecar takes what %s reports again", self.name)
        self._reachable = True
        return True
