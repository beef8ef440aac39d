"""Arguments of all commands that send requests to a running sidecar."""

from __future__ import annotations

import argparse
import os

from .exit_statuses import USAGE, CommandFailed

DEFAULT_URL = "http://127.0.0.1:9477"


def add_request_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the optional scope, the connection and the output format."""
    add_scope(parser)
    add_connection(parser)
    add_output(parser)


def add_target_arguments(parser: argparse.ArgumentParser, effect: str) -> None:
    """Add the request arguments for commands that require either a scope or ``--all``.

    Args:
        parser: the parser of a command.
        effect: the effect of ``--all``, as an infinitive.
    """
    add_scope(parser, required=True)
    add_connection(parser)
    add_output(parser)
    parser.add_argument("--all", action="store_true", help=f"{effect}; either SCOPE or --all is required")
    parser.set_defaults(effect_of_all=effect)


def check_target(options: argparse.Namespace) -> None:
    """Require either a scope or ``--all``, so that an empty variable in a script does not mean everything.

    Raises:
        CommandFailed: neither or both are given.
    """
    if options.all and options.scope:
        raise CommandFailed(f"{options.command}: give a scope or --all, not both", USAGE)
    if not options.scope and not options.all:
        effect = options.effect_of_all
        raise CommandFailed(f"{options.command}: name a scope; to {effect}, say --all", USAGE)


def add_scope(
    parser: argparse.ArgumentParser,
    default: str = "the root, which contains everything",
    *,
    required: bool = False,
) -> None:
    """Add ``SCOPE``.

    Args:
        parser: the parser of a command.
        default: the meaning of a missing scope, as the end of a sentence.
        required: whether the command requires either a scope or ``--all``.
    """
    meaning = "; required, unless --all is given" if required else f" (default: {default})"
    parser.add_argument(
        "scope", nargs="?", default="", metavar="SCOPE", help=f"such as team-a/llama{meaning}"
    )


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the URL of the sidecar and the credentials."""
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


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose the output format."""
    parser.add_argument(
        "--output",
        choices=("table", "json", "jsonl"),
        default="table",
        help="a table for people, JSON, or JSON with one object per line (default: table)",
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="output", help="the same as --output json"
    )
