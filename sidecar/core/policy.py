"""What a scope's signals may do to its gate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .errors import InvalidPolicy
from .scope import ancestors_of
from .state import WellbeingState


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one scope. The defaults observe and never pause.

    Attributes:
        enabled: off, signals are ignored and the gate is open, whatever holds exist.
        pause_on_distressed: a distressed own state puts an auto hold.
        pause_on_concerned: a concerned own state does, and so a distressed one too.
        max_pause_secs: seconds after which a hold ends by itself; 0: never.
        wait_timeout_secs: seconds a gate request waits by default, and at most.
        min_pause_secs: seconds an auto hold is kept at least; 0: recover at once.
        resume_ramp_per_sec: parked waiters let through a second after a resume; 0: all at once.
    """

    enabled: bool = True
    pause_on_distressed: bool = False
    pause_on_concerned: bool = False
    max_pause_secs: float = 300.0
    wait_timeout_secs: float = 60.0
    min_pause_secs: float = 0.0
    resume_ramp_per_sec: float = 0.0

    def __post_init__(self) -> None:
        for key in ("max_pause_secs", "wait_timeout_secs", "min_pause_secs", "resume_ramp_per_sec"):
            value = getattr(self, key)
            if not 0 <= value < float("inf"):
                raise InvalidPolicy(key, f"must be a number of at least 0, got {value!r}")
        if 0 < self.max_pause_secs < self.min_pause_secs:
            raise InvalidPolicy(
                "min_pause_secs",
                f"must not be above max_pause_secs ({self.max_pause_secs:g}), got {self.min_pause_secs:g}",
            )

    @property
    def threshold(self) -> WellbeingState | None:
        """The own state from which on the scope is paused; None: never."""
        if not self.enabled:
            return None
        if self.pause_on_concerned:
            return WellbeingState.CONCERNED
        if self.pause_on_distressed:
            return WellbeingState.DISTRESSED
        return None


@dataclass(frozen=True, slots=True)
class PolicyTable:
    """The config's policies: the first whose scope holds a scope decides, else the defaults.

    Attributes:
        defaults: what counts where no rule matches.
        rules: pairs of a scope and the policy of it and everything below it, in the config's order.
        named: further scopes that the config names.
    """

    defaults: Policy = Policy()
    rules: tuple[tuple[str, Policy], ...] = ()
    named: tuple[str, ...] = ()
    _first: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Looked through one by one, 10,000 policies would make a start of as many scopes take a minute.
        first: dict[str, int] = {}
        for place, (match, _) in enumerate(self.rules):
            first.setdefault(match, place)
        object.__setattr__(self, "_first", first)

    def policy_for(self, scope: str) -> Policy:
        """The policy of ``scope``."""
        first = self._first
        scope_by_alert = [first[match] for match in (scope, *ancestors_of(scope)) if match in first]
        return self.rules[min(scope_by_alert)][1] if scope_by_alert else self.defaults

    def named_scopes(self) -> Iterable[str]:
        """The scopes that the config names, and so makes known."""
        return (*(match for match, _ in self.rules), *self.named)
