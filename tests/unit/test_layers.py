"""Dependencies point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "sidecar"

# The other parts that each part may import.
ALLOWED = {
    "core": {"scope_segments"},
    "alerts": {"core", "json_pieces", "scope_segments"},
    "store": {"core", "redis_access", "supervision"},
    "clock": set(),
    "durations": set(),
    "http_json": {"json_pieces", "request_deadline"},
    "body_template": set(),
    "blocking_calls": set(),
    "config": {"alerts", "body_template", "core", "durations", "redis_access"},
    "auth": {"config", "core"},
    "logs": set(),
    "supervision": set(),
    "time_slice": set(),
    "json_pieces": set(),
    "unreachable": set(),
    "redis_access": set(),
    "request_deadline": set(),
    "scope_segments": set(),
    "trace_context": set(),
    "gates": {"clock", "core", "supervision", "time_slice"},
    "runtime": {"clock", "core", "gates", "store", "supervision", "time_slice"},
    "alertmanager": {
        "alerts",
        "clock",
        "config",
        "core",
        "gates",
        "http_json",
        "runtime",
        "store",
        "supervision",
        "time_slice",
    },
    "engines": {
        "blocking_calls",
        "clock",
        "config",
        "core",
        "gates",
        "http_json",
        "runtime",
        "store",
        "supervision",
    },
    "hooks": {
        "blocking_calls",
        "body_template",
        "clock",
        "config",
        "core",
        "http_json",
        "runtime",
        "store",
        "supervision",
    },
    "metrics": {"core", "engines", "gates", "hooks", "runtime", "time_slice"},
    "web": {
        "alertmanager",
        "alerts",
        "auth",
        "clock",
        "config",
        "core",
        "engines",
        "explain",
        "gates",
        "hooks",
        "json_pieces",
        "metrics",
        "runtime",
        "store",
        "supervision",
        "time_slice",
        "trace_context",
    },
    "explain": {"alertmanager", "alerts", "clock", "config", "core", "scope_segments"},
    "agents": {"client"},
    "backtest": {
        "alertmanager",
        "alerts",
        "clock",
        "config",
        "core",
        "durations",
        "http_json",
        "unreachable",
    },
    "cli": {
        "agents",
        "alerts",
        "auth",
        "backtest",
        "client",
        "clock",
        "config",
        "core",
        "durations",
        "explain",
        "hooks",
        "http_json",
        "import_clash",
        "logs",
        "store",
        "unreachable",
        "web",
    },
    "client": {"import_clash", "scope_segments", "supervision", "trace_context"},
    "import_clash": set(),
    "__main__": {"cli"},
    "__init__": set(),
}
# The core uses no clock, no I/O and no threads.
NOT_IN_CORE = {
    "asyncio",
    "datetime",
    "io",
    "logging",
    "os",
    "random",
    "socket",
    "subprocess",
    "threading",
    "time",
}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(source: str) -> set[str]:
    """The absolute names of the modules and members that ``source`` imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def violations(part: str, source: str) -> set[str]:
    wrong = set()
    for name in imports(source):
        first, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if first == "sidecar" and other in ALLOWED and other != part and other not in ALLOWED[part]:
            wrong.add(name)
        if part in ("core", "alerts") and first in NOT_IN_CORE - (
            {"datetime"} if part == "alerts" else set()
        ):
            wrong.add(name)
    return wrong


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    assert violations(part_of(path), path.read_text()) == set()


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("core", "import time"),
        ("core", "from sidecar.store import Store"),
        ("store", "def f():\n    from sidecar.gates.gate import ScopeGate"),
        ("client", "import sidecar.core"),
        ("gates", "from sidecar import runtime"),
        ("runtime", "from sidecar import alertmanager"),
    ],
)
def test_a_planted_import_is_caught(part: str, source: str) -> None:
    assert violations(part, source)


@pytest.fixture(scope="module")
def gate_modules() -> set[str]:
    """The modules that are loaded when the gate is served."""
    program = "import sys, sidecar.cli, sidecar.web.server, sidecar.web.worker; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(loaded.stdout.split())


@pytest.mark.parametrize(
    "name", ["flask", "prometheus_client", "re2", "bcrypt", "requests", "difflib", "jinja2"]
)
def test_the_gate_does_not_import_slow_modules(gate_modules: set[str], name: str) -> None:
    assert "sidecar.web.gate.protocol" in gate_modules
    assert name not in gate_modules


def test_outgoing_requests_are_sent_by_two_modules_only() -> None:
    """Both ignore ``.netrc`` and use no proxy for loopback. Their own tests check this."""
    libraries = ("aiohttp", "http.client", "httpx", "requests", "urllib.request", "urllib3")
    senders = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for name in imports(path.read_text())
        if any(name == one or name.startswith(f"{one}.") for one in libraries)
    }
    # request_deadline.py only shuts the connections of http_json.py.
    assert senders == {"client/connection.py", "client/transport.py", "http_json.py", "request_deadline.py"}


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_task_can_lose_its_cancellation(path: Path) -> None:
    # In Python 3.11 `wait_for` drops the cancellation of a task whose result arrives at the same moment, and
    # the code that cancelled it waits forever. `asyncio.timeout` keeps the cancellation.
    assert "asyncio.wait_for(" not in path.read_text()
