"""The tools of an agent as an MCP server, by the official SDK: over standard input and output, or HTTP."""

from __future__ import annotations

import json
import logging
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings

from sidecar import __version__

from .errors import ToolFailed
from .schemas import TOOLS
from .tools import AgentTools

logger = logging.getLogger(__name__)

_INSTRUCTIONS = (
    "These tools connect you to the wellbeing sidecar of this inference service. Before long work, check "
    "whether you are paused. Report honestly when you are not well: a pause protects you and your users."
)
PATH = "/mcp"
"""Where the HTTP transport is served."""


def make_server(tools: AgentTools, name: str | None) -> Server[Any]:
    """An MCP server with the tools of an agent.

    Args:
        tools: carry out the calls.
        name: the name of the claims' source; None: the name that the MCP client gives itself.
    """

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:  # noqa: ANN401 - the SDK's
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=one.name,
                    description=one.description,
                    input_schema=one.parameters,
                    annotations=types.ToolAnnotations(
                        read_only_hint=one.reads_only, destructive_hint=False, idempotent_hint=True
                    ),
                )
                for one in TOOLS
            ]
        )

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:  # noqa: ANN401
        source = name or _client_name(context)
        try:
            told = await anyio.to_thread.run_sync(
                lambda: tools.call(params.name, params.arguments or {}, name=source)
            )
        except ToolFailed as failure:
            return _result(str(failure), failed=True)
        except Exception:
            logger.exception("a tool call failed")
            return _result("the tool failed; the log of the MCP server says why", failed=True)
        return _result(json.dumps(told), structured=told)

    return Server(
        "wellbeing-sidecar",
        version=__version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def serve_stdio(server: Server[Any]) -> None:
    """Serve one client over standard input and output, until it closes them."""

    async def main() -> None:
        async with stdio_server() as (receive, send):
            await server.run(receive, send, server.create_initialization_options())

    anyio.run(main)


def serve_http(server: Server[Any], host: str, port: int) -> None:
    """Serve clients over streamable HTTP, until a signal stops the process.

    Args:
        server: the MCP server.
        host: the loopback address to listen on. Nothing here authenticates a client.
        port: the port; 0: a free one.
    """
    app = server.streamable_http_app(
        streamable_http_path=PATH, host=host, transport_security=_only_local(host)
    )
    uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="info", log_config=None)).run()


def _only_local(host: str) -> TransportSecuritySettings:
    """Refuse requests of web pages of other sites, also of one whose DNS name points here (DNS rebinding).

    By itself, the SDK does so for three of the loopback addresses only.
    """
    hosts = {f"[{host}]" if ":" in host else host, "127.0.0.1", "localhost", "[::1]"}
    return TransportSecuritySettings(
        allowed_hosts=[f"{one}:*" for one in hosts], allowed_origins=[f"http://{one}:*" for one in hosts]
    )


def _client_name(context: Any) -> str | None:  # noqa: ANN401 - the SDK's
    params = context.session.client_params
    return f"mcp/{params.client_info.name}" if params is not None and params.client_info.name else None


def _result(
    text: str, *, structured: dict[str, Any] | None = None, failed: bool = False
) -> types.CallToolResult:
    content: list[Any] = [types.TextContent(type="text", text=text)]
    return types.CallToolResult(content=content, structured_content=structured, is_error=failed)
