"""The memory of the guard is limited, and access follows the credentials."""

from __future__ import annotations

import asyncio
import gc

import pytest

from sidecar.auth import Keyring
from sidecar.config import CredentialConfig, Listener
from sidecar.web import guard as guards
from sidecar.web.guard import Guard
from sidecar.web.problems import Problem

LISTENER = Listener("127.0.0.1:1")


def keyring(*names: str) -> Keyring:
    return Keyring([CredentialConfig(name=name, roles=("worker",), certificate=name) for name in names], {})


def test_the_access_of_a_certificate_ends_with_its_connection() -> None:
    guard = Guard(keyring("a", "b"), 10, [LISTENER])
    held = guard.access(LISTENER, ("a",))
    for _ in range(100):
        guard.access(LISTENER, ("b",))
        guard.access(LISTENER, ("unknown",))
    gc.collect()
    assert len(guard._certified) == 1
    assert guard.access(LISTENER, ("a",)) is held
    guard.configure(keyring("b"), 10, [LISTENER])
    assert not held.identity.roles, "its credential is gone"


@pytest.mark.parametrize(
    ("before", "after", "roles"),
    [
        (("worker",), ("agent",), {"agent"}),
        (("worker",), None, set()),
        (None, ("worker",), {"worker"}),
    ],
)
def test_access_follows_the_roles_of_its_listener(before, after, roles) -> None:
    listener = Listener("127.0.0.1:1", roles=before)
    guard = Guard(keyring("a"), 10, [listener])
    access = guard.access(listener)
    guard.configure(keyring("a"), 10, [Listener("127.0.0.1:1", roles=after)])
    assert access.identity.roles == roles


def test_a_listener_that_left_the_config_gives_no_roles() -> None:
    listener = Listener("127.0.0.1:1", roles=("worker",))
    guard = Guard(keyring("a"), 10, [listener])
    access = guard.access(listener)
    guard.configure(keyring("a"), 10, [])
    assert not access.identity.roles


def test_many_peers_do_not_evict_the_failures_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "_MAX_PEERS", 10)

    async def run() -> None:
        guard = Guard(
            Keyring([CredentialConfig(name="t", roles=("worker",), token_sha256="0" * 64)], {}), 3, [LISTENER]
        )
        access = guard.access(LISTENER)

        async def guess(peer: str) -> str:
            with pytest.raises(Problem) as caught:
                await guard.admit(access, b"Bearer a-guess", "/v1/gate", "", peer)
            return caught.value.name

        for number in range(100):
            await guess(f"10.0.0.{number}")
            await guess("10.1.1.1")
        assert len(guard._failures) == 10
        assert await guess("10.1.1.1") == "too-many-attempts"

    asyncio.run(run())
