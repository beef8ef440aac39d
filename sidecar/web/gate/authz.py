"""The path of an authorization request: ``/v1/authz[/deny_status=STATUS][/SCOPE][/-/ANYTHING]``.

Some proxies ask for authorization by repeating their client's method, path and query after a fixed prefix.
The operator writes the prefix, which ends with the segment ``-``. The rest of the path, the query and the
method come from the client and are ignored.
"""

from __future__ import annotations

AUTHZ = "/v1/authz"

_END = "/-/"
_DENY_STATUS = "deny_status="


def split_authz(path: str) -> tuple[str, str | None]:
    """The scope and the ``deny_status`` that the operator's part of ``path`` names, as text.

    Neither is validated. The status is None if the path has none.
    """
    asked = path[len(AUTHZ) :]
    operators, found, _ = f"{asked}/".partition(_END)
    if not found:
        operators = asked
    scope = operators.removeprefix("/")
    if not scope.startswith(_DENY_STATUS):
        return scope, None
    status, _, scope = scope.removeprefix(_DENY_STATUS).partition("/")
    return scope, status
