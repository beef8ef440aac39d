"""An agent whose model can report its state, ask whether it is paused, and ask for a pause.

Run it next to a sidecar (``make run``), with the package ``openai`` and a model behind OpenAI's API:
``OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python examples/agent_tools.py``
"""

from __future__ import annotations

import json
import os
import sys

import openai

from sidecar.agents import AgentTools, ToolFailed, openai_tools
from sidecar.client import Settings

TASK = "Sort the files in /srv/inbox. Use the tools whenever you are stuck or repeat yourself."


def main(url: str, scope: str) -> None:
    """Let the model work until it answers without a tool call."""
    tools = AgentTools(Settings(url=url, scope=scope), name="example")
    model = os.environ.get("OPENAI_MODEL", "default")
    messages: list = [{"role": "user", "content": TASK}]
    with openai.OpenAI() as client:
        while True:
            completion = client.chat.completions.create(model=model, messages=messages, tools=openai_tools())
            answer = completion.choices[0].message
            messages.append(answer)
            if not answer.tool_calls:
                print(answer.content)
                return
            for call in answer.tool_calls:
                told = carry_out(tools, call.function.name, call.function.arguments)
                print(call.function.name, told)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": told})


def carry_out(tools: AgentTools, name: str, arguments: str) -> str:
    """The result for the model. A failure is a result, too, so that the model can try again."""
    try:
        return json.dumps(tools.call(name, json.loads(arguments or "{}")))
    except (ToolFailed, ValueError) as error:
        return f"failed: {error}"


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["http://127.0.0.1:9477", "team-a/llama/agent-7"]))
