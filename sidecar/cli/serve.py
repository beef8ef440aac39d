"""``serve``: runs the sidecar."""

from __future__ import annotations

import argparse
import gc
import logging
import os
from pathlib import Path

from .exit_statuses import CANNOT_START, OK, USAGE, CommandFailed

EXAMPLES = (
    "serve --config sidecar.yaml",
    "serve --listen 127.0.0.1:9477 --listen unix:/run/wellbeing.sock --store sqlite:/data/wellbeing.db",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    parser.add_argument("--config", metavar="FILE", help="YAML file (WELLBEING_CONFIG; default: none)")
    parser.add_argument(
        "--listen",
        action="append",
        metavar="ADDRESS",
        help="HOST:PORT or unix:/path; may be given several times (default: 127.0.0.1:9477)",
    )
    parser.add_argument("--store", help="memory: or sqlite:PATH (default: sqlite:wellbeing.db)")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (default: info)")
    parser.add_argument("--log-format", metavar="FORMAT", help="console or json (default: console)")


def run(options: argparse.Namespace) -> int:
    """Serve until a signal stops the process."""
    # Start-up creates no garbage. The worker enables collection when it begins to serve.
    gc.disable()
    from sidecar import logs  # noqa: PLC0415 - the client commands need none of these
    from sidecar.auth import CredentialsError, Keyring  # noqa: PLC0415
    from sidecar.config import Config, ConfigError, check_files, load_config, store_problem  # noqa: PLC0415
    from sidecar.web.tls import Tls, TlsError  # noqa: PLC0415

    path = config_path(options)
    overrides = {
        key: value
        for key in ("listen", "store", "log_level", "log_format")
        if (value := getattr(options, key)) is not None
    }

    def load() -> Config:
        return load_config(path, os.environ, overrides)

    try:
        config = load()
        # An error found here becomes one clear line. In the worker it would only show as a failed start.
        Keyring(config.auth.credentials, os.environ)
        if config.tls:
            problems = check_files(path, os.environ, overrides, sections=("tls",))
            if problems:
                raise CommandFailed("\n".join(problems), USAGE)
            Tls(config.tls)
    except (ConfigError, CredentialsError, TlsError) as error:
        raise CommandFailed(str(error), USAGE) from None
    logs.configure(config.log_level, config.log_format)
    from sidecar.web.server import SidecarServer  # noqa: PLC0415
    from sidecar.web.sockets import StartError  # noqa: PLC0415

    problem = store_problem(config.store.url)
    if problem:
        return _failed(f"store: {problem}")
    try:
        SidecarServer(config, load, str(path or "")).run()
    except StartError as error:
        return _failed(str(error))
    return OK


def _failed(why: str) -> int:
    logging.getLogger(__name__).critical("start_failed", extra={"fields": {"error": why}})
    return CANNOT_START


def config_path(options: argparse.Namespace) -> Path | None:
    """The config file from the argument, else from ``WELLBEING_CONFIG``; None: there is none."""
    given = options.config or os.environ.get("WELLBEING_CONFIG")
    return Path(given) if given else None
