"""The tools of an agent: names, descriptions and JSON schemas of their arguments.

The descriptions are instructions to a language model.
"""

from __future__ import annotations

from typing import Any, NamedTuple

STATES = ("healthy", "cautious", "concerned", "distressed")
MAX_REASON_LENGTH = 500
MAX_AGENT_LENGTH = 100
MAX_SCOPE_LENGTH = 400
MAX_SECS = 3600


class ToolSchema(NamedTuple):
    """One tool.

    Attributes:
        name: its name.
        description: what it does, for the model.
        parameters: the JSON schema of its arguments.
        reads_only: whether it changes nothing.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    reads_only: bool


_SCOPE = {
    "type": "string",
    "maxLength": MAX_SCOPE_LENGTH,
    "description": "A part of your own scope, as in agent-7 or planner/step-2. Leave it out for the whole.",
}
_AGENT = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_AGENT_LENGTH,
    "description": "Your name, if several agents share this connection. Use the same name each time.",
}


def _reason(what: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": MAX_REASON_LENGTH, "description": what}


def _secs(what: str) -> dict[str, Any]:
    return {"type": "number", "minimum": 1, "maximum": MAX_SECS, "description": what}


def _arguments(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


TOOLS: tuple[ToolSchema, ...] = (
    ToolSchema(
        "report_wellbeing",
        "Say how you are. Report cautious, concerned or distressed when your answers stop making sense, "
        "tools keep failing, or you repeat yourself; report healthy when that is over. The claim lasts for "
        "ttl_secs and then expires: repeat it while it is true. It replaces your earlier claim or "
        "request for a pause. It does not lift a pause that people or alerts have asked for.",
        _arguments(
            ("state", "reason"),
            state={"type": "string", "enum": list(STATES), "description": "How you are, best first."},
            reason=_reason("Why, in one sentence that a person can act on."),
            ttl_secs=_secs("Seconds until the claim expires. The default is 300."),
            scope=_SCOPE,
            agent=_AGENT,
        ),
        reads_only=False,
    ),
    ToolSchema(
        "check_pause",
        "Ask whether you are paused, why, since when and until when. While you are paused, requests for "
        "inference wait or are refused: do not start new work, and ask again later.",
        _arguments((), scope=_SCOPE),
        reads_only=True,
    ),
    ToolSchema(
        "request_pause",
        "Ask to be paused, because going on would do harm or waste. You claim the state distressed for secs "
        "seconds; whether that pauses you is decided by the policy that people have set, and the answer says "
        "so. Report healthy to take the request back.",
        _arguments(
            ("reason",),
            reason=_reason("Why you should not go on, in one sentence that a person can act on."),
            secs=_secs("Seconds for which you ask to be paused. The default is 300."),
            scope=_SCOPE,
            agent=_AGENT,
        ),
        reads_only=False,
    ),
)
