"""Maps the status of a sidecar's response to an error."""

from __future__ import annotations

from .connection import SidecarResponse
from .errors import Misconfigured, Unreachable

_TRY_AGAIN = (408, 425, 429)
_REMEDIES = {
    400: "check scope and url",
    401: "check token, token_file or cert_file",
    403: "the credential does not allow this for this scope",
    404: "check url and scope",
}


def check_status(response: SidecarResponse, wanted: tuple[int, ...]) -> None:
    """Check that a response has a wanted status.

    Raises:
        Misconfigured: the status is a redirect or a refusal. A retry will not help.
        Unreachable: it is another status. A retry may help.
    """
    status = response.status
    if status in wanted:
        return
    text = f"the sidecar answered {status}" + (f": {response.detail[:500]}" if response.detail else "")
    if 300 <= status < 500 and status not in _TRY_AGAIN:  # noqa: PLR2004 - redirects and refusals
        raise Misconfigured(f"{text} ({_REMEDIES.get(status, 'check url')})")
    raise Unreachable(text)
