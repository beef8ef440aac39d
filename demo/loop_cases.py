"""The cases of the closed loop: each cause with each way of pausing, and with the settings that matter for
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .engine.dialects import Kind
from .engine.model import Fault

FASTER = 20.0
# An engine answers up to 6.5 requests a second, and 5.3 when it is so full that it preempts.
USUAL_PER_SEC, BUSY_PER_SEC, OVERLOAD_PER_SEC = 3.0, 4.5, 12.0
MAX_PAUSE_SECS = 1800 / FASTER
MIN_PAUSE_SECS = 300 / FASTER
# Traffic is not scaled: this is two thirds of the spare capacity of an engine under its usual load.
RAMP_PER_SEC = 1.5
WAIT_SECS = 115.0
"""The longest wait of a request at a gate. Behind a ramp, the request passes after this time."""
HOLD_SECS, BUSY_HOLD_SECS = 45.0, 20.0
"""The least duration of a cause: long enough for a gate to close and open, but short where a backlog drains
slowly."""

RESTRICT_PER_SEC = 4.5
"""The rate of a restriction: above the usual load, and 85 % of what a full engine can do, so that its queue falls."""
TRIAL_REQUESTS, TRIAL_SECS = 5, 600 / FASTER
"""Longer than the alert about a stuck engine takes, because a stuck request has no outcome."""
PODS, PAUSED_SHARE, POD_PER_SEC = 4, 0.5, 1.0

Cause = Literal["overload", "stuck", "slow", "bad", "restarted"]
Way = Literal["gate", "kept", "aborting", "restricted", "trial"]
Setting = Literal["none", "damping", "ramp", "both"]
CAUSES: tuple[Cause, ...] = ("overload", "stuck", "slow", "bad")
WAYS: tuple[Way, ...] = ("gate", "kept", "aborting")
AT_THE_GATE: tuple[Way, ...] = ("gate", "restricted", "trial")
SETTINGS: tuple[Setting, ...] = ("none", "damping", "ramp", "both")
MODES: dict[Kind, dict[Way, str]] = {
    "vllm": {"kept": "keep", "aborting": "abort"},
    "sglang": {"kept": "in_place", "aborting": "abort"},
}
# SGLang has no metric for repetition, so its faulty model gives answers that are too short.
BAD: dict[Kind, Fault] = {"vllm": "repetition", "sglang": "short"}


@dataclass(frozen=True)
class Case:
    """One engine, its fault, and the way of pausing it.

    Attributes:
        kind: the kind of engine.
        cause: the cause of the alert.
        way: the way of pausing it.
        setting: whether its scope has damping or a ramp.
        busy: whether its usual load is 85 % of its capacity with a queue, so that a backlog drains slowly.
    """

    kind: Kind
    cause: Cause
    way: Way
    setting: Setting = "none"
    busy: bool = False

    @property
    def name(self) -> str:
        """The name of its model and its scope."""
        return f"{self.kind}-{self.cause}-{self.way}-{self.setting}" + ("-busy" if self.busy else "")

    @property
    def fault(self) -> Fault:
        """The fault of the engine; none for an overload, which the clients cause."""
        faults: dict[Cause, Fault] = {
            "overload": "none",
            "stuck": "stuck",
            "slow": "slow",
            "bad": BAD[self.kind],
            "restarted": "stuck",
        }
        return faults[self.cause]

    @property
    def usual_per_sec(self) -> float:
        """Requests per second before and after the cause."""
        return BUSY_PER_SEC if self.busy else USUAL_PER_SEC

    @property
    def caused_per_sec(self) -> float:
        """Requests per second during the cause."""
        return OVERLOAD_PER_SEC if self.cause == "overload" else self.usual_per_sec

    @property
    def policy(self) -> dict[str, Any]:
        """The policy in the sidecar's config for its way and its setting."""
        policy: dict[str, Any] = {}
        if self.way == "restricted":
            policy = {"pause_on_concerned": False, "restrict": {"concerned": RESTRICT_PER_SEC}}
        if self.way == "trial":
            policy["resume_trial"] = {"requests": TRIAL_REQUESTS, "secs": TRIAL_SECS}
        if self.setting in ("damping", "both"):
            policy["min_pause_secs"] = MIN_PAUSE_SECS
        if self.setting in ("ramp", "both"):
            policy["resume_ramp_per_sec"] = RAMP_PER_SEC
        return policy

    @property
    def needs_baseline(self) -> bool:
        """Whether its alerts compare with the day before."""
        return self.cause == "slow" or (self.cause == "bad" and self.kind == "sglang")


def settings_of(kind: Kind, way: Way, *, busy: bool = False) -> tuple[Setting, ...]:
    """The settings to try for a case, in ascending order.

    An engine paused by its own API has no requests at a gate. For a busy engine a ramp would take longer than
    any request waits. At the gate all engines behave alike, so the effect of each single setting is tried
    with one kind.
    """
    if way != "gate" or busy:
        return ("none", "damping")
    return SETTINGS if kind == "vllm" else ("none", "both")


GRID = [
    Case(kind, cause, way, setting, busy)
    for busy, causes in ((False, CAUSES), (True, ("stuck", "bad")))
    for kind in MODES
    for cause in CAUSES
    if cause in causes
    for way in WAYS
    for setting in settings_of(kind, way, busy=busy)
]
WAYS_AT_THE_GATE = [
    Case("vllm", "overload", "gate"),
    Case("vllm", "overload", "restricted"),
    Case("vllm", "restarted", "gate"),
    Case("vllm", "restarted", "trial"),
]
"""What a gate can do besides closing, beside a gate that closes."""
POD_GROUPS = {"pods-all": 0.0, "pods-share": PAUSED_SHARE}
"""Groups of healthy engines that a bad rule pauses, each with its ``max_paused_share``; 0: any number."""
SHORT = [
    Case("vllm", "stuck", "gate"),
    Case("vllm", "stuck", "kept", "damping"),
    Case("vllm", "overload", "gate", "both"),
    Case("vllm", "bad", "aborting"),
    Case("vllm", "bad", "kept", busy=True),
    Case("sglang", "stuck", "kept"),
    Case("vllm", "overload", "restricted"),
    Case("vllm", "restarted", "trial"),
]
