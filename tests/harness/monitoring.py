"""A real Prometheus, a real Alertmanager, and a target whose metric the test sets."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
import yaml

from .get_server import GetServer
from .ports import free_port
from .process import Process, eventually, program


class Target(GetServer):
    """Exposes one gauge, ``engine_distress``."""

    def __init__(self) -> None:
        super().__init__()
        self.value = 0.0

    def respond(self, *_: object) -> tuple[int, bytes]:
        return 200, f"# TYPE engine_distress gauge\nengine_distress {self.value}\n".encode()


class Monitor(Process):
    """The common part of Prometheus and Alertmanager.

    Args:
        name: name of the program.
        config: its config.
        extra: more options of its command line.
        rules: rule groups for ``rules.yml``; None: no such file.
        secured: folder with ``cert.pem`` and ``key.pem``; use TLS, a user and a password.
    """

    USER, PASSWORD = "sidecar", "open sesame"
    _PASSWORD_HASH = "$2b$05$X2IZNe6l9tajlXmcpB2YDe5RkSO3OAMCDTG9tUuhMkXOOaGnE7F7y"

    def __init__(
        self,
        name: str,
        config: dict[str, Any],
        extra: list[str],
        *,
        rules: list[dict[str, Any]] | None = None,
        secured: Path | None = None,
    ) -> None:
        self._secured = secured
        self._dir = tempfile.TemporaryDirectory(prefix=f"{name}-")
        folder = Path(self._dir.name)
        (folder / "config.yml").write_text(yaml.safe_dump(config))
        if rules is not None:
            (folder / "rules.yml").write_text(yaml.safe_dump({"groups": rules}))
        self.address = f"127.0.0.1:{free_port()}"
        command = [program(name), "--config.file=config.yml", f"--web.listen-address={self.address}", *extra]
        if secured:
            web = {
                "tls_server_config": {
                    "cert_file": str(secured / "cert.pem"),
                    "key_file": str(secured / "key.pem"),
                },
                "basic_auth_users": {self.USER: self._PASSWORD_HASH},
            }
            (folder / "web.yml").write_text(yaml.safe_dump(web))
            command.append("--web.config.file=web.yml")
        super().__init__([*command, f"--web.external-url=http://{self.address}"], folder)
        self.url = f"{'https' if secured else 'http'}://{self.address}"

    def __enter__(self) -> Any:
        try:
            eventually(self._ready, f"{self.url} is ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def restart(self) -> None:
        """Start the stopped program again, with its data and its address."""
        self.start()
        eventually(self._ready, f"{self.url} is ready")

    def _ready(self) -> bool:
        self.alive()
        try:
            with self.session() as session:
                return session.get(f"{self.url}/-/ready", timeout=30).ok
        except requests.ConnectionError:
            return False

    def session(self) -> requests.Session:
        """A session for requests to the program."""
        session = requests.Session()
        if self._secured:
            session.trust_env = False  # $REQUESTS_CA_BUNDLE would override verify
            session.auth = (self.USER, self.PASSWORD)
            session.verify = str(self._secured / "cert.pem")
        return session

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._dir.cleanup()


class Alertmanager(Monitor):
    """An Alertmanager that sends every alert to one webhook, at once.

    Args:
        webhook: URL of the webhook.
        receiver: name of the receiver.
        route: settings that override those of the route.
        settings: settings of the webhook.
        secured: folder with ``cert.pem`` and ``key.pem``; use TLS, a user and a password.
        config: a complete config; overrides all other arguments except ``secured`` and ``cluster``.
        cluster: command line options of its cluster; None: it has none.
    """

    def __init__(
        self,
        webhook: str,
        *,
        receiver: str = "sidecar",
        route: dict[str, Any] | None = None,
        secured: Path | None = None,
        config: dict[str, Any] | None = None,
        cluster: list[str] | None = None,
        **settings: Any,
    ) -> None:
        config = config or {
            "route": {
                "receiver": receiver,
                "group_by": ["alertname"],
                "group_wait": "0s",
                "group_interval": "1s",
                "repeat_interval": "1h",
                **(route or {}),
            },
            "receivers": [
                {"name": receiver, "webhook_configs": [{"url": webhook, "send_resolved": True, **settings}]}
            ],
        }
        extra = ["--storage.path=data", *(cluster or ["--cluster.listen-address="])]
        self._began: dict[tuple[object, ...], datetime] = {}
        super().__init__("prometheus-alertmanager", config, extra, secured=secured)

    def fire(self, name: str, *, ends_in: float = 3600, **labels: str) -> None:
        """Send a firing alert as Prometheus does. It expires after ``ends_in`` seconds."""
        now = datetime.now(UTC)
        key = (name, *sorted(labels.items()))
        self._post(name, labels, now + timedelta(seconds=ends_in), self._began.setdefault(key, now))

    def fire_without_start(self, name: str, **labels: str) -> None:
        """Send a firing alert with an end but without a start, as manual requests often do."""
        self._post(name, labels, datetime.now(UTC) + timedelta(hours=1))

    def resolve(self, name: str, **labels: str) -> None:
        """Send a resolved alert."""
        began = self._began.pop((name, *sorted(labels.items())), None)
        self._post(name, labels, datetime.now(UTC), began)

    def _post(
        self, name: str, labels: dict[str, str], ends_at: datetime, began: datetime | None = None
    ) -> None:
        alert = {
            "labels": {"alertname": name, **labels},
            "annotations": {"summary": f"{name} fires"},
            "endsAt": ends_at.isoformat(),
            **({"startsAt": began.isoformat()} if began else {}),
        }
        answer = self.session().post(f"{self.url}/api/v2/alerts", json=[alert], timeout=60)
        assert answer.ok, answer.text

    def silence(self, name: str) -> None:
        """Silence all alerts of this name for an hour."""
        now = datetime.now(UTC)
        silence = {
            "matchers": [{"name": "alertname", "value": name, "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "a test",
            "comment": "a test",
        }
        answer = self.session().post(f"{self.url}/api/v2/silences", json=silence, timeout=60)
        assert answer.ok, answer.text

    def listed(self, name: str) -> list[str]:
        """The states of the alerts with this name that Alertmanager lists."""
        params = {"filter": f'alertname="{name}"'}
        answer = self.session().get(f"{self.url}/api/v2/alerts", params=params, timeout=60)
        return [one["status"]["state"] for one in answer.json()]


class Prometheus(Monitor):
    """A Prometheus that scrapes and evaluates rules every second.

    Args:
        targets: addresses by job.
        rules: rule groups, as in a rule file.
        alertmanager: address of the Alertmanager.
        scrape: settings of each scrape config.
        scrape_configs: additional scrape configs.
    """

    def __init__(
        self,
        targets: dict[str, str],
        rules: list[dict[str, Any]],
        alertmanager: str,
        scrape: dict[str, Any] | None = None,
        scrape_configs: list[dict[str, Any]] | None = None,
    ) -> None:
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [address]}], **(scrape or {})}
                for job, address in targets.items()
            ]
            + (scrape_configs or []),
        }
        extra = ["--storage.tsdb.path=data", "--rules.alert.resend-delay=1s"]
        super().__init__("prometheus", config, extra, rules=rules)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The instant vector of ``expression``: labels and values."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=60).json()
        assert answer["status"] == "success", answer
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def range(self, expression: str, start: float, end: float) -> list[tuple[dict[str, str], list[Any]]]:
        """The range vector of ``expression``, by the second: labels, and pairs of time and value."""
        params = {"query": expression, "start": start, "end": end, "step": 1}
        answer = requests.get(f"{self.url}/api/v1/query_range", params=params, timeout=30).json()
        assert answer["status"] == "success", answer
        return [
            (one["metric"], [(when, float(value)) for when, value in one["values"]])
            for one in answer["data"]["result"]
        ]

    def value(self, expression: str) -> float | None:
        """The only value of ``expression``; None if there is none."""
        rows = self.query(expression)
        assert len(rows) <= 1, rows
        return rows[0][1] if rows else None
