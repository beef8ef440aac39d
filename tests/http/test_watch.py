"""Long polls for changes."""

from __future__ import annotations

from harness.raw import Connection
from harness.sidecar import Sidecar


def watch(sidecar: Sidecar, scope: str, etag: str | None = None, **params):
    headers = {"If-None-Match": etag} if etag else {}
    return sidecar.get(f"/v1/watch/{scope}", params=params, headers=headers)


def test_a_watch_without_an_etag_responds_at_once(sidecar: Sidecar, scope: str) -> None:
    answer = watch(sidecar, scope)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == f'"{answer.json()["version"]}"'


def test_a_watch_without_a_change_ends_with_304(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    etag = watch(sidecar, scope).headers["ETag"]
    for wait in (0, 0.1):
        answer = watch(sidecar, scope, etag, wait=wait)
        assert (answer.status_code, answer.headers["ETag"], answer.content) == (304, etag, b"")
    assert watch(sidecar, scope, f'"0", W/{etag}', wait=0).status_code == 304


def test_a_change_wakes_a_watch_with_the_new_snapshot(sidecar: Sidecar, scope: str) -> None:
    sidecar.pause(scope)
    etag = watch(sidecar, scope).headers["ETag"]
    with Connection(sidecar) as connection:
        connection.get(f"/v1/watch/{scope}?wait=50", f"If-None-Match: {etag}")
        sidecar.claim(scope, "cautious", reason="hm")
        answer = connection.receive()
        assert answer.status == 200
        assert b'"cautious"' in answer.body


def test_a_version_is_never_used_twice(sidecar: Sidecar, scope: str) -> None:
    versions = []
    for _ in range(5):
        versions.append(sidecar.pause(scope)["version"])
        versions.append(sidecar.resume(scope)["version"])
    assert versions == sorted(set(versions))


def test_a_command_without_effect_wakes_no_watch(sidecar: Sidecar, scope: str) -> None:
    sidecar.claim(scope, "cautious")
    etag = watch(sidecar, scope).headers["ETag"]
    sidecar.claim(scope, "cautious", ttl_secs=500)
    assert watch(sidecar, scope, etag, wait=0).status_code == 304


def test_a_newly_created_scope_wakes_its_watch(sidecar: Sidecar, scope: str) -> None:
    etag = watch(sidecar, f"{scope}/child").headers["ETag"]
    with Connection(sidecar) as connection:
        connection.get(f"/v1/watch/{scope}/child?wait=50", f"If-None-Match: {etag}")
        connection.get("/v1/gate")
        sidecar.pause(f"{scope}/child", "named now")
        assert b'"named now"' in connection.receive().body
        assert connection.receive().status == 200
