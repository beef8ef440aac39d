"""The application, served as SGLang 0.5.23 does: the object with one process, its import path with
several."""

from __future__ import annotations

import os

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
def health() -> dict:
    return {}


@app.post("/generate")
def generate() -> dict:
    return {"text": "x"}


def launch_server(port: int, workers: int) -> None:
    if workers == 1:
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
    else:
        path = os.environ.get("SGLANG_HTTP_SERVER_APP_PATH", "sglang.srt.entrypoints.http_server:app")
        uvicorn.run(path, host="127.0.0.1", port=port, log_level="warning", workers=workers)
