"""Checks the files that a config names: that they exist, can be read, and have the right content.

The last word of a key determines the kind of its file, so a new key is checked like the others:

==================================  ==============================================================
key                                 what it names
==================================  ==============================================================
``…token_file``, ``…password_file``  a text file with a secret
``…url_file``                       a text file with a URL that is a secret
``…ca_file``                        PEM certificates
``cert_file`` with ``key_file``     a PEM certificate and its key
``store.url``                       an SQLite file, which may not exist yet, in a writable folder
``listen``                          a Unix socket, which may not exist yet, in a writable folder
==================================  ==============================================================
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from .source import Value
from .values import StoreConfig
from .values_access import MIN_TOKEN_LENGTH

_SECRETS = ("token_file", "password_file", "url_file")
_SQLITE = "sqlite:"
_SQLITE_MAGIC = b"SQLite format 3\0"
_MAX_SECRET_BYTES = 65_536


def file_problems(
    root: Value, environ: Mapping[str, str], sections: Container[str] | None = None
) -> list[str]:
    """Problems of the files that ``root`` names: location, key, file, and remedy.

    Args:
        root: the config with its locations.
        environ: the environment variables that ``token_env`` names.
        sections: check only these top-level keys; None: check all keys, and the default store.
    """
    keys = root.value if isinstance(root.value, dict) else {}
    wanted = {name: value for name, value in keys.items() if sections is None or name in sections}
    found = _walk(Value(wanted, root.location), "", environ)
    problems = [f"{location}: {key}: {problem}" for location, key, problem in found]
    if sections is None and "store" not in keys:
        problem = store_problem(StoreConfig().url)
        problems += [f"the default: store.url: {problem}"] if problem else []
    return problems


def store_problem(url: str) -> str | None:
    """Why the store at ``url`` cannot be opened, and the remedy; None: no problem was found."""
    if not url.startswith(_SQLITE):
        return None
    path = Path(url.removeprefix(_SQLITE))
    try:
        why = _why_not_opened(path, path.parent)
    except (OSError, ValueError) as error:
        why = f"{_why(error)}: name another file"
    return f"{path} cannot be opened: {why}" if why else None


def _why_not_opened(path: Path, folder: Path) -> str | None:
    if not folder.is_dir():
        return f"the folder {folder} does not exist: make it, or name another file"
    if path.is_dir():
        return f"it is a folder: name a file in it, as sqlite:{path / 'wellbeing.db'}"
    if not os.access(folder, os.W_OK | os.X_OK) or _is_read_only(folder):
        return f"the folder {folder} is not writable: make it writable, or name another file"
    if not path.exists():
        return None
    if not path.is_file():
        return "it is not a regular file: name another file"
    if not os.access(path, os.R_OK | os.W_OK):
        return "this user may not read and write it: change its permissions, or name another file"
    return None


def _database_problem(url: str) -> str | None:
    if not url.startswith(_SQLITE):
        return None
    path = Path(url.removeprefix(_SQLITE))
    if not path.exists():
        return None
    with path.open("rb") as file:
        head = file.read(len(_SQLITE_MAGIC))
    is_database = head in (b"", _SQLITE_MAGIC)
    return None if is_database else f"{path} is not an SQLite database: name another file"


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _walk(value: Value, path: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Location, key and problem of each file that ``value`` or a nested value names."""
    if isinstance(value.value, list):
        for index, one in enumerate(value.value):
            yield from _walk(one, f"{path}[{index}]", environ)
        return
    if not isinstance(value.value, dict):
        if path.startswith("listen"):
            yield from _named(value, path, "listen", environ)
        return
    keys = value.value
    for name, one in keys.items():
        key = f"{path}.{name}" if path else name
        if isinstance(one.value, dict | list):
            yield from _walk(one, key, environ)
        else:
            yield from _named(one, key, "listen" if key == "listen" else name, environ)
    yield from _pair(keys, path)


def _named(value: Value, key: str, name: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    text = value.value
    if not isinstance(text, str) or not text:
        return
    is_credential = key.startswith("auth.")
    if name.endswith(_SECRETS):
        problem = _secret_problem(text, MIN_TOKEN_LENGTH if is_credential else 1)
    elif name.endswith("ca_file"):
        problem = _ca_problem(text)
    elif name == "token_env" and is_credential:
        problem = _variable_problem(text, environ)
    elif key == "store.url":
        problem = store_problem(text) or _database_problem(text)
    elif name in ("listen", "address") and text.startswith("unix:/"):
        problem = _socket_problem(text)
    else:
        return
    if problem:
        yield value.location, key, problem


def _pair(keys: Mapping[str, Value], path: str) -> Iterator[tuple[str, str, str]]:
    """Check a certificate and its key together. Without ``key_file`` the certificate file has the key."""
    files: dict[str, str] = {}
    for name in ("cert_file", "key_file"):
        value = keys.get(name)
        if value is None or not isinstance(value.value, str) or not value.value:
            continue
        problem = _unreadable(value.value)
        if problem:
            yield value.location, f"{path}.{name}", problem
            return
        files[name] = value.value
    if "cert_file" in files:
        problem = _pair_problem(files["cert_file"], files.get("key_file"))
        if problem:
            yield keys["cert_file"].location, f"{path}.cert_file", problem


def _unreadable(path: str) -> str | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as the program itself opens it
            file.read(1)
    except (OSError, ValueError) as error:
        return f"{path} cannot be read: {_why(error)}"
    return None


def _secret_problem(path: str, least: int) -> str | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a device or pipe must not be read to its end
            data = file.read(_MAX_SECRET_BYTES + 1)
        secret = data.decode().strip()
    except UnicodeDecodeError:
        return f"{path} is not text: it must contain the secret and nothing else"
    except (OSError, ValueError) as error:
        return f"{path} cannot be read: {_why(error)}"
    if len(data) > _MAX_SECRET_BYTES:
        return f"{path} is longer than {_MAX_SECRET_BYTES} bytes: it must contain the secret and nothing else"
    if not secret:
        return f"{path} is empty: it must contain the secret"
    if not secret.isprintable():
        return f"{path} has several lines or control characters: it must contain the secret and nothing else"
    return _too_short(secret, path, least)


def _variable_problem(name: str, environ: Mapping[str, str]) -> str | None:
    secret = environ.get(name, "").strip()
    if not secret:
        return f"the variable {name} is not set"
    return _too_short(secret, f"${name}", MIN_TOKEN_LENGTH)


def _too_short(secret: str, where: str, least: int) -> str | None:
    if len(secret) >= least:
        return None
    return f"the token in {where} is shorter than {least} characters: `wellbeing-sidecar token` makes one"


def _ca_problem(path: str) -> str | None:
    import ssl  # noqa: PLC0415 - most configs name no certificates

    problem = _unreadable(path)
    if problem:
        return problem
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError) as error:
        return f"{path} has no PEM certificates: {_why(error)}"
    return None


def _pair_problem(cert_file: str, key_file: str | None) -> str | None:
    import ssl  # noqa: PLC0415 - the same

    def no_password() -> str:
        raise ValueError("the key is encrypted: remove its password")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file, no_password)
    except (OSError, ValueError) as error:
        names = f"{cert_file} and {key_file} are" if key_file else f"{cert_file} is"
        return f"{names} not a PEM certificate with its key: {_why(error)}"
    return None


def _socket_problem(address: str) -> str | None:
    path = Path(address.removeprefix("unix:"))
    folder = path.parent
    try:
        if not folder.is_dir():
            return f"the folder {folder} of the socket does not exist: create it, or use another path"
        if not os.access(folder, os.W_OK | os.X_OK) or _is_read_only(folder):
            return f"the folder {folder} of the socket is not writable: make it writable, or use another path"
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            return f"{path} exists and is not a socket: remove it, or use another path"
    except (OSError, ValueError) as error:
        return f"{path} cannot be used: {_why(error)}"
    return None


def _why(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    reason = getattr(error, "reason", None)
    if isinstance(reason, str) and reason.isupper():
        # From ssl, for example KEY_VALUES_MISMATCH.
        return reason.lower().replace("_", " ")
    return str(strerror or error)
