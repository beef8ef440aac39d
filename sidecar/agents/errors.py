"""Exceptions of the agents' tools."""

from __future__ import annotations


class ToolFailed(Exception):
    """The tool could not do what was asked; the message says why, for the model."""
