"""Arguments of all commands that send requests to a running sidecar."""

from __future__ import annotations

import argparse
import os

DEFAULT_URL = "http://127.0.0.1:9477"


def add_scope(
    parser: argparse.ArgumentParser, without_scope: str = "the root, which contains everything"
) -> None:
    """Add the optional ``SCOPE``.

    Args:
        parser: the parser of a command.
        without_scope: the meaning of a missing scope, as the end of a sentence.
    """
    parser.add_argument(
        "scope",
        nargs="?",
        default="",
        metavar="SCOPE",
        help=f"such as team-a/llama (default: {without_scope})",
    )


def add_all(parser: argparse.ArgumentParser, effect: str) -> None:
    """Add ``--all``, for commands that require either it or a scope."""
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
