"""``hook-test``: sends example events to a hook of the config, once."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path

from .exit_statuses import FAILED, OK, USAGE, CommandFailed
from .output import print_error, print_json, print_line

EVENTS = (
    "pause", "resume", "advice", "advice_ended", "intervention", "blind", "sighted", "trial_failed",
    "store_down", "store_up",
)  # fmt: skip
"""The event names of `sidecar.config`, repeated here because that package is slow to import."""

_PAUSE_SECS = 300.0

EXAMPLES = (
    "hook-test slack --config sidecar.yaml --event pause",
    "hook-test slack --config sidecar.yaml --dry-run   # print what would be sent",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    parser.add_argument("name", metavar="NAME", help="the name of the hook")
    parser.add_argument("--config", metavar="FILE", help="YAML file (WELLBEING_CONFIG; default: none)")
    parser.add_argument(
        "--event",
        choices=EVENTS,
        metavar="EVENT",
        help=f"{', '.join(EVENTS)} (default: all events of the hook)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the requests and send nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Send the events, and print the responses of the endpoint."""
    from sidecar.clock import Clock  # noqa: PLC0415 - needs the server's packages
    from sidecar.config import ConfigError, load_config, suggestion_for  # noqa: PLC0415
    from sidecar.hooks.endpoint import DeliveryFailed, Endpoint  # noqa: PLC0415
    from sidecar.hooks.formats import make_format  # noqa: PLC0415
    from sidecar.hooks.links import base_url  # noqa: PLC0415
    from sidecar.hooks.sample_event import RecordingSender, sample_event  # noqa: PLC0415

    path = options.config or os.environ.get("WELLBEING_CONFIG")
    try:
        config = load_config(Path(path) if path else None, os.environ)
    except ConfigError as error:
        raise CommandFailed(str(error), USAGE) from None
    hooks = {hook.name: hook for hook in config.hooks}
    hook = hooks.get(options.name)
    if hook is None:
        known = f"; the config has {', '.join(hooks)}" if hooks else "; the config has no hooks"
        raise CommandFailed(f"no hook is named {options.name}{suggestion_for(options.name, hooks)}{known}")
    names = [options.event] if options.event else list(hook.events)
    sender = RecordingSender(Endpoint(hook, Clock()), dry_run=options.dry_run)
    sends = make_format(hook, base_url(config))
    notes: Mapping[str, int] = {}
    failed = 0
    for index, name in enumerate(names):
        event = sample_event(name, hook.scope, time.time() + index / 1000, _PAUSE_SECS)
        sender.requests.clear()
        try:
            notes = sends.deliver(event, sender, notes, is_repeat=False)
            outcome = "not sent" if options.dry_run else "delivered"
        except DeliveryFailed as error:
            failed += 1
            outcome = str(error)
            print_error(f"{hook.name}: {name}: {error}")
        result = {"hook": hook.name, "event": name, "outcome": outcome, "requests": list(sender.requests)}
        if options.json:
            print_json(result)
        elif outcome in ("delivered", "not sent"):
            print_line(f"{name}: {outcome}")
        if options.dry_run and not options.json:
            for one in sender.requests:
                print_line(f"    {one['method']} {one['path'] or 'URL'} ({one['content_type']})")
                print_line(f"    {one['body']}")
    return FAILED if failed else OK
