"""The command line: run a sidecar, or talk to one."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar import __version__

if TYPE_CHECKING:
    from sidecar.client.connection import SidecarResponse as Answer

DEFAULT_URL = "http://127.0.0.1:9477"
_SLACK_SECS = 10.0
_WATCH_SECS = 30.0
_MAX_PASSWORD_BYTES = 72
_BCRYPT_COST = 10
_LONGEST_SECS = 86_400.0
_MAX_ANSWER_BYTES = 2**30

OK = 0
FAILED = 1
USAGE = 2
TEMPFAIL = 75
"""EX_TEMPFAIL of sysexits.h: try again later."""


class CommandFailed(Exception):
    """A command that cannot do what it was asked; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` name; the exit status."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except CommandFailed as error:
        print(f"wellbeing-sidecar: {error}", file=sys.stderr)
        return FAILED
    except (KeyboardInterrupt, BrokenPipeError):
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wellbeing-sidecar", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the sidecar")
    serve.add_argument("--config", type=Path, help="YAML file (WELLBEING_CONFIG)")
    serve.add_argument(
        "--listen", action="append", metavar="ADDRESS", help="HOST:PORT or unix:/path; may repeat"
    )
    serve.add_argument("--store", help="memory: or sqlite:PATH")
    serve.add_argument("--log-level", help="debug, info, warning, error")
    serve.add_argument("--log-format", help="console, json")
    serve.set_defaults(run=_serve)

    check = commands.add_parser("check-config", help="check a config file and the environment")
    check.add_argument("config", type=Path, nargs="?", help="YAML file (WELLBEING_CONFIG)")
    check.set_defaults(run=_check_config)

    token = commands.add_parser("token", help="make a bearer token, and what the config keeps of it")
    token.set_defaults(run=_token)
    password = commands.add_parser(
        "hash-password", help="hash a password from the terminal or standard input, for the config"
    )
    password.set_defaults(run=_hash_password)

    status = _client(commands, "status", "what is known of a scope", _status)
    status.add_argument("--below", action="store_true", help="of all known scopes inside it as well")
    pause = _client(commands, "pause", "close a scope's gate", _pause)
    pause.add_argument("--reason", required=True)
    pause.add_argument("--max-pause-secs", type=float, help="seconds until it ends by itself; 0: never")
    resume = _client(commands, "resume", "lift every hold of a scope", _resume)
    resume.add_argument("--reason", default="")
    state = _client(commands, "state", "report an agent's own state", _state)
    state.add_argument("state", choices=("healthy", "cautious", "concerned", "distressed"))
    state.add_argument("--reason", default="")
    state.add_argument("--source", help="the agent's name")
    state.add_argument("--ttl-secs", type=float, help="seconds until the claim ends by itself")
    history = _client(commands, "history", "what happened in a scope and inside it, newest first", _history)
    history.add_argument("--limit", type=int, default=20, help="entries to print (default 20)")
    history.add_argument("--kind", help="intervention, pause, resume, hold, lift; joined by commas")
    history.add_argument("--since", help="RFC 3339, e.g. 2026-11-23T09:00:00Z")
    history.add_argument("--until", help="the same")
    history.add_argument("--cursor", help="go on from an earlier page")
    _client(commands, "watch", "print a scope's snapshot, and again whenever it changes", _watch)
    gate = _client(commands, "gate", "block until the gate is open; exit 75 if the wait runs out", _gate)
    gate.add_argument("--wait", type=float, help="seconds to wait at most (default: the sidecar's)")
    return parser


def _client(
    commands: Any,  # noqa: ANN401 - argparse names no type for it
    name: str,
    summary: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary)
    parser.add_argument("scope", nargs="?", default="", help="e.g. team-a/llama; default: the root")
    parser.add_argument("--url", default=os.environ.get("WELLBEING_URL", DEFAULT_URL), help="(WELLBEING_URL)")
    parser.add_argument(
        "--token-file",
        default=os.environ.get("WELLBEING_TOKEN_FILE"),
        help="file with a bearer token (WELLBEING_TOKEN_FILE; or the token itself in WELLBEING_TOKEN)",
    )
    parser.add_argument(
        "--ca-file",
        default=os.environ.get("WELLBEING_CLIENT_CA_FILE"),
        help="whom to trust, in place of whom the system trusts (WELLBEING_CLIENT_CA_FILE)",
    )
    parser.add_argument("--cert-file", help="our own certificate with its key")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


# -- running one --------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    # Nothing of what start-up makes is garbage. The worker collects again once it serves.
    gc.disable()
    from sidecar import logs  # noqa: PLC0415 - the client commands need none of these
    from sidecar.auth import CredentialsError, Keyring  # noqa: PLC0415
    from sidecar.config import Config, ConfigError, load_config  # noqa: PLC0415

    overrides = {
        key: value
        for key, value in (
            ("listen", options.listen),
            ("store", options.store),
            ("log_level", options.log_level),
            ("log_format", options.log_format),
        )
        if value is not None
    }

    def load() -> Config:
        return load_config(_config_path(options.config), os.environ, overrides)

    from sidecar.web.tls import Tls, TlsError  # noqa: PLC0415

    try:
        config = load()
        # Better said here than by a worker that does not start.
        Keyring(config.auth.credentials, os.environ)
        if config.tls:
            Tls(config.tls)
    except (ConfigError, CredentialsError, TlsError) as error:
        print(f"wellbeing-sidecar: {error}", file=sys.stderr)
        return USAGE
    logs.configure(config.log_level, config.log_format)
    from sidecar.web.server import SidecarServer  # noqa: PLC0415

    SidecarServer(config, load).run()
    return OK


def _check_config(options: argparse.Namespace) -> int:
    from sidecar.config import ConfigError, load_config  # noqa: PLC0415

    try:
        load_config(_config_path(options.config), os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return FAILED
    print("The config is valid.")
    return OK


def _token(_: argparse.Namespace) -> int:
    import hashlib  # noqa: PLC0415 - nobody else here needs them
    import secrets  # noqa: PLC0415

    secret = secrets.token_urlsafe(32)
    print(f"token:        {secret}")
    print(f"token_sha256: {hashlib.sha256(secret.encode()).hexdigest()}")
    return OK


def _hash_password(_: argparse.Namespace) -> int:
    import getpass  # noqa: PLC0415 - nobody else here needs them

    import bcrypt  # noqa: PLC0415

    if sys.stdin.isatty():
        password = getpass.getpass("password: ")
        if getpass.getpass("again: ") != password:
            raise CommandFailed("the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not 0 < len(password.encode()) <= _MAX_PASSWORD_BYTES:
        raise CommandFailed(f"a password has 1 to {_MAX_PASSWORD_BYTES} bytes: bcrypt reads no further")
    print(bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_COST)).decode())
    return OK


def _config_path(given: Path | None) -> Path | None:
    if given is not None:
        return given
    from_environment = os.environ.get("WELLBEING_CONFIG")
    return Path(from_environment) if from_environment else None


# -- talking to one -----------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> int:
    status = _ask(options, "GET", "status", params={"below": "true"} if options.below else {})
    if options.json:
        _print_json(status)
        return OK
    if status["blind"]:
        print("blind: the watchdog's alert is missing, a resolve lifts nothing")
    for one in (status, *status.get("below", ())):
        print(_line(one))
        for signal in one["signals"]:
            doubt = f" (resolved at {signal['ended_at']}, not believed yet)" if signal["ended_at"] else ""
            claim = f"{signal['source']} claims {signal['state']} since {signal['since']}"
            print(f"    {claim}{doubt}: {signal['reason']}")
        for hold in one["holds"]:
            until = hold["until"] or "an operator resumes"
            span = f"since {hold['since']} until {until}"
            print(f"    {hold['kind']} hold by {hold['by']} {span}: {hold['reason']}")
        counters = one["counters"]
        print("    " + ", ".join(f"{name} {value}" for name, value in counters.items() if value))
    return OK


def _history(options: argparse.Namespace) -> int:
    names = ("limit", "kind", "since", "until", "cursor")
    params = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    page = _ask(options, "GET", "history", params=params)
    if options.json:
        _print_json(page)
        return OK
    for entry in page["entries"]:
        cause = f" ({entry['cause']})" if entry["cause"] else ""
        change = f"{entry['kind']}{cause}, {entry['from']} to {entry['to']}, by {entry['source']}"
        print(f"{entry['at']} {entry['scope'] or '(root)'}: {change}: {entry['reason']}")
    if page["next_cursor"]:
        print(f"more: --cursor {page['next_cursor']}")
    return OK


def _pause(options: argparse.Namespace) -> int:
    body = {"reason": options.reason}
    if options.max_pause_secs is not None:
        body["max_pause_secs"] = options.max_pause_secs
    return _show(options, _ask(options, "POST", "pause", body=body))


def _resume(options: argparse.Namespace) -> int:
    return _show(options, _ask(options, "POST", "resume", body={"reason": options.reason}))


def _state(options: argparse.Namespace) -> int:
    body = {"state": options.state, "reason": options.reason}
    if options.source is not None:
        body["source"] = options.source
    if options.ttl_secs is not None:
        body["ttl_secs"] = options.ttl_secs
    return _show(options, _ask(options, "PUT", "state", body=body))


def _watch(options: argparse.Namespace) -> int:
    etag = None
    while True:
        headers: dict[str, str] = {"If-None-Match": etag} if etag else {}
        answer = _send(
            options, "GET", "watch", headers=headers, params={"wait": _WATCH_SECS}, wait=_WATCH_SECS
        )
        if answer.status == 200:  # noqa: PLR2004 - 304: nothing changed
            etag = answer.headers["ETag"]
            _show(options, answer.body)
            sys.stdout.flush()
        elif answer.status != 304:  # noqa: PLR2004
            raise CommandFailed(_refusal(answer))


def _gate(options: argparse.Namespace) -> int:
    params = {} if options.wait is None else {"wait": options.wait}
    # The default wait is the sidecar's to know.
    answer = _send(options, "GET", "gate", params=params, wait=options.wait or _LONGEST_SECS)
    if answer.status == 503:  # noqa: PLR2004 - the wait ran out, or we were turned away
        _show_refusal(options, answer)
        return TEMPFAIL
    if answer.status != 200:  # noqa: PLR2004
        raise CommandFailed(_refusal(answer))
    return _show(options, answer.body)


def _show(options: argparse.Namespace, snapshot: Mapping[str, Any]) -> int:
    if options.json:
        _print_json(snapshot)
    else:
        print(_line(snapshot))
    return OK


def _show_refusal(options: argparse.Namespace, answer: Answer) -> None:
    if options.json:
        _print_json(answer.body)
    else:
        print(_refusal(answer), file=sys.stderr)


def _line(snapshot: Mapping[str, Any]) -> str:
    scope = snapshot["scope"] or "(root)"
    line = f"{scope}: {snapshot['state']}, gate {snapshot['gate']}"
    if snapshot["effective_state"] != snapshot["state"]:
        line += f", effectively {snapshot['effective_state']}"
    if snapshot["gate"] == "closed":
        held_by = snapshot["held_by"] or "(root)"
        until = snapshot["until"] or "an operator resumes"
        line += f" by {held_by} since {snapshot['since']} until {until}: {snapshot['reason']}"
    return line


def _print_json(value: Mapping[str, Any]) -> None:
    print(json.dumps(value, indent=2))


def _ask(
    options: argparse.Namespace,
    method: str,
    route: str,
    *,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    answer = _send(options, method, route, body=body, params=params)
    if answer.status != 200:  # noqa: PLR2004
        raise CommandFailed(_refusal(answer))
    members: dict[str, Any] = answer.body
    return members


def _send(
    options: argparse.Namespace,
    method: str,
    route: str,
    *,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    wait: float = 0.0,
) -> Answer:
    from sidecar.client.connection import Connection  # noqa: PLC0415 - `serve` does without
    from sidecar.client.errors import Unreachable  # noqa: PLC0415
    from sidecar.client.settings import Settings  # noqa: PLC0415

    try:
        settings = Settings(
            url=options.url,
            scope=options.scope,
            token=os.environ.get("WELLBEING_TOKEN"),
            token_file=options.token_file,
            ca_file=options.ca_file,
            cert_file=options.cert_file,
        )
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    connection = Connection(settings, "wellbeing-sidecar", _MAX_ANSWER_BYTES)
    try:
        timeout = wait + _SLACK_SECS
        return connection.ask(method, route, timeout=timeout, headers=headers, params=params, body=body)
    except Unreachable as error:
        raise CommandFailed(f"no answer from {options.url}: {error}") from error
    finally:
        connection.close()


def _refusal(answer: Answer) -> str:
    body = answer.body
    if isinstance(body, dict) and {"title", "detail"} <= body.keys():
        return f"{body['title']}: {body['detail']}"
    return f"unexpected answer {answer.status}"
