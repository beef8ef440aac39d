"""``check-config``: reports every mistake in a config and in the files that it names."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .client_arguments import add_output
from .exit_statuses import FAILED, OK, USAGE, CommandFailed
from .output import print_line, print_value
from .serve import config_path

EXAMPLES = (
    "check-config sidecar.yaml",
    "check-config --no-files sidecar.yaml   # where secrets and certificates are not mounted",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    parser.add_argument(
        "config",
        metavar="FILE",
        nargs="?",
        help="YAML file (WELLBEING_CONFIG; default: the environment only)",
    )
    parser.add_argument(
        "--config",
        dest="config_option",
        metavar="FILE",
        help="the same as FILE; so the command line of serve works here too",
    )
    parser.add_argument(
        "--no-files",
        action="store_true",
        help="do not check the files that the config names: secrets, certificates, the store, sockets",
    )
    add_output(parser)


def run(options: argparse.Namespace) -> int:
    """Check the config; print the scopes that it can pause or restrict."""
    from sidecar.config import (  # noqa: PLC0415 - other commands need none
        ConfigError,
        describe_pausing,
        describe_restricting,
        describe_unused,
        load_config,
    )

    if options.config is None:
        options.config = options.config_option
    elif options.config_option not in (None, options.config):
        raise CommandFailed("give the file once, as FILE or with --config", USAGE)
    path = config_path(options)
    try:
        config = load_config(path, os.environ)
        problems = [] if options.no_files else _file_problems(path)
    except ConfigError as error:
        problems = list(error.problems)
    warnings = [] if problems else describe_unused(config)
    if not problems and not options.no_files:
        from sidecar.web.stores import check_shared_store, is_shared  # noqa: PLC0415 - the same

        if is_shared(config):
            problem, store_warnings = check_shared_store(config)
            warnings += store_warnings
            problems += [f"store.url: {problem}"] if problem else []
    if options.output != "table":
        pausing = None if problems else describe_pausing(config.policies)
        restricting = None if problems else describe_restricting(config.policies) or None
        value = {"valid": not problems, "problems": problems, "warnings": warnings}
        print_value({**value, "can_pause": pausing, "can_restrict": restricting}, options.output)
        return FAILED if problems else OK
    if problems:
        raise CommandFailed("the config is not valid:\n" + "\n".join(problems))
    print_line("The config is valid.")
    print_line(f"It can pause {describe_pausing(config.policies)}.")
    if restricting := describe_restricting(config.policies):
        print_line(f"It can restrict {restricting}.")
    for warning in warnings:
        print_line(f"Warning: {warning}.")
    return OK


def _file_problems(path: Path | None) -> list[str]:
    from sidecar.auth import CredentialsError, Keyring  # noqa: PLC0415 - the same
    from sidecar.config import check_files, load_config  # noqa: PLC0415
    from sidecar.web.tls import Tls, TlsError  # noqa: PLC0415

    problems = check_files(path, os.environ)
    if problems:
        return problems
    config = load_config(path, os.environ)
    try:
        # Errors across files, for example two names for one token.
        Keyring(config.auth.credentials, os.environ)
        if config.tls:
            Tls(config.tls)
    except (CredentialsError, TlsError) as error:
        return [str(error)]
    return []
