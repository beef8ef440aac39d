"""The commands, their arguments and their help."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any, NoReturn

from sidecar import __version__

from . import (
    backtest,
    check_config,
    completion,
    copy_store,
    explain,
    gate,
    hash_password,
    history,
    hook_test,
    init,
    mcp,
    pause,
    resume,
    serve,
    state,
    status,
    token,
    watch,
)
from .arguments import duration, positive_duration, timestamp
from .exit_statuses import EPILOG
from .hook_test import EVENTS
from .sidecar_requests import DEFAULT_URL
from .starter_files import ENGINES, MODES, PLACES

Run = Callable[[argparse.Namespace], int]

_DESCRIPTION = """\
Gates LLM inference by the wellbeing of agents and models. `serve` runs the sidecar. The other commands talk
to a running sidecar or help with its config."""
_EXAMPLES = """\
examples:
  wellbeing-sidecar serve --config sidecar.yaml
  wellbeing-sidecar status
  wellbeing-sidecar pause team-a/llama --reason "checking the model" --max-pause-secs 10m
  wellbeing-sidecar resume team-a/llama
  wellbeing-sidecar gate team-a/llama --wait 5m && start-the-batch

`wellbeing-sidecar COMMAND --help` shows the arguments of a command. A scope is a path such as team-a/llama. A
command on it also applies to everything inside it. Durations are seconds, or like 90s, 5m, 1h30m.

"""


class _Parser(argparse.ArgumentParser):
    """Suggests a similar choice or flag for an unknown one."""

    def error(self, message: str) -> NoReturn:
        """Print ``message`` and exit with 2."""
        super().error(message + self._hint(message))

    def _hint(self, message: str) -> str:
        from sidecar.config import suggestion_for  # noqa: PLC0415 - only mistakes need it

        if "invalid choice: " in message:
            got = message.partition("invalid choice: '")[2].partition("'")[0]
            known = [one.strip(" '") for one in message.partition("choose from ")[2].rstrip(")").split(",")]
            return suggestion_for(got, known)
        if message.startswith("unrecognized arguments: -"):
            got = message.partition(": ")[2].split()[0]
            return suggestion_for(got, self.flags())
        return ""

    def flags(self) -> list[str]:
        """All flags of this parser and its commands."""
        found = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no other way
                found += [flag for one in action.choices.values() for flag in one.flags()]
        return found


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands. ``run`` of its result runs the command."""
    parser = _Parser(
        prog="wellbeing-sidecar",
        description=_DESCRIPTION,
        epilog=_EXAMPLES + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_check_config(commands)
    _add_copy_store(commands)
    _add_init(commands)
    _add(commands, "token", "make a bearer token and its digest for the config", token.run)
    _add(
        commands,
        "hash-password",
        "hash a password for the config; read from the terminal or from standard input",
        hash_password.run,
    )
    _add_hook_test(commands)
    _add_status(commands)
    _add_pause(commands)
    _add_resume(commands)
    _add_state(commands)
    _add_history(commands)
    _add_client(
        commands,
        "watch",
        "print a scope's snapshot, and each change of it and everything inside it; Ctrl-C stops it",
        watch.run,
        "watch team-a/llama --json",
    )
    _add_gate(commands)
    _add_mcp(commands)
    _add_explain(commands)
    _add_backtest(commands)
    _add_completion(commands)
    return parser


def _add(commands: Any, name: str, summary: str, run: Run, *examples: str) -> argparse.ArgumentParser:  # noqa: ANN401 - argparse's
    lines = "".join(f"  wellbeing-sidecar {one}\n" for one in examples)
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=("examples:\n" + lines + "\n" if lines else "") + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_client(
    commands: Any,  # noqa: ANN401 - argparse's
    name: str,
    summary: str,
    run: Run,
    *examples: str,
    without_scope: str = "the root, which stands for everything",
    as_json: bool = True,
    with_scope: bool = True,
) -> argparse.ArgumentParser:
    parser = _add(commands, name, summary, run, *examples)
    if with_scope:
        parser.add_argument(
            "scope",
            nargs="?",
            default="",
            metavar="SCOPE",
            help=f"for instance team-a/llama (without one: {without_scope})",
        )
    else:
        parser.set_defaults(scope="")
    connection = parser.add_argument_group("connection")
    connection.add_argument(
        "--url",
        default=os.environ.get("WELLBEING_URL") or DEFAULT_URL,
        help=f"URL of the sidecar: http://HOST:PORT, https://HOST:PORT or unix:/path "
        f"(WELLBEING_URL; default: {DEFAULT_URL})",
    )
    connection.add_argument(
        "--token-file",
        metavar="FILE",
        default=os.environ.get("WELLBEING_TOKEN_FILE"),
        help="file with a bearer token (WELLBEING_TOKEN_FILE; WELLBEING_TOKEN is the token itself)",
    )
    connection.add_argument(
        "--ca-file",
        metavar="FILE",
        default=os.environ.get("WELLBEING_CLIENT_CA_FILE"),
        help="CA bundle (WELLBEING_CLIENT_CA_FILE; default: the system's trust store)",
    )
    connection.add_argument("--cert-file", metavar="FILE", help="client certificate and key (PEM)")
    if as_json:
        parser.add_argument(
            "--output",
            choices=("table", "json", "jsonl"),
            default="table",
            help="for people, JSON, or JSON with one object per line (default: table)",
        )
        parser.add_argument(
            "--json", action="store_const", const="json", dest="output", help="the same as --output json"
        )
    return parser


def _add_all(parser: argparse.ArgumentParser, effect: str) -> None:
    parser.add_argument("--all", action="store_true", help=f"{effect}; either SCOPE or --all is required")


def _add_explain(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add_client(
        commands,
        "explain",
        "say what an alert would do, and why, without doing it",
        explain.run,
        "explain --label alertname=QueueGrows --label severity=critical --label wellbeing_scope=llama",
        "explain --file notification.json --config sidecar.yaml",
        with_scope=False,
    )
    pair: dict[str, Any] = {"action": "append", "default": [], "metavar": "NAME=VALUE"}
    parser.add_argument("--label", help="a label of the alert; may be given several times", **pair)
    parser.add_argument("--annotation", help="an annotation of the alert; likewise", **pair)
    parser.add_argument("--file", metavar="FILE", help="a captured body of the webhook; -: standard input")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="decide by this config and an empty state, without a running sidecar",
    )


def _add_serve(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add(
        commands,
        "serve",
        "run the sidecar",
        serve.run,
        "serve --config sidecar.yaml",
        "serve --listen 127.0.0.1:9477 --listen unix:/run/wellbeing.sock --store sqlite:/data/wellbeing.db",
    )
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


def _add_check_config(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add(
        commands,
        "check-config",
        "check a config file, the environment, and the files that they name",
        check_config.run,
        "check-config sidecar.yaml",
        "check-config --no-files sidecar.yaml   # where secrets and certificates are not mounted",
    )
    parser.add_argument(
        "config",
        metavar="FILE",
        nargs="?",
        help="YAML file (WELLBEING_CONFIG; default: the environment only)",
    )
    parser.add_argument(
        "--no-files",
        action="store_true",
        help="do not check the files that the config names: secrets, certificates, the store, sockets",
    )


def _add_copy_store(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add(
        commands,
        "copy-store",
        "copy state and history of a store to another one; what the other one has stays",
        copy_store.run,
        "copy-store sqlite:wellbeing.db redis://redis:6379",
        "copy-store --config sidecar.yaml redis://redis:6379 sqlite:backup.db",
    )
    parser.add_argument("source", metavar="FROM", help="the store to read; its sidecar must not run")
    parser.add_argument("target", metavar="TO", help="the store to write; a fleet may be running on it")
    parser.add_argument(
        "--config", metavar="FILE", help="YAML file with the section redis (WELLBEING_CONFIG)"
    )


def _add_hook_test(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add(
        commands,
        "hook-test",
        "send made-up events to a hook of the config",
        hook_test.run,
        "hook-test slack --config sidecar.yaml --event pause",
        "hook-test slack --config sidecar.yaml --dry-run   # print what would be sent",
    )
    parser.add_argument("name", metavar="NAME", help="the name of the hook")
    parser.add_argument("--config", metavar="FILE", help="YAML file (WELLBEING_CONFIG; default: none)")
    parser.add_argument(
        "--event", choices=EVENTS, metavar="EVENT", help=f"{', '.join(EVENTS)} (default: all of the hook)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the requests and send nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_init(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add(
        commands,
        "init",
        "write configs for the sidecar, Prometheus and Alertmanager that work together; asks three questions",
        init.run,
        "init",
        "init --engine vllm --place local --mode advise --directory wellbeing",
        "init --engine sglang --place kubernetes --mode pause   # values of the Helm chart",
    )
    parser.add_argument("--engine", choices=tuple(ENGINES), help="the engine that serves the model")
    parser.add_argument("--place", choices=PLACES, help="where the sidecar runs")
    parser.add_argument("--mode", choices=MODES, help="advise: only observe; pause: pause what is distressed")
    parser.add_argument("--directory", default=".", metavar="DIR", help="where the files go (default: here)")
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


def _add_status(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add_client(
        commands,
        "status",
        "show the status of a scope, and everything inside it that is not well or not open",
        status.run,
        "status",
        "status team-a/llama --json",
    )
    parser.add_argument("--below", action="store_true", help="show every known scope inside it")


def _add_pause(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add_client(
        commands,
        "pause",
        "close the gate of a scope and of everything inside it",
        pause.run,
        'pause team-a/llama --reason "checking the model"',
        'pause --all --reason "maintenance" --max-pause-secs 1h',
        without_scope="--all is needed",
    )
    parser.add_argument(
        "--reason", required=True, help="the reason; waiting requests get it in their responses"
    )
    parser.add_argument(
        "--max-pause-secs",
        type=duration,
        metavar="DURATION",
        help="the pause ends by itself after this time, like 5m or 1h30m; 0: never (default: the policy's)",
    )
    _add_all(parser, "close every gate")


def _add_resume(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add_client(
        commands,
        "resume",
        "lift every hold of a scope; exit 1 if its gate stays closed or it is unknown",
        resume.run,
        "resume team-a/llama",
    )
    parser.add_argument("--reason", default="", help="the reason, for the history")


def _add_state(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add_client(
        commands,
        "state",
        "report an agent's own state",
        state.run,
        'state team-a/agent-7 concerned --reason "answers repeat" --ttl-secs 10m',
        "state team-a/agent-7 healthy",
        without_scope="--all is needed",
    )
    parser.add_argument("state", choices=("healthy", "cautious", "concerned", "distressed"))
    parser.add_argument("--reason", default="", help="the reason")
    parser.add_argument("--source", help="the agent's name (default: default)")
    parser.add_argument(
        "--ttl-secs",
        type=positive_duration,
        metavar="DURATION",
        help="the report expires after this time, such as 90, 5m (default: never)",
    )
    _add_all(parser, "report the state of everything")


def _add_history(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add_client(
        commands,
        "history",
        "show the history of a scope and everything inside it, newest first",
        history.run,
        "history team-a --since 2h --kind pause,resume",
        "history --all --output jsonl",
    )
    parser.add_argument("--all", action="store_true", help="print all entries, not one page")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="entries to print (default: 20)")
    parser.add_argument(
        "--kind",
        help="intervention, pause, resume, hold, lift, engine, blind, store; joined by commas (default: all)",
    )
    parser.add_argument(
        "--since",
        type=timestamp,
        metavar="TIME",
        help="a time such as 2026-11-23T09:00:00Z, or how long ago, such as 90s, 5m, 1d",
    )
    parser.add_argument("--until", type=timestamp, metavar="TIME", help="same format as --since")
    parser.add_argument("--cursor", help="continue after the previous page")


def _add_gate(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add_client(
        commands,
        "gate",
        "block until the gate is open; exit 75 if the wait times out",
        gate.run,
        "gate team-a/llama --wait 5m && start-the-batch",
    )
    parser.add_argument(
        "--wait",
        type=duration,
        metavar="DURATION",
        help="wait this long at most, as in 90, 5m (default: wait_timeout_secs of the policy)",
    )


def _add_mcp(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add_client(
        commands,
        "mcp",
        "serve an agent's tools over MCP: report its wellbeing, ask whether it is paused, ask for a pause",
        mcp.run,
        "mcp team-a/llama/agent-7 --name planner",
        "mcp team-a/llama --listen 127.0.0.1:9478",
        as_json=False,
    )
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="serve streamable HTTP at http://ADDRESS/mcp, on loopback (default: standard input and output)",
    )
    parser.add_argument(
        "--name",
        help="the name of the agent, whose claims are made by agent:NAME (default: the MCP client's name)",
    )


def _add_completion(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add(
        commands,
        "completion",
        "print the completion script of a shell",
        completion.run,
        "completion bash > ~/.local/share/bash-completion/completions/wellbeing-sidecar",
        'completion zsh > "${fpath[1]}/_wellbeing-sidecar"',
        "completion fish > ~/.config/fish/completions/wellbeing-sidecar.fish",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def _add_backtest(commands: Any) -> None:  # noqa: ANN401 - argparse's
    parser = _add(
        commands,
        "backtest",
        "show what would have been paused over the last days, asked of a Prometheus",
        backtest.run,
        "backtest --prometheus http://prometheus:9090 --since 7d --html report.html",
        "backtest --prometheus http://prometheus:9090 --config a.yaml --config b.yaml",
        "backtest --prometheus http://prometheus:9090 --rules new.rules.yml   # before the rules are loaded",
    )
    parser.add_argument(
        "--prometheus",
        metavar="URL",
        required=True,
        help="of the Prometheus, with its path prefix if it has one",
    )
    parser.add_argument(
        "--since",
        type=timestamp,
        default="7d",
        metavar="TIME",
        help="as in 2026-11-23T09:00:00Z, or how long ago, as 12h, 7d (default: 7d)",
    )
    parser.add_argument(
        "--until", type=timestamp, default="0s", metavar="TIME", help="the same (default: now)"
    )
    parser.add_argument(
        "--config",
        action="append",
        metavar="FILE",
        help="of a sidecar; given several times, all are tested on the same alerts "
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
        help="show what a config that only observes would pause (default: yes)",
    )
    parser.add_argument(
        "--step",
        type=positive_duration,
        metavar="DURATION",
        help="time between two looks at ALERTS (default: 15s, or the shortest evaluation interval); "
        "of rule files the evaluation interval of groups that have none (default: that of Prometheus)",
    )
    _add_alertmanager(
        parser.add_argument_group("Alertmanager", "the route and receiver that lead to the sidecar")
    )
    connection = parser.add_argument_group("connection to Prometheus")
    connection.add_argument("--token-file", metavar="FILE", help="file with a bearer token")
    connection.add_argument("--username", metavar="NAME", help="for basic authentication")
    connection.add_argument("--password-file", metavar="FILE", help="file with its password")
    connection.add_argument("--ca-file", metavar="FILE", help="CA bundle (default: the system's trust store)")
    connection.add_argument("--cert-file", metavar="FILE", help="client certificate and key (PEM)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--html", metavar="FILE", help="write a report with timelines: one file without scripts"
    )


def _add_alertmanager(group: Any) -> None:  # noqa: ANN401 - argparse's
    group.add_argument(
        "--group-by",
        default="alertname",
        metavar="LABELS",
        help="joined by commas; ...: all labels (default: alertname)",
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
