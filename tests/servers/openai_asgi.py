"""A FastAPI server with OpenAI's and Anthropic's routes, and with vLLM's flag for a middleware.

python openai_asgi.py PORT [--middleware IMPORT.PATH]...
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import json

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
seen = {"chat": 0}
going = asyncio.Event()


@app.get("/health")
def health() -> dict:
    return seen


@app.post("/go")
async def go() -> dict:
    """Let the streams that have begun continue."""
    going.set()
    return {}


@app.get("/v1/models")
def models() -> dict:
    return {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "x"}]}


def chunk(text: str | None) -> str:
    delta = {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": None if text else "stop"}
    part = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(part)}\n\n"


@app.post("/v1/chat/completions")
async def chat(request: Request):
    body = await request.json()
    seen["chat"] += 1
    text = body["messages"][-1]["content"]
    if body.get("stream"):

        async def parts():
            yield chunk(text)
            await going.wait()
            yield chunk(" and more")
            yield chunk(None)
            yield "data: [DONE]\n\n"

        return StreamingResponse(parts(), media_type="text/event-stream")
    message = {"role": "assistant", "content": f"{len(text)} characters"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


@app.post("/v1/messages")
async def messages() -> dict:
    return {"type": "message", "content": []}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--middleware", action="append", default=[])
    options = parser.parse_args()
    for path in options.middleware:
        # As vLLM does: a class gets the application alone.
        module, name = path.rsplit(".", 1)
        imported = getattr(importlib.import_module(module), name)
        assert inspect.isclass(imported)
        app.add_middleware(imported)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
