"""The names of agents that the sidecar accepts as sources of claims."""

from __future__ import annotations

import re

MAX_LENGTH = 128
_NAME = re.compile(rf"[A-Za-z0-9._:~/@+-]{{1,{MAX_LENGTH}}}", re.ASCII)
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._:~/@+-]", re.ASCII)
_DIGEST_LENGTH = 8
_KEPT = MAX_LENGTH - _DIGEST_LENGTH - 1


def require_agent_name(name: object) -> str:
    """Check that the sidecar accepts ``name``, and return it.

    Raises:
        ValueError: the sidecar does not accept it.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"name: must be 1 to {MAX_LENGTH} of A-Z a-z 0-9 . _ : ~ / @ + -, got {name!a:.100}")
    return name


def to_agent_name(text: str) -> str:
    """Convert ``text`` to a name that the sidecar accepts. A valid name is returned unchanged.

    Otherwise each character that is not allowed becomes ``_``, a long text is cut, and ``~`` with 8 hex
    digits of the text's SHA-256 is appended, so that different texts give different names.
    """
    if _NAME.fullmatch(text):
        return text
    import hashlib  # noqa: PLC0415 - most programs never need it

    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{_NOT_ALLOWED.sub('_', text[:_KEPT])}~{digest}"
