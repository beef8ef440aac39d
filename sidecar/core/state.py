"""The four wellbeing states, in order."""

from __future__ import annotations

from enum import IntEnum

from .errors import InvalidState


class WellbeingState(IntEnum):
    """The wellbeing of an agent or a model. A worse state is greater."""

    HEALTHY = 0
    CAUTIOUS = 1
    CONCERNED = 2
    DISTRESSED = 3

    @property
    def label(self) -> str:
        """The name of the state in JSON, config, labels and logs."""
        return _LABELS[self]

    @classmethod
    def parse(cls, text: object) -> WellbeingState:
        """The state that ``text`` names.

        Raises:
            InvalidState: ``text`` is not one of the four names.
        """
        state = _BY_LABEL.get(text) if isinstance(text, str) else None
        if state is None:
            raise InvalidState(text, tuple(_BY_LABEL))
        return state


_LABELS = tuple(state.name.lower() for state in WellbeingState)
_BY_LABEL = {state.label: state for state in WellbeingState}
