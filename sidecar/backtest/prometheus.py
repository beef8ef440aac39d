"""Queries a Prometheus, or a compatible server, over its HTTP API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sidecar.core.errors import short_repr
from sidecar.http_json import HttpAccess, HttpRequestFailed, request_json
from sidecar.unreachable import ServerOptions, why_unreachable, without_credentials

from .chunks import ChunkSize
from .errors import AnswerTooLarge, BacktestError

_OPTIONS = ServerOptions(url="--prometheus", ca_file="--ca-file")
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_TIMEOUT_SECS = 130.0
"""Above Prometheus' own limit for a query, ``--query.timeout``, 2 min by default."""
_OK = 200
_BAD_REQUEST = 400
_REFUSED = (401, 403)
_REDIRECTS = range(300, 400)
_MAX_ERROR_LENGTH = 300

Series = tuple[dict[str, str], list[list[Any]]]
"""A series: its labels, and pairs of time (in seconds) and value."""


class QueryRefused(BacktestError):
    """Prometheus refused a query; the message is Prometheus' own."""


@dataclass(frozen=True, slots=True)
class PrometheusApi:
    """The HTTP API of a Prometheus.

    Attributes:
        url: the URL of Prometheus, with its path prefix, if any.
        access: credentials and TLS files.
        request: sends the requests; tests replace it.
    """

    url: str
    access: HttpAccess = field(default_factory=HttpAccess)
    request: Callable[..., tuple[int, Any]] = request_json

    @property
    def name(self) -> str:
        """The URL without credentials, for messages."""
        return without_credentials(self.url)

    def get(self, path: str, params: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Send a request, and return the member ``data`` of the response.

        Args:
            path: the path below ``/api/v1/``.
            params: the query parameters.

        Raises:
            QueryRefused: Prometheus refuses the parameters.
            AnswerTooLarge: the query takes too long, or its result is too large.
            BacktestError: there was no answer, or it is not Prometheus' answer.
        """
        try:
            status, answer = self.request(
                "GET",
                f"{self.url.rstrip('/')}/api/v1/{path}",
                self.access,
                timeout=_TIMEOUT_SECS,
                max_bytes=_MAX_ANSWER_BYTES,
                params=params or {},
            )
        except HttpRequestFailed as error:
            if "more than" in str(error):
                raise AnswerTooLarge(f"{self.name}: {error}") from None
            raise BacktestError(why_unreachable(self.name, error, _TIMEOUT_SECS, _OPTIONS)) from None
        if not isinstance(answer, dict) or answer.get("status") not in ("success", "error"):
            raise BacktestError(self._not_prometheus(status))
        if answer["status"] == "error":
            self._refuse(status, answer)
        if status != _OK or "data" not in answer:
            raise BacktestError(self._not_prometheus(status))
        return answer["data"]

    def _refuse(self, status: int, answer: dict[str, Any]) -> None:
        said = short_repr(str(answer.get("error", "")))[1:-1][:_MAX_ERROR_LENGTH]
        kind = answer.get("errorType")
        if status in _REFUSED:
            raise BacktestError(self._not_prometheus(status))
        if kind == "timeout" or (kind == "execution" and "too many samples" in said):
            raise AnswerTooLarge(f"{self.name} cannot answer a query: {said}")
        raise QueryRefused(said)

    def _not_prometheus(self, status: int) -> str:
        if status in _REFUSED:
            given = (
                "does not accept the credentials that were given"
                if self._has_credentials
                else "wants credentials"
            )
            return (
                f"{self.name} {given} ({status}): "
                "give a bearer token by --token-file, or --username and --password-file"
            )
        if status in _REDIRECTS:
            return f"{self.name} answered {status}, a redirect: give the address that it leads to"
        # The answer of a Go server to a request without TLS.
        hint = " (does it want https://?)" if status == _BAD_REQUEST and self.url.startswith("http:") else ""
        return (
            f"{self.name} answered {status}, but not as a Prometheus does{hint}: "
            "check --prometheus, its port and its path prefix"
        )

    @property
    def _has_credentials(self) -> bool:
        access = self.access
        return bool(access.username or access.bearer_token or access.bearer_token_file or "@" in self.url)


def query_range(
    api: PrometheusApi, expression: str, start: int, end: int, step: int, *, answered: Callable[[int], None]
) -> Iterator[list[Series]]:
    """The series of ``expression``, chunk by chunk of the range.

    Args:
        api: the API of the Prometheus.
        expression: the PromQL expression.
        start: the first grid point, milliseconds since the epoch.
        end: the end of the range; no grid point is later.
        step: milliseconds between two grid points.
        answered: called after each chunk with the number of its points.

    Raises:
        QueryRefused: the expression is wrong.
        BacktestError: there was no answer.
    """
    size = ChunkSize()
    while start <= end:
        points = min(size.points, (end - start) // step + 1)
        last = start + (points - 1) * step
        params = {"query": expression, "start": _secs(start), "end": _secs(last), "step": _secs(step)}
        try:
            data = api.get("query_range", params)
        except AnswerTooLarge:
            if size.refused():
                continue
            raise
        series = _matrix(data, api)
        size.answered(points, sum(len(values) for _, values in series))
        yield series
        answered(points)
        start = last + step


def _secs(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03}"


def _matrix(data: Any, api: PrometheusApi) -> list[Series]:  # noqa: ANN401 - JSON
    try:
        if data["resultType"] != "matrix":
            raise QueryRefused(f"the result is a {data['resultType']}, not a vector")
        return [(one["metric"], one.get("values", [])) for one in data["result"]]
    except (KeyError, TypeError):
        raise BacktestError(f"{api.name} did not answer a query as a Prometheus does") from None
