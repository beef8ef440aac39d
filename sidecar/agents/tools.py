"""The tools of an agent, carried out by requests to its sidecar.

Rules of this file: an agent only makes claims and asks questions. Nothing here pauses or resumes as an
operator does, so no tool can lift an operator's hold. Every claim ends by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sidecar.client.agent_names import require_agent_name, to_agent_name
from sidecar.client.connection import Connection, SidecarResponse
from sidecar.client.errors import Misconfigured, Unreachable
from sidecar.client.settings import Settings
from sidecar.client.status_check import check_status

from .arguments import check_call
from .errors import ToolFailed
from .schemas import TOOLS

_TIMEOUT_SECS = 10.0
_DEFAULT_SECS = 300.0
_BAD_REQUEST = 400


def openai_tools() -> list[dict[str, Any]]:
    """The tools in the format of OpenAI's chat completions API (``tools``)."""
    return [
        {
            "type": "function",
            "function": {"name": one.name, "description": one.description, "parameters": one.parameters},
        }
        for one in TOOLS
    ]


class AgentTools:
    """Carries out tool calls of agents.

    Args:
        settings: the URL of the sidecar, the credentials, and the scope for which the agents may make claims.
        name: 1 to 128 of ``A-Z a-z 0-9 . _ : ~ / @ + -``; the source of the claims is ``agent:NAME``, or
            ``agent:NAME/AGENT`` if the agent gives one.

    Raises:
        ValueError: ``name`` is not allowed.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = require_agent_name(name)

    def call(self, tool: str, arguments: object, *, name: str | None = None) -> dict[str, Any]:
        """Execute one call; return the result text for the model.

        Args:
            tool: the name of the tool.
            arguments: its arguments, parsed.
            name: replaces the name of the source. Characters that a source cannot have are replaced.

        Raises:
            ToolFailed: an argument is not valid, or the sidecar refused or did not answer.
        """
        given = check_call(tool, arguments)
        settings = self._settings_for(tool, given)
        if tool == "check_pause":
            return _pause_state(self._request(settings, "GET", "watch"))
        asks = tool == "request_pause"
        reason = given["reason"].strip()
        source = name or self._name
        if "agent" in given:
            source = f"{source}/{given['agent'].strip()}"
        body = {
            "state": "distressed" if asks else given["state"],
            "reason": f"asks for a pause: {reason}" if asks else reason,
            "source": to_agent_name(source),
            "ttl_secs": given.get("secs" if asks else "ttl_secs", _DEFAULT_SECS),
        }
        told = _pause_state(self._request(settings, "PUT", "state", body))
        told["claimed_as"] = f"agent:{body['source']}"
        if asks and not told["paused"]:
            told["note"] = "recorded, but the policy does not pause for it now: stop by yourself if you must"
        return told

    def _settings_for(self, tool: str, given: Mapping[str, Any]) -> Settings:
        own, inside = self._settings.scope, given.get("scope", "").strip("/ ")
        if not inside:
            return self._settings
        try:
            return replace(self._settings, scope=f"{own}/{inside}" if own else inside)
        except ValueError as error:
            raise ToolFailed(f"{tool}: {error}") from None

    def _request(
        self, settings: Settings, method: str, route: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        connection = Connection(settings, "wellbeing-agent-tools")
        try:
            answer = connection.request(method, route, timeout=_TIMEOUT_SECS, body=body)
            _check(answer)
        except Misconfigured as error:
            raise ToolFailed(f"the sidecar refused this, and a retry does not help: {error}") from None
        except Unreachable as error:
            raise ToolFailed(f"the sidecar does not answer, so nothing was changed: {error}") from None
        finally:
            connection.close()
        found = answer.body
        if not isinstance(found, dict) or found.get("gate") not in ("open", "closed"):
            raise ToolFailed("the answer is not that of a sidecar: check --url (WELLBEING_URL)")
        return found


def _check(answer: SidecarResponse) -> None:
    if answer.status == _BAD_REQUEST:
        raise ToolFailed(f"the sidecar refused this: {answer.detail[:500]}")
    check_status(answer, (200,))


def _pause_state(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    names = ("scope", "state", "effective_state", "reason", "since", "until", "held_by")
    return {"paused": snapshot["gate"] == "closed", **{name: snapshot.get(name) for name in names}}
