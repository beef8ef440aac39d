"""The undocumented behaviour of uvicorn, gunicorn and their worker that the sidecar relies on."""

from __future__ import annotations

import inspect
import re

from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import Server, ServerState
from uvicorn_worker import UvicornWorker


def test_uvicorn_creates_a_protocol_with_the_expected_arguments() -> None:
    parameters = list(inspect.signature(HttpToolsProtocol.__init__).parameters)
    assert parameters == ["self", "config", "server_state", "app_state", "_loop"]
    assert "http_protocol_class(" in inspect.getsource(Server.startup)


def test_uvicorn_calls_shutdown_of_its_connections() -> None:
    source = inspect.getsource(Server.shutdown)
    assert "connection.shutdown()" in source
    assert source.index("connection.shutdown()") < source.index("lifespan.shutdown()")
    assert ServerState().connections == set()


def test_uvicorn_calls_on_tick() -> None:
    assert list(inspect.signature(Server.on_tick).parameters) == ["self", "counter"]
    assert "on_tick" in inspect.getsource(Server.main_loop)


def test_uvicorn_passes_the_lifespan_state_to_protocols() -> None:
    assert "app_state=self.lifespan.state" in inspect.getsource(Server.startup)


def test_uvicorn_worker_reads_its_config_from_the_class() -> None:
    assert "self.CONFIG_KWARGS" in inspect.getsource(UvicornWorker.__init__)
    assert {"http", "ws", "lifespan", "timeout_graceful_shutdown"} <= set(
        inspect.signature(Config).parameters
    )


def test_gunicorn_finds_the_signal_handlers_by_name() -> None:
    assert callable(Arbiter.handle_hup)
    assert isinstance(Arbiter.WORKERS, dict)
    assert list(inspect.signature(Logger.setup).parameters) == ["self", "cfg"]


def test_uvicorn_has_the_attributes_that_requests_without_asgi_use() -> None:
    made = inspect.getsource(HttpToolsProtocol.__init__) + inspect.getsource(
        HttpToolsProtocol.connection_made
    )
    assert {"self.tasks", "self.client", "self.app_state"} <= set(re.findall(r"self\.\w+", made))
    assert "self.server_state.tasks" in inspect.getsource(Server.shutdown)
    ended = inspect.getsource(HttpToolsProtocol.on_response_complete)
    assert {"total_requests", "timeout_keep_alive_task"} <= set(re.findall(r"\w+", ended))
