"""Tools that let an agent report to its sidecar, over MCP or as functions of a model's API."""

from .errors import ToolFailed
from .tools import AgentTools, openai_tools

__all__ = ["AgentTools", "ToolFailed", "openai_tools"]
