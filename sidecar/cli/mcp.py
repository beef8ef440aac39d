"""``mcp``: serves the tools of an agent over the Model Context Protocol."""

from __future__ import annotations

import argparse
import logging
import re
import sys

from .client_arguments import add_connection, add_scope
from .exit_statuses import CANNOT_START, OK, USAGE, CommandFailed
from .sidecar_requests import access_of

_NO_MCP = (
    "this command needs the MCP SDK ({} is not installed): "
    "install the extra `mcp`, e.g. pip install '.[mcp]' in a checkout"
)
_LISTEN = re.compile(r"(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\]):(\d{1,5})", re.ASCII)
_MAX_PORT = 65_535

EXAMPLES = (
    "mcp team-a/llama/agent-7 --name planner",
    "mcp team-a/llama --listen 127.0.0.1:9478",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    add_scope(parser)
    add_connection(parser)
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="serve streamable HTTP at http://ADDRESS/mcp, on loopback (default: standard input and output)",
    )
    parser.add_argument(
        "--name",
        help="the name of the agent: its claims have the source agent:NAME (default: the MCP client's name)",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until the client disconnects (stdio) or a signal stops the process (HTTP)."""
    address = None if options.listen is None else _address(options.listen)
    access = access_of(options)
    try:
        from sidecar.agents import AgentTools  # noqa: PLC0415 - the other commands need none of these
        from sidecar.agents.mcp_server import make_server, serve_http, serve_stdio  # noqa: PLC0415
        from sidecar.client.settings import Settings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "sidecar").partition(".")[0] == "sidecar":
            raise
        raise CommandFailed(_NO_MCP.format(error.name)) from None
    # Standard output is used by the protocol.
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        tools = AgentTools(Settings(**access._asdict()), options.name or "mcp")
    except ValueError as error:
        raise CommandFailed(f"--{error}", USAGE) from None
    server = make_server(tools, options.name)
    if address is None:
        serve_stdio(server)
        return OK
    try:
        serve_http(server, *address)
    except SystemExit:
        # uvicorn has logged the reason.
        raise CommandFailed(f"cannot listen on {options.listen}", CANNOT_START) from None
    return OK


def _address(text: str) -> tuple[str, int]:
    found = _LISTEN.fullmatch(text)
    if not found or int(found[2]) > _MAX_PORT:
        raise CommandFailed(
            f"--listen: must be a loopback address and a port, such as 127.0.0.1:9478, got {text!a}. The MCP "
            "server does not authenticate its clients: use a proxy that does",
            USAGE,
        )
    return found[1].strip("[]"), int(found[2])
