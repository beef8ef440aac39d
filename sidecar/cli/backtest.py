"""``backtest``: reports which pauses a config would have made in the past."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import duration, positive_duration, timestamp
from .exit_statuses import OK, USAGE, CommandFailed
from .output import print_json, print_line
from .serve import config_path

if TYPE_CHECKING:
    from sidecar.backtest import BacktestRequest, NamedConfig
    from sidecar.http_json import HttpAccess


_SHORTEST_SECS = 1.0
_GARBAGE_THRESHOLD = 1_000_000

EXAMPLES = (
    "backtest --prometheus http://prometheus:9090 --since 7d --html report.html",
    "backtest --prometheus http://prometheus:9090 --config a.yaml --config b.yaml",
    "backtest --prometheus http://prometheus:9090 --rules new.rules.yml   # before the rules are loaded",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    parser.add_argument(
        "--prometheus",
        metavar="URL",
        required=True,
        help="URL of the Prometheus, with its path prefix if it has one",
    )
    parser.add_argument(
        "--since",
        type=timestamp,
        default="7d",
        metavar="TIME",
        help="a time such as 2026-11-23T09:00:00Z, or how long ago, such as 12h or 7d (default: 7d)",
    )
    parser.add_argument(
        "--until", type=timestamp, default="0s", metavar="TIME", help="same format as --since (default: now)"
    )
    parser.add_argument(
        "--config",
        action="append",
        metavar="FILE",
        help="the config of a sidecar; may be given several times, to compare configs on the same alerts "
        "(WELLBEING_CONFIG; default: the default config)",
    )
    parser.add_argument(
        "--rules",
        action="extend",
        nargs="+",
        metavar="FILE",
        help="evaluate the alerts of these rule files (default: those that fired, from the series ALERTS)",
    )
    parser.add_argument(
        "--assume-pause",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show what a config that only observes would pause if it paused (default: yes)",
    )
    parser.add_argument(
        "--step",
        type=positive_duration,
        metavar="DURATION",
        help="interval at which ALERTS is sampled (default: 15s, or the shortest evaluation interval); "
        "with --rules, the evaluation interval of groups that set none (default: that of Prometheus)",
    )
    _add_alertmanager(parser.add_argument_group("Alertmanager", "the route and the receiver of the sidecar"))
    connection = parser.add_argument_group("connection to Prometheus")
    connection.add_argument("--token-file", metavar="FILE", help="file with a bearer token")
    connection.add_argument("--username", metavar="NAME", help="user for basic authentication")
    connection.add_argument("--password-file", metavar="FILE", help="file with the user's password")
    connection.add_argument("--ca-file", metavar="FILE", help="CA bundle (default: the system's trust store)")
    connection.add_argument("--cert-file", metavar="FILE", help="client certificate and key (PEM)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--html", metavar="FILE", help="write a report with timelines into one file, without scripts"
    )


def _add_alertmanager(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--group-by",
        default="alertname",
        metavar="LABELS",
        help="labels, separated by commas; ...: all labels (default: alertname)",
    )
    for flag, default in (("wait", "30s"), ("interval", "5m")):
        group.add_argument(
            f"--group-{flag}",
            type=duration if flag == "wait" else positive_duration,
            default=default,
            metavar="DURATION",
            help=f"(default: {default})",
        )
    group.add_argument(
        "--repeat-interval",
        type=positive_duration,
        default="4h",
        metavar="DURATION",
        help="(default: 4h)",
    )
    group.add_argument(
        "--send-resolved",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether the webhook receives resolved alerts (default: yes)",
    )


def run(options: argparse.Namespace) -> int:
    """Ask Prometheus, simulate, and print a report."""
    # Import these modules here, because other commands do not need them.
    from sidecar.backtest import BacktestError, run_backtest  # noqa: PLC0415
    from sidecar.backtest.errors import InvalidInput  # noqa: PLC0415
    from sidecar.backtest.progress import Progress  # noqa: PLC0415
    from sidecar.backtest.report_html import html_report  # noqa: PLC0415
    from sidecar.backtest.report_json import json_report  # noqa: PLC0415
    from sidecar.backtest.report_text import text_report  # noqa: PLC0415

    # A response of Prometheus becomes half a million lists. Garbage collection would take one second of
    # seven.
    gc.set_threshold(_GARBAGE_THRESHOLD)
    # The log lines of the simulated sidecar do not concern the user.
    logging.getLogger("sidecar").addHandler(logging.NullHandler())
    request = _request(options)
    page = _html_file(options.html) if options.html else None
    try:
        report = run_backtest(request, Progress.on_stderr())
    except InvalidInput as error:
        raise CommandFailed(str(error), USAGE) from None
    except BacktestError as error:
        raise CommandFailed(str(error)) from None
    if page is not None:
        _write(page, html_report(report))
    if options.json:
        print_json(json_report(report))
    else:
        for line in text_report(report):
            print_line(line)
        if page is not None:
            print_line(f"Report with timelines: {page}.")
    return OK


def _request(options: argparse.Namespace) -> BacktestRequest:
    from sidecar.backtest import AlertmanagerSettings, BacktestRequest  # noqa: PLC0415

    if not options.prometheus.startswith(("http://", "https://")):
        raise CommandFailed(
            f"--prometheus: must be http://HOST:PORT or https://HOST:PORT, got {options.prometheus!a}", USAGE
        )
    start, end = _seconds(options.since), min(_seconds(options.until), time.time())
    if end - start < _SHORTEST_SECS:
        raise CommandFailed("--since: must be before --until and before now, by at least a second", USAGE)
    return BacktestRequest(
        prometheus=options.prometheus,
        access=_access(options),
        start=start,
        end=end,
        configs=_configs(options),
        rule_files=tuple(map(Path, options.rules or ())),
        step_secs=options.step,
        alertmanager=AlertmanagerSettings(
            group_by=tuple(name.strip() for name in options.group_by.split(",") if name.strip()),
            group_wait_secs=options.group_wait,
            group_interval_secs=options.group_interval,
            repeat_interval_secs=options.repeat_interval,
            send_resolved=options.send_resolved,
        ),
        assume_pause=options.assume_pause,
    )


def _seconds(moment: str) -> float:
    at = datetime.fromisoformat(moment)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _configs(options: argparse.Namespace) -> tuple[NamedConfig, ...]:
    from sidecar.backtest import NamedConfig  # noqa: PLC0415
    from sidecar.config import ConfigError, load_config  # noqa: PLC0415

    paths: list[Path | None] = [Path(one) for one in options.config or ()]
    paths = paths or [config_path(argparse.Namespace(config=None))]
    configs = []
    for path in paths:
        try:
            configs.append(NamedConfig(str(path or "the default config"), load_config(path, os.environ)))
        except ConfigError as error:
            raise CommandFailed("the config is not valid:\n" + "\n".join(error.problems), USAGE) from None
    return tuple(configs)


def _access(options: argparse.Namespace) -> HttpAccess:
    from sidecar.http_json import HttpAccess  # noqa: PLC0415

    if bool(options.username) != bool(options.password_file):
        raise CommandFailed("--username and --password-file must be given together", USAGE)
    if options.username and options.token_file:
        raise CommandFailed("--username and --token-file cannot both be given", USAGE)
    for flag in ("token_file", "password_file", "ca_file", "cert_file"):
        path = getattr(options, flag)
        if path:
            try:
                Path(path).read_bytes()
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                name = "--" + flag.replace("_", "-")
                raise CommandFailed(f"{name}: {path} cannot be read: {why}", USAGE) from None
    return HttpAccess(
        username=options.username or "",
        password_file=options.password_file or "",
        bearer_token_file=options.token_file or "",
        ca_file=options.ca_file or "",
        cert_file=options.cert_file or "",
    )


def _html_file(name: str) -> Path:
    """The file of ``--html``. It is checked before the backtest, which takes minutes."""
    path = Path(name)
    why = ""
    if path.is_dir():
        why = "it is a directory"
    elif not path.parent.is_dir():
        why = f"there is no directory {path.parent}"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        why = "this user has no permission"
    if why:
        raise CommandFailed(f"--html: {path} cannot be written: {why}", USAGE)
    return path


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise CommandFailed(f"--html: {path} cannot be written: {why}") from None
