"""Token files that change, and what a client that was admitted may still do."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from sidecar.auth import CredentialsError, Keyring
from sidecar.auth import keyring as keyrings
from sidecar.auth.keyring import GRACE_SECS
from sidecar.config import CredentialConfig

ONE = "the-token-of-number-one"
TWO = "the-token-of-number-two"
NEW = "the-new-token-of-number-one"


def credential(name: str, path: Path, **more) -> CredentialConfig:
    return CredentialConfig(name=name, token_file=str(path), **{"roles": ("worker",), **more})


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(ONE)
    two.write_text(TWO)
    return one, two


@pytest.fixture
def keyring(files: tuple[Path, Path]) -> Keyring:
    return Keyring([credential("one", files[0]), credential("two", files[1])], {})


def name_of(keyring: Keyring, token: str) -> str | None:
    found = keyring.identify_fast(f"Bearer {token}".encode())
    return found.name if found else None


@pytest.mark.parametrize("content", [None, "short", TWO])
def test_a_token_whose_file_became_unusable_stays_valid_for_a_while(
    keyring: Keyring, files: tuple[Path, Path], content: str | None
) -> None:
    files[0].unlink() if content is None else files[0].write_text(content)
    assert not keyring.refresh(100.0)
    assert (name_of(keyring, ONE), name_of(keyring, TWO)) == ("one", "two")
    admitted = keyring.identify_fast(f"Bearer {ONE}".encode())
    assert keyring.refresh(100.0 + GRACE_SECS)
    assert (name_of(keyring, ONE), name_of(keyring, TWO)) == (None, "two")
    assert keyring.current(admitted) is None
    files[0].write_text(NEW)
    assert keyring.refresh(200.0)
    assert name_of(keyring, NEW) == "one"
    assert keyring.current(admitted) is None


def test_an_unusable_file_does_not_prevent_the_others_from_being_read(
    keyring: Keyring, files: tuple[Path, Path]
) -> None:
    files[0].unlink()
    files[1].write_text(NEW)
    assert keyring.refresh(100.0)
    assert (name_of(keyring, ONE), name_of(keyring, TWO), name_of(keyring, NEW)) == ("one", None, "two")


def test_granted_access_follows_the_current_credential(files: tuple[Path, Path], keyring: Keyring) -> None:
    admitted = keyring.identify_fast(f"Bearer {ONE}".encode())
    narrowed = Keyring([credential("one", files[0], scope="a")], {}, keyring)
    assert narrowed.current(admitted).scope == "a"
    renamed = Keyring([credential("other", files[0])], {}, keyring)
    assert renamed.current(admitted) is None


def test_two_credentials_with_the_same_token_are_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(CredentialsError, match="the same token"):
        Keyring([credential("one", files[0]), credential("two", files[0])], {})


def test_a_checked_password_is_not_checked_again_after_a_reload() -> None:
    hashed = "$2b$05$X2IZNe6l9tajlXmcpB2YDe5RkSO3OAMCDTG9tUuhMkXOOaGnE7F7y"
    one = CredentialConfig(name="p", roles=("worker",), username="sidecar", password_bcrypt=hashed)
    header = b"Basic c2lkZWNhcjpvcGVuIHNlc2FtZQ=="
    keyring = Keyring([one], {})
    assert keyring.identify(header) is not None
    assert Keyring([one], {}, keyring).identify_fast(header) is not None
    other = CredentialConfig(
        name="p", roles=("worker",), username="sidecar", password_bcrypt=hashed[:-1] + "u"
    )
    assert Keyring([other], {}, keyring).identify_fast(header) is None


def test_secrets_are_not_in_the_representation(keyring: Keyring) -> None:
    assert "proof" not in repr(keyring.identify_fast(f"Bearer {ONE}".encode()))


def test_an_unknown_user_takes_as_long_to_check_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = []
    monkeypatch.setattr(keyrings, "_is_password", lambda _, hashed: costs.append(hashed[:7]) or True)
    rest = "X2IZNe6l9tajlXmcpB2YDe5RkSO3OAMCDTG9tUuhMkXOOaGnE7F7y"
    fast, slow = (
        CredentialConfig(name=name, roles=("worker",), username=name, password_bcrypt=f"$2b${cost}${rest}")
        for name, cost in (("fast", "04"), ("slow", "12"))
    )
    keyring = Keyring([slow, fast], {})
    assert keyring.identify(b"Basic " + base64.b64encode(b"slow:secret")).name == "slow"
    assert keyring.identify(b"Basic " + base64.b64encode(b"nobody:secret")) is None
    assert costs == [b"$2b$12$", b"$2b$12$"]
