"""Exceptions of the agents' tools."""

from __future__ import annotations


class ToolFailed(Exception):
    """The tool call failed. The message tells the model why."""
