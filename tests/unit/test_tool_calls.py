"""Which tool calls are refused before a request is sent."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sidecar.agents import AgentTools, ToolFailed, openai_tools, schemas
from sidecar.agents.arguments import check_call
from sidecar.client import Settings
from sidecar.client.claim_reporter import STATES

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "agents.md"


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("resume", {}, "there is no tool 'resume'; there are report_wellbeing"),
        ("report_wellbeing", [], "must be a JSON object"),
        ("report_wellbeing", {"state": "healthy"}, "reason is missing"),
        ("report_wellbeing", {"state": "healthy", "reason": None}, "reason is missing"),
        ("report_wellbeing", {"state": "sad", "reason": "x"}, "one of healthy, cautious"),
        ("report_wellbeing", {"state": [], "reason": "x"}, "one of healthy, cautious"),
        ("report_wellbeing", {"state": "healthy", "reason": "  "}, "text of 1 to 500"),
        ("report_wellbeing", {"state": "healthy", "reason": "x" * 501}, "text of 1 to 500"),
        ("report_wellbeing", {"state": "healthy", "reason": 5}, "text of 1 to 500"),
        ("report_wellbeing", {"state": "healthy", "reason": "x", "ttl_secs": 0}, "a number from 1"),
        ("report_wellbeing", {"state": "healthy", "reason": "x", "ttl_secs": True}, "a number from 1"),
        ("report_wellbeing", {"state": "healthy", "reason": "x", "ttl_secs": math.nan}, "a number from 1"),
        ("report_wellbeing", {"state": "healthy", "reason": "x", "ttl_secs": "60"}, "a number from 1"),
        (
            "report_wellbeing",
            {"state": "healthy", "reason": "x", "source": "alert:1"},
            "no argument 'source'",
        ),
        ("request_pause", {"reason": "x", "secs": 1e9}, "a number from 1"),
        ("check_pause", {"scope": 5}, "text of 0 to 400"),
    ],
)
def test_the_error_for_a_wrong_call_tells_a_model_what_to_correct(
    tool: str, arguments: object, said: str
) -> None:
    with pytest.raises(ToolFailed, match=said.replace("'", ".")):
        check_call(tool, arguments)


@pytest.mark.parametrize("scope", ["../other", "a//b", "a b", "/".join("abcdefgh"), "x" * 65])
def test_a_scope_outside_of_the_agents_own_is_refused(scope: str) -> None:
    tools = AgentTools(Settings(url="unix:/nowhere", scope="team-a"), "planner")
    with pytest.raises(ToolFailed, match="check_pause: scope"):
        tools.call("check_pause", {"scope": scope})


def test_an_unreachable_sidecar_is_reported() -> None:
    tools = AgentTools(Settings(url="unix:/nowhere", scope="team-a"), "planner")
    with pytest.raises(ToolFailed, match="does not answer, so nothing was changed"):
        tools.call("check_pause", {})


def test_the_tools_have_valid_schemas_and_are_in_the_guide() -> None:
    for tool in openai_tools():
        assert tool["type"] == "function"
        Draft202012Validator.check_schema(tool["function"]["parameters"])
    assert json.dumps(openai_tools(), indent=1) in GUIDE.read_text()


def test_the_states_equal_those_of_the_client() -> None:
    assert schemas.STATES == STATES
