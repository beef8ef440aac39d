"""Refused webhooks and scopes that seem misspelt are logged, with at most a few lines per minute."""

from __future__ import annotations

import json
from pathlib import Path

from harness.process import eventually, eventually_equal
from harness.raw import Connection
from harness.sidecar import Sidecar

NOTIFICATION = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "alertmanager" / "01_single_firing.json").read_text()
)
CREDENTIALS = [
    {"name": "am", "roles": ["webhook"], "token_env": "AM"},
    {"name": "w", "roles": ["worker"], "token_env": "W"},
]
ENV = {"AM": "the-token-of-alertmanager", "W": "the-token-of-the-worker"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_each_refusal_of_a_webhook_is_logged_with_its_peer_and_reason() -> None:
    config = {"auth": {"credentials": CREDENTIALS}, "limits": {"max_body_bytes": 5_000}}
    with Sidecar(config, env=ENV) as own:
        url = f"{own.url}/v1/alerts"
        for data, headers, status in (
            (b"{}", {}, 401),
            (b"{}", bearer(ENV["W"]), 403),
            (b"{}", bearer(ENV["AM"]), 400),
            (b" " * 6_000, bearer(ENV["AM"]), 413),
        ):
            assert own.session.post(url, data=data, headers=headers, timeout=30).status_code == status
        eventually_equal(lambda: len(own.logs("webhook_refused")), 4, "all are logged")
        lines = own.logs("webhook_refused")
        assert [line["status"] for line in lines] == [401, 403, 400, 413]
        assert {line["peer"] for line in lines} == {"127.0.0.1"}
        assert [line["problem"] for line in lines] == [
            "unauthorized", "forbidden", "invalid-notification", "body-too-large",
        ]  # fmt: skip
        assert all(line["reason"] for line in lines)
        good = json.dumps({**NOTIFICATION, "alerts": []})
        assert own.session.post(url, data=good, headers=bearer(ENV["AM"]), timeout=30).status_code == 200
        assert len(own.logs("webhook_refused")) == 4


def test_many_refusals_are_logged_in_few_lines() -> None:
    with Sidecar() as own:
        for _ in range(40):
            assert own.notify(b"{}").status_code == 400
        own.pause("a")
        own.wait_log("pause")
        assert len(own.logs("webhook_refused")) == 10


def test_a_probably_misspelt_scope_is_logged_once() -> None:
    with Sidecar({"policies": [{"match": "team-a/llama"}, {"match": "team-b"}]}) as own:
        for asgi in (False, True):
            for scope in ("team-a/lama/x", "taem-b", "team-a/llama/agent-7", "team-b/anything", "team-a"):
                with Connection(own) as connection:
                    if asgi:
                        connection.get("/-/healthy")
                        connection.receive()
                    connection.get(f"/v1/gate/{scope}")
                    assert connection.receive().status == 200
        eventually(lambda: len(own.logs("unknown_scope")) >= 2, "both are logged")
        own.pause("a")
        own.wait_log("pause")
        found = {line["scope"]: line["did_you_mean"] for line in own.logs("unknown_scope")}
        assert found == {"team-a/lama/x": "team-a/llama", "taem-b": "team-b"}
        assert len(own.logs("unknown_scope")) == 2
        assert own.logs("unknown_scope")[0]["peer"] == "127.0.0.1"


def test_many_unknown_scopes_are_logged_in_few_lines() -> None:
    with Sidecar({"policies": [{"match": "team-a"}]}) as own:
        with Connection(own) as connection:
            for number in range(0, 3000, 100):
                for one in range(number, number + 100):
                    connection.get(f"/v1/gate/elsewhere{'x' * (one % 50)}{one}/y")
                assert [connection.receive().status for _ in range(100)] == [200] * 100
        own.pause("a")
        own.wait_log("pause")
        assert 1 <= len(own.logs("unknown_scope")) <= 10
