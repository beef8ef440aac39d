"""A query parameter that is unknown, or given twice, is refused; the error names the most similar known one."""

from __future__ import annotations

import pytest

from harness.sidecar import Sidecar
from sidecar.web.gate.requests import PARAMETERS


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("/v1/gate/x?wiat=1", "'wiat': no such parameter (did you mean wait?)"),
        ("/v1/gate?denystatus=403", "(did you mean deny_status?)"),
        ("/v1/gate?wait=0&zzz=1", "'zzz': no such parameter (may be wait, deny_status, priority)"),
        ("/v1/gate?Wait=0", "(did you mean wait?)"),
        ("/v1/gate?DENY_STATUS=403", "(did you mean deny_status?)"),
        ("/v1/gate?wait", "wait: must be seconds"),
        ("/v1/watch?deny_status=403", "(may be wait)"),
        ("/v1/status?belo=true", "(did you mean below?)"),
        ("/v1/history?limits=3", "(did you mean limit?)"),
        ("/v1/history/x?untill=2026-01-01T00:00:00Z", "(did you mean until?)"),
        ("/v1/events?wait=1", "'wait': no such parameter (there are none here)"),
        ("/v1/gate?wait=0&wait=5", "'wait': is given twice"),
        ("/v1/gate?deny_status=403&deny_status=403", "'deny_status': is given twice"),
        ("/v1/watch?wait=0&w%61it=0", "'wait': is given twice"),
        ("/v1/admit?client=a&waiting=5:1&client=b", "'client': is given twice"),
        ("/v1/status?below=true&below=false", "'below': is given twice"),
        ("/v1/history?limit=1&limit=2", "'limit': is given twice"),
        ("/ui/scope?page=1&page=2", "'page': is given twice"),
    ],
)
def test_a_wrong_parameter_is_refused_with_a_hint(sidecar: Sidecar, target: str, hint: str) -> None:
    answer = sidecar.get(target)
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/invalid-parameter"
    assert hint in answer.json()["detail"]


@pytest.mark.parametrize("route", ["pause", "resume", "state", "reports", "alerts"])
def test_a_field_of_the_body_given_in_the_query_is_refused(sidecar: Sidecar, scope: str, route: str) -> None:
    method = "PUT" if route == "state" else "POST"
    target = f"{sidecar.url}/v1/{route}" + ("" if route == "alerts" else f"/{scope}")
    body = {"reason": "x", "state": "distressed"}
    answer = sidecar.session.request(method, target, params={"max_pause_secs": "1"}, json=body, timeout=30)
    assert answer.status_code == 400
    known = "may be dry_run" if route == "alerts" else "there are none here"
    assert f"'max_pause_secs': no such parameter ({known})" in answer.json()["detail"]
    assert "follows" in sidecar.status(scope)


def test_the_openapi_document_names_every_parameter(sidecar: Sidecar) -> None:
    paths = sidecar.get("/openapi.json").json()["paths"]
    for route, names in PARAMETERS.items():
        for operation in (paths[route].get("get") or paths[route].get("post") or paths[route]["put"],):
            told = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            assert sorted(told) == sorted(names), route


def test_a_correct_parameter_still_applies(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    assert sidecar.gate(scope, wait="0", deny_status="403").status_code == 403
    assert sidecar.get("/metrics?whatever=1").status_code == 200
