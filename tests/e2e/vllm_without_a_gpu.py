"""Replaces ``vllm serve``: takes its options and adds the middleware as vLLM does, in front of a simulated
engine."""

from __future__ import annotations

import argparse
import importlib
import os

import uvicorn

from demo.engine.server import Application

parser = argparse.ArgumentParser()
parser.add_argument("command", choices=["serve"])
parser.add_argument("model")
parser.add_argument("--served-model-name")
parser.add_argument("--middleware", action="append", default=[])
options = parser.parse_args()
application = Application(options.served_model_name or options.model)
for path in options.middleware:
    module, _, name = path.rpartition(".")
    application = getattr(importlib.import_module(module), name)(application)
uvicorn.run(
    application, host="127.0.0.1", port=int(os.environ["VLLM_PORT"]), log_level="warning", lifespan="off"
)
