"""An agent's claim about its own state, repeated while the agent runs."""

from __future__ import annotations

import time
from typing import Any, Self

from .agent_names import require_agent_name
from .claim_reporter import STATES, ClaimReporter
from .closing import CLOSE_BUDGET
from .fork_safety import PerProcess
from .health import Health
from .settings import Settings


class Agent:
    """Claims a state for a scope and repeats it, so that the claim of an agent that dies expires.

    A forked child reports nothing until it calls `report`. Then it repeats its own claim under the same name.
    Keyword arguments are those of `Settings`. The environment provides the missing ones.

    Args:
        name: the name of the agent, 1 to 128 of ``A-Z a-z 0-9 . _ : ~ / @ + -``; the source of its claims is
            ``agent:NAME``.
        url: the URL of the sidecar.
        ttl_secs: seconds after which the claim expires unless it is repeated.

    Raises:
        ValueError: an argument or a variable is not allowed.
        TypeError: there is no such setting.
    """

    def __init__(
        self,
        name: str,
        url: str | None = None,
        *,
        ttl_secs: float = 30.0,
        **settings: Any,  # noqa: ANN401 - see Settings
    ) -> None:
        require_agent_name(name)
        if isinstance(ttl_secs, bool) or not isinstance(ttl_secs, int | float) or not 0 < ttl_secs <= 1e9:  # noqa: PLR2004 - 30 years
            raise ValueError(f"ttl_secs: must be a number above 0, got {ttl_secs!r}")
        self._set_up(name, Settings.of({"url": url, **settings}), ttl_secs)

    @classmethod
    def of(cls, name: str, settings: Settings, ttl_secs: float) -> Self:
        """Create an agent from complete settings. The environment is not used."""
        agent = cls.__new__(cls)
        agent._set_up(name, settings, ttl_secs)  # noqa: SLF001 - of this class
        return agent

    def _set_up(self, name: str, settings: Settings, ttl_secs: float) -> None:
        self.name = name
        self.settings = settings
        self._ttl_secs = ttl_secs
        self._reporters = PerProcess(lambda: ClaimReporter(name, settings, ttl_secs))

    def report(self, state: str, reason: str = "") -> None:
        """Claim ``state`` from now on. Returns at once. ``healthy`` withdraws the claim.

        Args:
            state: ``healthy``, ``cautious``, ``concerned`` or ``distressed``.
            reason: an explanation for people.

        Raises:
            ValueError: ``state`` is not one of these.
        """
        if state not in STATES:
            raise ValueError(f"state: must be one of {', '.join(STATES)}, got {state!r}")
        self._reporters.get().report(state, reason)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until the sidecar has the last report; return whether it has.

        Args:
            timeout: seconds to wait at most.
        """
        reporter = self._reporters.peek()
        return True if reporter is None else reporter.flush(timeout)

    @property
    def health(self) -> Health:
        """The state of the connection to the sidecar; `Health.snapshot` is always None."""
        return self._reporters.get().health

    @property
    def failures(self) -> int:
        """Unexpected exceptions in the background thread; each is in the log."""
        return self._reporters.get().health.failures

    def close(self) -> None:
        """Withdraw the claim, and stop.

        If the sidecar does not answer, this takes 3 seconds at most, for all agents of the process together.
        """
        reporter = self._reporters.peek()
        if reporter is None:
            return
        began = time.monotonic()
        reporter.close(CLOSE_BUDGET.allowance())
        CLOSE_BUDGET.spend(time.monotonic() - began)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the settings only. The copy has reported nothing yet."""
        return type(self).of, (self.name, self.settings, self._ttl_secs)
