"""The arguments that the commands for a running sidecar share."""

from __future__ import annotations

import argparse
import os

DEFAULT_URL = "http://127.0.0.1:9477"


def add_scope(
    parser: argparse.ArgumentParser, without_scope: str = "the root, which stands for everything"
) -> None:
    """Add ``SCOPE``, which may be left out.

    Args:
        parser: the parser of a command.
        without_scope: what is meant without it, as the end of a sentence.
    """
    parser.add_argument(
        "scope",
        nargs="?",
        default="",
        metavar="SCOPE",
        help=f"for instance team-a/llama (without one: {without_scope})",
    )


def add_all(parser: argparse.ArgumentParser, effect: str) -> None:
    """Add ``--all``, for commands that need either it or a scope."""
    parser.add_argument("--all", action="store_true", help=f"{effect}; either SCOPE or --all is required")


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
    """Add the choice between output for people and for programs."""
    parser.add_argument(
        "--output",
        choices=("table", "json", "jsonl"),
        default="table",
        help="for people, JSON, or JSON with one object per line (default: table)",
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="output", help="the same as --output json"
    )
