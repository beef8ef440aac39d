"""The position of a hook in the history, and the notes of its format. Stored as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HookPosition:
    """The position of a hook.

    Attributes:
        entry_id: id of the last history entry whose events were delivered or dropped.
        notes: the notes of the format.
    """

    entry_id: int
    notes: Mapping[str, int] = field(default_factory=dict)

    def to_text(self) -> str:
        """The position as text, for the store."""
        return json.dumps({"entry_id": self.entry_id, "notes": dict(self.notes)})

    @classmethod
    def from_text(cls, text: str) -> HookPosition:
        """The position that `to_text` returned. Raises `ValueError`."""
        try:
            members = json.loads(text)
            notes = {str(key): int(value) for key, value in members["notes"].items()}
            return cls(int(members["entry_id"]), notes)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a position: {error}") from None
