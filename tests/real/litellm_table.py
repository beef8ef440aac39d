"""LiteLLM with its models in a table in memory: the gated app of docs/how-to/litellm.md, for uvicorn.

LiteLLM reads and writes its database through Prisma, whose query engine cannot be fetched from a package registry. Here one of its tables,
that of the models, takes the place of the client; routes, keys, router and refusals are LiteLLM's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from gated_litellm import app  # type: ignore[import-not-found]
from litellm.proxy import proxy_server  # type: ignore[import-not-found]
from pydantic import BaseModel


class Row(BaseModel):
    """A model in the table."""

    model_id: str
    model_name: str
    litellm_params: dict[str, Any]
    model_info: dict[str, Any]
    blocked: bool = False
    created_by: str = "test"
    updated_by: str = "test"


class Models:
    """The table of the models.

    Args:
        rows: what is in it.
    """

    def __init__(self, rows: list[Row]) -> None:
        self._rows = {row.model_id: row for row in rows}

    async def find_many(self, **_query: object) -> list[Row]:
        return [row.model_copy(deep=True) for row in self._rows.values()]

    async def find_unique(self, where: dict[str, str], **_query: object) -> Row | None:
        return self._rows.get(where["model_id"])

    async def update(self, where: dict[str, str], data: dict[str, Any], **_query: object) -> Row:
        row = self._rows[where["model_id"]]
        row.blocked, row.updated_by = data["blocked"], data["updated_by"]
        return row


class Empty:
    """A table without rows."""

    async def find_many(self, **_query: object) -> list[Row]:
        return []

    async def find_unique(self, **_query: object) -> None:
        return None

    find_first = find_unique


class Tables:
    """All tables: that of the models, and empty ones."""

    def __init__(self, models: Models) -> None:
        self.litellm_proxymodeltable = models

    def __getattr__(self, name: str) -> Empty:
        return Empty()


_lifespan = app.router.lifespan_context


@asynccontextmanager
async def _with_table(served: Any) -> AsyncIterator[Any]:
    async with _lifespan(served) as state:
        rows = [Row.model_validate(row) for row in json.loads(os.environ["TEST_LITELLM_MODELS"])]
        tables = Tables(Models(rows))
        client = SimpleNamespace(db=tables, writer_db=tables, spend_logs_queue_monitor_task=None)
        proxy_server.prisma_client = client
        proxy_server.store_model_in_db = True
        await proxy_server.proxy_config.add_deployment(client, proxy_server.proxy_logging_obj)
        yield state


app.router.lifespan_context = _with_table
