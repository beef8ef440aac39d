"""The OpenAPI description is complete, and the sidecar behaves as it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.examples import THOROUGH, examples
from harness.sidecar import Sidecar
from sidecar.web.api.openapi import openapi
from sidecar.web.guard import OPEN_ROUTES, ROUTE_ROLES
from sidecar.web.problems import TITLES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    config = {
        # A closed gate answers 503, which a fuzzer would report as a fault.
        "defaults": {"enabled": False, "wait_timeout_secs": 0.05},
        "limits": {"max_scopes": 1_000_000, "max_clients": 1_000_000, "max_signals_per_scope": 1_000_000},
    }
    with Sidecar(config) as own:
        yield own


def test_the_served_document_equals_the_generated_one(sidecar: Sidecar) -> None:
    assert sidecar.get("/openapi.json").json() == openapi()


def test_the_document_describes_every_route() -> None:
    paths = {path.removesuffix("/{scope}") for path in openapi()["paths"]}
    assert paths == {*ROUTE_ROLES, *(one for one in OPEN_ROUTES if one != "/problems"), "/problems/{name}"}


def test_the_document_lists_every_problem_by_its_status() -> None:
    statuses = {
        status
        for item in openapi()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
        for status in operation["responses"]
    }
    # A route lists all of its methods; others get 405.
    assert {str(status) for status, _ in TITLES.values()} - {"405"} <= statuses


@pytest.mark.parametrize(
    ("paths", "checks"),
    [
        # /v1/authz serves any method and any body; its own tests send them.
        ("/v1/(?!events|reports|watch|authz)|^/(?!v1)", []),
        # A watch with the current ETag waits.
        ("/v1/watch", ["--header", 'If-None-Match: "1"']),
        # Its counts have to add up, which a schema cannot express.
        ("/v1/reports", ["--exclude-checks", "positive_data_acceptance"]),
    ],
)
def test_every_response_to_a_generated_request_is_one_the_document_describes(
    sidecar: Sidecar, paths: str, checks: list[str]
) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{sidecar.url}/openapi.json"]
    command += [
        "--include-path-regex",
        paths,
        "--max-examples",
        str(examples(4)),
        "--seed",
        "1",
        "--request-timeout",
        "20",
    ]
    command += ["--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all", *checks]
    done = subprocess.run(
        command,
        check=False,
        cwd=sidecar.config_path.parent,
        capture_output=True,
        text=True,
        timeout=900 if THOROUGH else 300,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert yaml.safe_load(sidecar.get("/openapi.json").text)
    assert not sidecar.logs("a request failed")
