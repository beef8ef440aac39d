"""The memory of the guard is limited, and access follows the credentials."""

from __future__ import annotations

import asyncio
import base64
import gc

import pytest

from sidecar.auth import Keyring
from sidecar.auth import keyring as keyrings
from sidecar.config import CredentialConfig, Listener
from sidecar.web import failure_limit
from sidecar.web.guard import Guard
from sidecar.web.problems import Problem

LISTENER = Listener("127.0.0.1:1")
OPEN_SESAME = "$2b$05$X2IZNe6l9tajlXmcpB2YDe5RkSO3OAMCDTG9tUuhMkXOOaGnE7F7y"


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


def test_a_listener_that_was_removed_from_the_config_gives_no_roles() -> None:
    listener = Listener("127.0.0.1:1", roles=("worker",))
    guard = Guard(keyring("a"), 10, [listener])
    access = guard.access(listener)
    guard.configure(keyring("a"), 10, [])
    assert not access.identity.roles


def test_many_peers_do_not_evict_the_failures_of_another_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_limit, "_MAX_PEERS", 10)

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
        assert len(guard.failure_limit._failures) == 10
        assert await guess("10.1.1.1") == "too-many-attempts"

    asyncio.run(run())


def password_guard(max_failures: int) -> Guard:
    one = CredentialConfig(name="p", roles=("worker",), username="u", password_bcrypt=OPEN_SESAME)
    return Guard(Keyring([one], {}), max_failures, [LISTENER])


async def sign_in(guard: Guard, password: str, peer: str) -> str:
    """The name of the credential, or of the problem."""
    basic = b"Basic " + base64.b64encode(f"u:{password}".encode())
    try:
        return (await guard.admit(guard.access(LISTENER), basic, "/v1/gate", "", peer)).name
    except Problem as problem:
        return problem.name


def test_guesses_that_are_sent_together_pass_the_limit_one_by_one() -> None:
    async def run() -> list[str]:
        guard = password_guard(3)
        guesses = [f"guess {number}" for number in range(8)]
        results = await asyncio.gather(
            *(sign_in(guard, one, "10.0.0.1") for one in [*guesses, "open sesame"])
        )
        guard.stop()
        return results

    assert asyncio.run(run()) == ["unauthorized"] * 3 + ["too-many-attempts"] * 6


def test_many_guesses_of_one_address_do_not_delay_another_address() -> None:
    async def run() -> list[str]:
        guard, done = password_guard(1_000), []

        async def attempt(password: str, peer: str) -> None:
            done.append(f"{await sign_in(guard, password, peer)} {peer}")

        guesses = [attempt(f"guess {number}", "10.0.0.1") for number in range(20)]
        await asyncio.gather(*guesses, attempt("open sesame", "10.0.0.2"))
        guard.stop()
        return done

    assert asyncio.run(run()).index("p 10.0.0.2") <= 2


def test_requests_with_the_same_new_password_share_one_check(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    is_password = keyrings._is_password
    monkeypatch.setattr(keyrings, "_is_password", lambda *given: checked.append(given) or is_password(*given))

    async def run() -> list[str]:
        guard = password_guard(1)
        results = await asyncio.gather(*(sign_in(guard, "open sesame", "10.0.0.1") for _ in range(6)))
        guard.stop()
        return results

    assert asyncio.run(run()) == ["p"] * 6
    assert len(checked) == 1


@pytest.mark.parametrize(
    ("peers", "count_as_one"),
    [
        (("2001:db8::1", "2001:db8::ffff:1:2:3"), True),
        (("2001:db8::1", "2001:db8:0:1::1"), False),
        (("::ffff:10.0.0.1", "10.0.0.1"), True),
        (("::ffff:10.0.0.1", "::ffff:10.0.0.2"), False),
        (("fe80::1%eth0", "fe80::2%eth0"), True),
        (("10.0.0.1", "10.0.0.2"), False),
        (("unix socket", "unix socket"), True),
    ],
)
def test_the_addresses_of_one_ipv6_network_count_as_one(peers: tuple[str, str], count_as_one: bool) -> None:
    async def run() -> list[str]:
        guard = password_guard(1)
        results = [await sign_in(guard, "a guess", peer) for peer in peers]
        guard.stop()
        return results

    assert asyncio.run(run()) == ["unauthorized", "too-many-attempts" if count_as_one else "unauthorized"]
