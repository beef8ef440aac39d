"""Starts SGLang with the gate's middleware: ``python -m sidecar.client.sglang --model-path … --port 30000``.

SGLang has no option for a middleware. This adds it to SGLang's FastAPI application and then runs SGLang's own
``sglang.launch_server`` with the same arguments. The environment has the settings of `GateMiddleware`.
Source: SGLang 0.5.23.
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any

from .asgi import GateMiddleware

_APP_PATH = "SGLANG_HTTP_SERVER_APP_PATH"
# As `python -m` runs this file, its name is __main__.
_MODULE = "sidecar.client.sglang"
_RUST_SERVER = "SGLANG_RUST_SERVER"
# With each of these options, a program other than the application serves requests.
_UNGATED = ("--encoder-only", "--smg-grpc-mode", "--grpc-mode", "--grpc-port")
_FALSE = ("", "0", "false", "no", "n")


def main(arguments: list[str]) -> None:
    """Add the middleware, and run SGLang's main with ``arguments``.

    Raises:
        SystemExit: SGLang is not installed, or would serve requests without the gate.
    """
    problem = ungated(arguments, os.environ.get(_RUST_SERVER, ""))
    if problem:
        sys.exit(f"sidecar.client.sglang: {problem}")
    try:
        gated_app()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sglang":
            raise
        sys.exit("sidecar.client.sglang: SGLang is not installed here: run this in SGLang's environment")
    # Processes of --tokenizer-worker-num import the application again, by this path.
    os.environ[_APP_PATH] = f"{_MODULE}:app"
    sys.argv = ["sglang.launch_server", *arguments]
    runpy.run_module("sglang.launch_server", run_name="__main__")


def ungated(arguments: list[str], rust_server: str = "") -> str:
    """Why SGLang would serve requests without the gate with these arguments; empty: it would not."""
    for argument in arguments:
        if argument.split("=", 1)[0].replace("_", "-") in _UNGATED:
            return f"with {argument} SGLang serves requests that do not pass the gate: gate it by a proxy"
    if rust_server.lower() not in _FALSE:
        return f"with {_RUST_SERVER} SGLang serves requests that do not pass the gate: gate it by a proxy"
    return ""


def gated_app() -> Any:  # noqa: ANN401 - of FastAPI
    """SGLang's application, with the middleware."""
    from sglang.srt.entrypoints.http_server import app  # noqa: PLC0415 - it takes seconds

    if not any(one.cls is GateMiddleware for one in app.user_middleware):
        app.add_middleware(GateMiddleware)
    return app


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of modules
    if name != "app":
        raise AttributeError(name)
    return gated_app()


if __name__ == "__main__":
    main(sys.argv[1:])
