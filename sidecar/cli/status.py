"""``status``: shows the status of a scope, and everything inside it that is not well or not open."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from typing import Any

from .client_arguments import add_request_arguments
from .exit_statuses import OK
from .output import (
    print_items,
    print_json,
    print_line,
    print_note,
    print_text,
    scope_name,
    snapshot_line,
    source_name,
)
from .scope_check import unknown_scope_message
from .sidecar_requests import request
from .tables import Table, short_time

_MAX_SIGNALS = 5
_HEADINGS = ("SCOPE", "STATE", "GATE", "UNTIL", "WAITING", "REASON")
_LISTS = ("below", "unwell")
_UNHEARD_REMEDY = "check its rule in Prometheus, and its route in Alertmanager"

EXAMPLES = (
    "status",
    "status team-a/llama --json",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    add_request_arguments(parser)
    parser.add_argument("--below", action="store_true", help="show every known scope inside it")


def run(options: argparse.Namespace) -> int:
    """Print the status."""
    status = request(options, "GET", "status", params={"below": "true"} if options.below else {})
    message = unknown_scope_message(status)
    if message:
        print_note(f"{message}: it follows {scope_name(status['follows'])}")
    if options.output == "json":
        print_json(status)
        return OK
    if options.output == "jsonl":
        print_items(
            [{key: value for key, value in status.items() if key not in _LISTS}, *_listed(options, status)]
        )
        return OK
    if status["blind"]:
        print_line("blind: the watchdog's alert is missing, so resolved alerts do not open gates")
    watchdog = status.get("watchdog")
    if watchdog and not watchdog["heard"]:
        print_line(f"the watchdog's alert {watchdog['alertname']} was never received: {_UNHEARD_REMEDY}")
    for one in status.get("engines_left_paused", ()):
        failed = f" ({one['error']})" if one["error"] else ""
        print_line(
            f"the engine {one['engine']} at {one['url']} left the config and is still paused{failed}: "
            f"{one['remedy']}"
        )
    for line in _lines(status, max_signals=len(status["signals"])):
        print_line(line)
    listed = _listed(options, status)
    fine = (status["gate"], status["effective_state"]) == ("open", "healthy")
    # If the scope itself is not well or not open, do not say that everything inside it is.
    if not options.below and "unwell" in status and (listed or fine):
        print_line(_heading(status, len(listed)))
    _print_table(listed)
    return OK


def _listed(options: argparse.Namespace, status: dict[str, Any]) -> list[dict[str, Any]]:
    """The scopes inside the scope of the command."""
    listed = status.get("below") if options.below else status.get("unwell")
    return [one for one in listed or () if one["scope"] != status["scope"]]


def _print_table(listed: list[dict[str, Any]]) -> None:
    """One row for each scope, with its signals and holds below it."""
    table = Table(_HEADINGS)
    table.fit(_row(one) for one in listed)
    for one in listed:
        for line in table.lines(_row(one)):
            print_text(line)
        for line in islice(_lines(one, max_signals=_MAX_SIGNALS), 1, None):
            print_line(line)


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    held_by = one["held_by"]
    other = held_by is not None and held_by != one["scope"]
    return (
        scope_name(one["scope"]),
        one["effective_state"],
        one["gate"],
        short_time(one["until"]) or ("operator" if one["gate"] == "closed" else ""),
        str(one["counters"]["waiters"]),
        _reason(one) + (f" (held by {scope_name(held_by)})" if other else ""),
    )


def _reason(one: dict[str, Any]) -> str:
    advice = one.get("advice")
    if advice and not one["reason"]:
        if "admit_per_sec" in advice:
            return f"advice only, {advice['admit_per_sec']:g} requests per second: {advice['reason']}"
        return (
            f"advice only, until {short_time(advice['until']) or 'an operator resumes'}: {advice['reason']}"
        )
    return one["reason"] or ""


def _heading(status: dict[str, Any], shown: int) -> str:
    itself = any(one["scope"] == status["scope"] for one in status["unwell"])
    total = status["unwell_total"] - itself
    if not total:
        return (
            "Everything inside is well and open."
            if status["scope"]
            else "All other scopes are well and open."
        )
    scopes = "1 scope is" if total == 1 else f"{total} scopes are"
    cut = f"; the worst {shown} are shown" if shown < total else ""
    return f"{scopes} not well or not open{cut}:"


def _lines(one: dict[str, Any], max_signals: int) -> Iterator[str]:
    yield snapshot_line(one)
    suppressed = one.get("suppressed")
    if suppressed:
        yield f"    {suppressed['text']}"
    signals = one["signals"]
    for signal in signals[:max_signals]:
        doubt = f" (resolved at {signal['ended_at']}, not accepted yet)" if signal["ended_at"] else ""
        source = source_name(signal["source"], signal.get("alertname"))
        claim = f"{source} claims {signal['state']} since {signal['since']}"
        yield f"    {claim}{doubt}" + (f": {signal['reason']}" if signal["reason"] else "")
    if len(signals) > max_signals:
        yield f"    and {len(signals) - max_signals} more signals"
    for hold in one["holds"]:
        until = hold["until"] or "an operator resumes"
        span = f"since {hold['since']} until {until}"
        by = source_name(hold["by"], hold.get("alertname"))
        yield f"    {hold['kind']} hold by {by} {span}: {hold['reason']}"
        if hold.get("waits_for_operator"):
            yield "    well again; because of resume: manual, the gate stays closed until an operator resumes"
    counts = ", ".join(f"{name} {value}" for name, value in one["counters"].items() if value)
    if counts:
        yield f"    {counts}"
