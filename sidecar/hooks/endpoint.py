"""Sends the requests of one hook. All calls block."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from sidecar.clock import Clock
from sidecar.config import HookConfig, is_endpoint
from sidecar.http_json import (
    HttpAccess,
    HttpReply,
    HttpRequestFailed,
    read_secret,
    send_request,
    token_for_header,
)

_MAX_REPLY_BYTES = 1_048_576
_SHOWN_CHARACTERS = 200
_SUCCESS = range(200, 300)
_REDIRECTS = range(300, 400)
_REFUSED_BODY = (400, 413, 415, 422)
_CAUSE = re.compile(r"Caused by \w+\((.*)\)\)?$", re.DOTALL)
_POOL = re.compile(r"^[\"']?\w+\((?:host=)?'[^']*', port=\d+\): ")


class DeliveryFailed(Exception):
    """The endpoint did not accept an event. The message contains neither the URL nor a secret.

    Attributes:
        is_refused: the endpoint refuses the content, so another attempt is unlikely to succeed.
        retry_after: seconds that the endpoint asks to wait before a retry; 0: it does not say.
        status: HTTP status of the response; 0: there was none.
    """

    def __init__(
        self, message: str, *, is_refused: bool = False, retry_after: float = 0.0, status: int = 0
    ) -> None:
        super().__init__(message)
        self.status = status
        self.is_refused = is_refused
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A request to the endpoint of a hook.

    Attributes:
        body: the body; None: no body.
        content_type: its content type.
        method: HTTP method.
        path: appended to the URL.
        params: query parameters.
    """

    body: bytes | None
    content_type: str = "application/json"
    method: str = "POST"
    path: str = ""
    params: Mapping[str, str | list[str]] | None = None


class Endpoint:
    """The endpoint of one hook. Only the config decides where a request goes, never an event or a redirect.

    Args:
        config: the config of the hook.
        clock: the clock, for a ``Retry-After`` with a date.
    """

    def __init__(self, config: HookConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock

    def send(self, request: HookRequest) -> HttpReply:
        """Send ``request``; return a successful response.

        Raises:
            DeliveryFailed: there was no response, or its status is not 2xx.
        """
        config = self._config
        url = ""
        try:
            url = self._url()
            reply = send_request(
                request.method,
                url.rstrip("/") + request.path if request.path else url,
                HttpAccess.of(config),
                timeout=config.timeout_secs,
                max_bytes=_MAX_REPLY_BYTES,
                params=request.params,
                data=request.body,
                headers=self._headers(request),
                proxy_url=config.proxy_url,
            )
        except HttpRequestFailed as error:
            raise DeliveryFailed(_without_url(str(error), url)) from None
        if reply.status not in _SUCCESS:
            raise _failure(reply, self._clock.now())
        return reply

    def _url(self) -> str:
        if not self._config.url_file:
            return self._config.url
        url = read_secret("URL", self._config.url_file)
        if not is_endpoint(url):
            raise DeliveryFailed(f"the file with the URL, {self._config.url_file!r}, contains no valid URL")
        return url

    def _headers(self, request: HookRequest) -> dict[str, str]:
        config = self._config
        headers = {"User-Agent": "wellbeing-sidecar", **config.headers}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        if config.token_file:
            token = read_secret("token", config.token_file)
            if config.token_header.lower() == "authorization":
                token = f"Bearer {token_for_header(token)}"
            elif not (token.isascii() and token.isprintable()):
                raise DeliveryFailed("the token has characters that are not allowed in a header")
            headers[config.token_header] = token
        return headers


def _without_url(text: str, url: str) -> str:
    """``text`` without the URL, whose path may be a secret, and with the cause only."""
    cause = _CAUSE.search(text)
    text = _POOL.sub("", cause[1] if cause else text).rstrip("\"')")
    parts = urlsplit(url)
    for secret in (url, f"{parts.path}?{parts.query}", parts.path, parts.query):
        if len(secret) > 1:
            text = text.replace(secret, "…")
    return text[:_SHOWN_CHARACTERS]


def _failure(reply: HttpReply, now: float) -> DeliveryFailed:
    if reply.status in _REDIRECTS:
        message = f"the endpoint answered {reply.status}: redirects are not followed"
        return DeliveryFailed(message, status=reply.status)
    answer = reply.body[:_SHOWN_CHARACTERS].decode("utf-8", "replace").strip()
    said = f": {ascii(answer)[1:-1]}" if answer else ""
    return DeliveryFailed(
        f"the endpoint answered {reply.status}{said}",
        is_refused=reply.status in _REFUSED_BODY,
        retry_after=_retry_after(reply.headers.get("retry-after", ""), now),
        status=reply.status,
    )


def _retry_after(value: str, now: float) -> float:
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0
