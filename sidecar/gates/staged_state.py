"""States that gates get later.

Ten thousand gates cannot change in one short step. So an update first gives each gate its next state, a few
gates at a time, without effect. Then `StagedStates.visible` is set in one step for any number of gates.
there are: from then on, each gate takes its next state when it is read. Unread gates are settled a
few gates at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sidecar.core.policy import Policy

    from .admission_control import AdmissionControl
    from .gate import GateState, ScopeGate


class NextState(NamedTuple):
    """The next state of one gate.

    Attributes:
        staged: the states that become visible together with it.
        state: the next state; None: the scope is forgotten.
        policy: the next policy; None: it does not change.
        is_new: the gate is new, and belongs to no scope yet.
        blocks: whether the gate blocks in the next state.
        keeps_response: whether the response of the gate stays the same.
        has_limits: whether the scope has or had limits.
    """

    staged: StagedStates
    state: GateState | None
    policy: Policy | None = None
    is_new: bool = False
    blocks: bool = False
    keeps_response: bool = True
    has_limits: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the scope of the gate is known now."""
        return self.state is not None if self.staged.visible else not self.is_new


class StagedStates:
    """The states that one update gives to gates.

    Args:
        admission: gets the limits of the gates.

    Attributes:
        visible: whether the next states apply. It is set once.
    """

    __slots__ = ("_admission", "visible")

    def __init__(self, admission: AdmissionControl) -> None:
        self._admission = admission
        self.visible = False

    def settle(self, gate: ScopeGate) -> None:
        """Replace the state of ``gate`` by its next state, if that is visible."""
        following = gate.following
        if following is None or not following.staged.visible:
            return
        gate.following = None
        if following.state is None:
            if gate.node is not None and gate.node.placed is gate:
                gate.node.placed = None
            if gate.limiters:
                self._admission.set_limits(gate, ())
            return
        gate.replace_state(following)
        if following.has_limits:
            self._apply_limits(gate)

    def _apply_limits(self, gate: ScopeGate) -> None:
        limits = gate.state.limits
        for one in limits:
            # The limits of these gates must exist first.
            self.settle(one.gate)
        self._admission.set_limits(gate, limits)
        self._admission.link(gate, gate.limits)
