"""Prints the output of commands: lines for people, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]


def print_error(message: str) -> None:
    """Print ``message`` on stderr, with the program's name."""
    print("wellbeing-sidecar: " + _on_one_line(message, keep="\n"), file=sys.stderr)


def print_note(message: str) -> None:
    """Print a note on stderr, so that it does not mix with the output for scripts."""
    print("note: " + printable(message), file=sys.stderr)


def print_line(text: str) -> None:
    """Print a line on stdout, with control characters escaped."""
    print(printable(text))


def print_json(value: Json) -> None:
    """Print ``value`` as JSON in ASCII."""
    print(json.dumps(value, indent=2))


def print_text(text: str) -> None:
    """Print ``text`` on stdout as it is."""
    print(text)


def print_items(items: Iterable[Json]) -> None:
    """Print each of ``items`` as JSON on one line."""
    for item in items:
        print(json.dumps(item))


def print_value(value: Json, output: str) -> None:
    """Print ``value`` as JSON, on one line for ``jsonl``."""
    if output == "jsonl":
        print_items([value])
    else:
        print_json(value)


def printable(text: str) -> str:
    """``text`` with control characters and text-direction characters escaped."""
    return _on_one_line(text, keep="")


def _on_one_line(text: str, keep: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape").decode() for one in text
    )


def scope_name(scope: str | None) -> str:
    """``scope`` for people."""
    return scope or "(root)"


def source_name(source: str, alertname: str | None) -> str:
    """``source`` for people: the source of an alert begins with the alert's name."""
    return f"{alertname} ({source})" if alertname else source


def describe_hold(snapshot: Json) -> str:
    """A description of a closed gate's hold: its scope, start, end and reason."""
    until = snapshot["until"] or "an operator resumes"
    if snapshot["gate"] == "restricted" and snapshot["until"] is None:
        until = f"the state improves, at {snapshot['admit_per_sec']:g} requests per second"
    return f"{scope_name(snapshot['held_by'])} since {snapshot['since']} until {until}: {snapshot['reason']}"


def describe_advice(advice: Json) -> str:
    """A description of the advised pause or restriction."""
    if "admit_per_sec" in advice:
        return f"a restriction to {advice['admit_per_sec']:g} requests per second is advised"
    return "a pause is advised"


def snapshot_line(snapshot: Json) -> str:
    """One line with the scope, state and gate."""
    line = f"{scope_name(snapshot['scope'])}: {snapshot['state']}, gate {snapshot['gate']}"
    if snapshot["effective_state"] != snapshot["state"]:
        line += f", effectively {snapshot['effective_state']}"
    if snapshot["gate"] != "open" and snapshot["held_by"] is not None:
        line += f" by {describe_hold(snapshot)}"
    advice = snapshot.get("advice")
    if advice:
        line += f", {describe_advice(advice)} since {advice['since']}"
        if "admit_per_sec" not in advice:
            line += f" until {advice['until'] or 'an operator resumes'}"
        line += f": {advice['reason']}"
    return line


def print_snapshot(snapshot: Json, *, output: str) -> None:
    """Print a snapshot."""
    if output == "table":
        print_line(snapshot_line(snapshot))
    else:
        print_value(snapshot, output)
