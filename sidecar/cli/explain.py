"""``explain``: shows what alerts would do, and why, without doing it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .client_arguments import add_connection, add_output
from .exit_statuses import OK, USAGE, CommandFailed
from .output import print_json, print_line, scope_name
from .sidecar_requests import refusal, send, shown_url

_OK = 200
Json = Mapping[str, Any]

EXAMPLES = (
    "explain --label alertname=QueueGrows --label severity=critical --label wellbeing_scope=llama",
    "explain --file notification.json --config sidecar.yaml",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags and arguments of this command."""
    parser.set_defaults(scope="")
    add_connection(parser)
    add_output(parser)
    pair: dict[str, Any] = {"action": "append", "default": [], "metavar": "NAME=VALUE"}
    parser.add_argument("--label", help="a label of the alert; may be given several times", **pair)
    parser.add_argument("--annotation", help="an annotation of the alert; may be given several times", **pair)
    parser.add_argument(
        "--file", metavar="FILE", help="a file with the body of a webhook request; -: standard input"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="use this config and an empty state, not a running sidecar",
    )


def run(options: argparse.Namespace) -> int:
    """Explain the alerts by a running sidecar, or by ``--config`` only."""
    notification = _notification(options)
    if options.config:
        alerts = _offline(Path(options.config), notification)
    else:
        alerts = _online(options, notification)
    if options.output != "table":
        print_json({"alerts": alerts})
        return OK
    for number, one in enumerate(alerts):
        if number:
            print_line("")
        for line in _lines(one):
            print_line(line)
    if not alerts:
        print_line("The notification has no alerts.")
    return OK


def _notification(options: argparse.Namespace) -> dict[str, Any]:
    if bool(options.file) == bool(options.label):
        raise CommandFailed("give either --label NAME=VALUE, once or more, or --file FILE", USAGE)
    if options.annotation and not options.label:
        raise CommandFailed("--annotation: requires --label", USAGE)
    if options.file:
        return _read(options.file)
    from sidecar.alerts import fingerprint_of  # noqa: PLC0415 - other commands do not need it
    from sidecar.clock import rfc3339  # noqa: PLC0415

    labels = _pairs("--label", options.label)
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": _pairs("--annotation", options.annotation),
        "startsAt": rfc3339(time.time()),
        "fingerprint": fingerprint_of(labels),
    }
    return {"version": "4", "alerts": [alert]}


def _pairs(flag: str, given: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise CommandFailed(f"{flag}: must be NAME=VALUE, got {one!a}", USAGE)
        if name in pairs:
            raise CommandFailed(f"{flag}: {name} is given twice", USAGE)
        # In the C locale, Python takes all non-ASCII characters for undecodable bytes.
        pairs[name] = os.fsencode(value).decode("utf-8", "replace")
    return pairs


def _read(name: str) -> dict[str, Any]:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise CommandFailed(f"--file: {name} cannot be read: {why}") from None
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"--file: {name} is not JSON: {error}") from None
    if not isinstance(body, dict):
        message = f"--file: {name} is not a notification of Alertmanager's webhook: it must be a JSON object"
        raise CommandFailed(message)
    return body


def _online(options: argparse.Namespace, notification: dict[str, Any]) -> list[Json]:
    answer = send(options, "POST", "alerts", body=notification, params={"dry_run": "true"})
    if answer.status != _OK:
        raise CommandFailed(refusal(options, answer))
    body = answer.body
    if not isinstance(body, dict) or body.get("dry_run") is not True:
        raise CommandFailed(
            f"{shown_url(options)} does not answer as a sidecar that can explain: "
            "check its version, and --url"
        )
    alerts: list[Json] = body["alerts"]
    return alerts


def _offline(path: Path, notification: dict[str, Any]) -> list[Json]:
    from sidecar.alerts import InvalidNotification, parse_notification  # noqa: PLC0415 - as in check_config
    from sidecar.config import ConfigError, load_config  # noqa: PLC0415
    from sidecar.core.model import CoreState  # noqa: PLC0415
    from sidecar.explain import Explainer  # noqa: PLC0415

    try:
        config = load_config(path, os.environ)
    except ConfigError as error:
        raise CommandFailed("the config is not valid:\n" + "\n".join(error.problems)) from None
    limits = config.limits
    try:
        parsed = parse_notification(
            json.dumps(notification).encode(),
            max_alerts=limits.max_alerts_per_notification,
            max_labels=limits.max_labels_per_alert,
            max_label_bytes=limits.max_label_bytes,
        )
    except InvalidNotification as error:
        raise CommandFailed(f"not a notification of Alertmanager's webhook: {error}") from None
    explainer = Explainer(config, CoreState(config.policies), time.time())
    return [explainer.explain(alert) for alert in parsed.alerts]


# -- output -------------------------------------------------------------------------------------------


def _lines(one: Json) -> Iterator[str]:
    yield f"{one['alertname'] or '(no alertname)'} ({one['fingerprint']}), {one['status']}"
    for rule in one["rules"]:
        yield f"  rule: {_rule(rule)}"
    if one["state"]:
        yield f"  state: {one['state']}" + (f": {one['reason']}" if one["reason"] else "")
    yield from _scope_lines(one)
    if one["policy"]:
        yield f"  policy: {_policy(one['policy'])}"
    until = f", until {one['until']}" if one["until"] else ""
    yield f"  effect: {one['effect']} ({one['why']}): {one['text']}{until}"
    if one["affects"]:
        yield f"  affects: {_affects(one['affects'])}"


def _rule(rule: Json) -> str:
    at = f" ({rule['at']})" if rule["at"] else ""
    if rule["rule"] == "built-in":
        return f"built-in: the label {rule['label']} {_value(rule['value'])}"
    if rule["matched"]:
        return f"{rule['rule']}{at} matches"
    failed = "; ".join(
        f"{one['matcher']} fails, {one['label']} {_value(one['value'])}" for one in rule["failed"]
    )
    return f"{rule['rule']}{at} does not match: {failed}"


def _scope_lines(one: Json) -> Iterator[str]:
    source = one["scope_from"]
    if source and source["problem"]:
        yield f"  scope: none: {source['problem']}"
    elif source and one["scope"] is not None:
        labels = ", ".join(label["label"] for label in source["labels"] if label["value"] is not None)
        missing = (
            f"; {source['missing']} is missing, so the scope ends before it" if source["missing"] else ""
        )
        yield f"  scope: {scope_name(one['scope'])}" + (f", from {labels}" if labels else "") + missing
    for cleaned in source["cleaned"] if source else ():
        yield f"    {_quoted(cleaned['value'])} is not a valid segment: it becomes {cleaned['segment']}"


def _policy(policy: Json) -> str:
    match = f" for {scope_name(policy['match'])}" if policy["match"] is not None else ""
    at = f" ({policy['at']})" if policy["at"] else ""
    acts = "not enabled"
    if policy["acts_from"] is not None:
        acts = f"{'pauses' if policy['pauses'] else 'only advises'} from {policy['acts_from']} on"
    return f"{policy['name']}{match}{at}: {acts}"


def _affects(affects: Json) -> str:
    requests = affects["requests_last_minute"]
    if requests is None:
        return "this scope is not known yet: its requests are counted at the scope above it"
    names = ", ".join(scope_name(name) for name in affects["names"])
    more = affects["scopes"] - len(affects["names"])
    listed = f" ({names}{f' and {more} more' if more else ''})" if names else ""
    scopes = f"{affects['scopes']} open scope{'' if affects['scopes'] == 1 else 's'}{listed}"
    return f"{scopes}, {requests} requests within the last minute, {affects['waiters']} requests waiting now"


def _value(value: str | None) -> str:
    return "is missing" if value is None else f"is {_quoted(value)}"


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
