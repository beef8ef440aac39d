"""``copy-store``: copies the state and the history of one store to another."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from .exit_statuses import CANNOT_START, OK, USAGE, CommandFailed
from .output import print_line
from .serve import config_path

EXAMPLES = (
    "copy-store sqlite:wellbeing.db redis://redis:6379",
    "copy-store --config sidecar.yaml redis://redis:6379 sqlite:backup.db",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    parser.add_argument("source", metavar="FROM", help="the store to read; its sidecar must be stopped")
    parser.add_argument("target", metavar="TO", help="the store to write; a fleet may be using it")
    parser.add_argument(
        "--config", metavar="FILE", help="YAML file with the section redis (WELLBEING_CONFIG)"
    )


def run(options: argparse.Namespace) -> int:
    """Copy the records that the target does not have."""
    from sidecar.config import ConfigError, load_config  # noqa: PLC0415 - client commands need none of these
    from sidecar.store import StoreError  # noqa: PLC0415
    from sidecar.web.stores import copy_stores  # noqa: PLC0415

    path = config_path(options)
    try:
        source, target = (
            load_config(path, os.environ, {"store": url}) for url in (options.source, options.target)
        )
    except ConfigError as error:
        raise CommandFailed(str(error), USAGE) from None
    # Without Redis the store would start from a local file, and nothing would be copied.
    source, target = (replace(one, redis=replace(one.redis, last_known_file="")) for one in (source, target))
    try:
        report = copy_stores(source, target)
    except StoreError as error:
        raise CommandFailed(str(error), CANNOT_START) from None
    counts = f"{report.scopes} scopes, {report.tombstones} ended alerts, {report.entries} history entries"
    print_line(f"Copied {counts}.")
    if report.kept:
        print_line(f"Kept {report.kept} scopes that the target already has.")
    return OK
