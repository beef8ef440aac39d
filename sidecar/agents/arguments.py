"""Checks the arguments of a tool call against its schema.

A model reads the error messages and tries again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ToolFailed
from .schemas import TOOLS, ToolSchema


def check_call(name: str, arguments: object) -> Mapping[str, Any]:
    """The arguments of a call of the tool ``name``.

    Raises:
        ToolFailed: there is no such tool, or an argument is missing, unknown or not valid.
    """
    tool = next((one for one in TOOLS if one.name == name), None)
    if tool is None:
        known = ", ".join(one.name for one in TOOLS)
        raise ToolFailed(f"there is no tool {ascii(name)[:100]}; there are {known}")
    if not isinstance(arguments, Mapping):
        raise ToolFailed(f"{name}: the arguments must be a JSON object")
    given = {key: value for key, value in arguments.items() if value is not None}
    _check_names(tool, given)
    for key, value in given.items():
        problem = _problem(tool.parameters["properties"][key], value)
        if problem:
            raise ToolFailed(f"{name}: {key} must be {problem}, got {ascii(value)[:100]}")
    return given


def _check_names(tool: ToolSchema, given: Mapping[str, Any]) -> None:
    known = tool.parameters["properties"]
    for key in given:
        if key not in known:
            raise ToolFailed(
                f"{tool.name}: there is no argument {ascii(key)[:100]}; there are {', '.join(known)}"
            )
    for key in tool.parameters["required"]:
        if key not in given:
            raise ToolFailed(f"{tool.name}: {key} is missing")


def _problem(schema: Mapping[str, Any], value: object) -> str:
    """What ``value`` must be, such as ``a number from 1 to 5``; empty: the value is valid."""
    if "enum" in schema:
        return "" if value in schema["enum"] else f"one of {', '.join(schema['enum'])}"
    if schema["type"] == "number":
        low, high = schema["minimum"], schema["maximum"]
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return ""
        return f"a number from {low} to {high}"
    low, high = schema.get("minLength", 0), schema["maxLength"]
    if isinstance(value, str) and low <= len(value.strip()) and len(value) <= high:
        return ""
    return f"text of {low} to {high} characters"
