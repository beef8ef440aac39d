"""Loads the config from file, environment and flags, and collects all problems."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sidecar.alerts import InvalidMatcher, InvalidRule, Rule, RuleSet
from sidecar.core.errors import InvalidPolicy, closest_match
from sidecar.core.policy import Policy, PolicyTable, TrialPolicy
from sidecar.redis_access import RedisAccess

from .checks import InvalidMember
from .errors import ConfigError
from .files import file_problems
from .hooks import hooks_of
from .keys import Key, Section, SectionList
from .names import require_unique_names
from .schema import SCHEMA
from .source import Value, check_keys, expand_short_forms, merge, read_environment, read_file
from .time_intervals import TimeInterval
from .values import Config, LimitsConfig, MetricsConfig, StoreConfig, UiLink
from .values_access import AuthConfig, CredentialConfig, Listener, TlsConfig
from .values_programs import (
    AlertmanagerConfig,
    AlertsConfig,
    EngineConfig,
    EngineRequestConfig,
    ImportConfig,
    ImportFields,
    WatchdogConfig,
)

_MODES = {
    "vllm": ("", "keep", "wait", "abort"),
    "ray": ("", "keep", "wait", "abort"),
    "sglang": ("", "in_place", "retract", "abort"),
    "dynamo": ("", "keep", "wait", "abort", "in_place", "retract"),
}
_EXCLUSIVE = (
    ("password", "password_file"),
    ("bearer_token", "bearer_token_file"),
    ("username", "bearer_token"),
    ("username", "bearer_token_file"),
)


def load_config(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> Config:
    """Load the config. Flags override the environment, and the environment overrides the file.

    Args:
        path: a YAML file; None: no file.
        environ: the environment; the variables ``WELLBEING_…`` are read.
        overrides: values of flags, by top-level key.

    Raises:
        ConfigError: with all problems.
    """
    problems: list[str] = []
    root = _root(path, environ, overrides, problems)
    checked = _section(SCHEMA, root, "", problems)
    config = _build(checked, problems)
    if problems:
        raise ConfigError(problems)
    return config


def check_files(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
    *,
    sections: Container[str] | None = None,
) -> list[str]:
    """Problems of the files that a valid config names, each with the location of its key.

    Args:
        path: as in `load_config`.
        environ: as in `load_config`; also has the variables that ``token_env`` names.
        overrides: as in `load_config`.
        sections: check only these top-level keys; None: check all keys.
    """
    return file_problems(_root(path, environ, overrides, []), environ, sections)


def _root(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None,
    problems: list[str],
) -> Value:
    flags = {
        key: Value(
            [Value(one, _flag(key)) for one in value] if isinstance(value, list) else value, _flag(key)
        )
        for key, value in (overrides or {}).items()
    }
    root = Value({}, "") if path is None else read_file(path)
    if not isinstance(root.value, dict):
        raise ConfigError([f"{root.location}: must be a mapping of keys to values"])
    root = merge(read_environment(environ, SCHEMA, problems), expand_short_forms(SCHEMA, root))
    return merge(expand_short_forms(SCHEMA, Value(flags, "the flags")), root)


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


# -- checking -----------------------------------------------------------------------------------------


def _section(section: Section, value: Value, path: str, problems: list[str]) -> dict[str, Any]:
    """The checked values of all keys that are set in a section. The key ``""`` has its location."""
    checked: dict[str, Any] = {"": value.location}
    if not isinstance(value.value, dict):
        problems.append(f"{value.location}: {path.rstrip('.')}: must be a mapping of keys to values")
        return checked
    check_keys(value.value, section.keys, path, problems)
    for name, key in section.keys.items():
        one = value.value.get(name)
        if one is None:
            if isinstance(key, Key) and key.default is None:
                problems.append(f"{value.location}: {path}{name}: is missing")
        elif isinstance(key, Section):
            checked[name] = _section(key, one, f"{path}{name}.", problems)
        elif isinstance(key, SectionList):
            checked[name] = _items(key, one, f"{path}{name}", problems)
        else:
            try:
                checked[name] = key.check(one.plain())
            except ValueError as error:
                location = _location_of(one, error.path) if isinstance(error, InvalidMember) else one.location
                # A flag is named like its key.
                where = location if location.startswith("--") else f"{location}: {path}{name}"
                problems.append(f"{where}: {error}")
    return checked


def _location_of(value: Value, path: tuple[str | int, ...]) -> str:
    """The location of the part of ``value`` at ``path``, or of the last part on the way that exists."""
    for step in path:
        if isinstance(value.value, dict) and step == 0:
            # A single section means a list with one section.
            continue
        items = value.value if isinstance(value.value, list) else ()
        parts = value.value if isinstance(value.value, dict) else dict(enumerate(items))
        if step not in parts:
            break
        value = parts[step]
    return value.location


def _items(items: SectionList, value: Value, path: str, problems: list[str]) -> list[dict[str, Any]]:
    if not isinstance(value.value, list):
        problems.append(f"{value.location}: {path}: must be a list")
        return []
    return [
        _section(items.section, one, f"{path}[{index}].", problems) for index, one in enumerate(value.value)
    ]


# -- building -----------------------------------------------------------------------------------------


def _build(checked: dict[str, Any], problems: list[str]) -> Config:
    engines = _engines(checked.get("engines", ()), problems)
    imports = _imports(checked.get("imports", ()), problems)
    named = tuple(engine.scope for engine in engines) + tuple(one.scope for one in imports)
    auth = _auth(checked.get("auth", {}), problems)
    tls = _tls(checked.get("tls"), problems)
    _require_authentication(checked, auth, tls, problems)
    return Config(
        auth=auth,
        tls=tls,
        **_only(checked, ("listen", "log_level", "log_format", "scope_idle_secs", "external_url")),
        policies=_policies(checked, named, problems),
        alerts=_alerts(checked.get("alerts", {}), problems),
        store=StoreConfig(**_only(checked.get("store", {}), StoreConfig.__slots__)),
        redis=RedisAccess(**_only(checked.get("redis", {}), RedisAccess.__slots__)),
        metrics=MetricsConfig(**_only(checked.get("metrics", {}), MetricsConfig.__slots__)),
        limits=LimitsConfig(**_only(checked.get("limits", {}), LimitsConfig.__slots__)),
        engines=engines,
        imports=imports,
        hooks=hooks_of(checked.get("hooks", []), problems),
        ui_links=tuple(
            UiLink(one["name"], one["url"])
            for one in checked.get("ui", {}).get("links", ())
            if {"name", "url"} <= one.keys()
        ),
        locations=_locations(checked),
    )


def _locations(checked: dict[str, Any]) -> dict[str, str]:
    lists = (("policies", checked), ("alerts.rules", checked.get("alerts", {})))
    found = {
        f"{name}[{index}]": one[""]
        for name, section in lists
        for index, one in enumerate(section.get(name.rpartition(".")[2], ()))
    }
    return found | ({"defaults": checked["defaults"][""]} if "defaults" in checked else {})


def _only(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}


def _alerts(checked: dict[str, Any], problems: list[str]) -> AlertsConfig:
    names = ("alert_ttl_secs", "alertmanager_urls", "reconcile_secs", "hold_while_blind")
    alertmanager = checked.get("alertmanager", {})
    for one, other in _EXCLUSIVE:
        if alertmanager.get(one) and alertmanager.get(other):
            problems.append(f"{alertmanager['']}: alerts.alertmanager: {one} and {other} cannot both be set")
    return AlertsConfig(
        rules=_rules(checked.get("rules", ()), problems),
        alertmanager=AlertmanagerConfig(**_only(alertmanager, AlertmanagerConfig.__slots__)),
        watchdog=WatchdogConfig(**_only(checked.get("watchdog", {}), WatchdogConfig.__slots__)),
        **_only(checked, names),
    )


_KINDS = ("token_file", "token_env", "token_sha256", "username", "certificate")


def _auth(checked: dict[str, Any], problems: list[str]) -> AuthConfig:
    credentials: dict[int, CredentialConfig] = {}
    for index, one in enumerate(checked.get("credentials", ())):
        where = f"{one['']}: auth.credentials[{index}]"
        if len([kind for kind in _KINDS if one.get(kind)]) != 1:
            problems.append(f"{where}: needs exactly one of {', '.join(_KINDS)}")
        if bool(one.get("username")) != bool(one.get("password_bcrypt")):
            problems.append(f"{where}: username and password_bcrypt must be set together")
        if ":" in one.get("username", ""):
            problems.append(f"{where}.username: must not contain a colon")
        if {"name", "roles"} <= one.keys():
            credentials[index] = CredentialConfig(**_only(one, CredentialConfig.__slots__))
    for kind in ("username", "certificate"):
        problems += _used_twice(kind, checked.get("credentials", []), credentials)
    names = {index: one.name for index, one in credentials.items()}
    require_unique_names("auth.credentials", checked.get("credentials", []), names, problems)
    return AuthConfig(credentials=tuple(credentials.values()), **_only(checked, ("insecure",)))


def _used_twice(
    kind: str, checked: list[dict[str, Any]], credentials: Mapping[int, CredentialConfig]
) -> Iterator[str]:
    """A problem for each credential with the user or certificate of an earlier credential."""
    owners: dict[str, str] = {}
    for index, one in credentials.items():
        value = getattr(one, kind)
        if value and value in owners:
            where = f"{checked[index]['']}: auth.credentials[{index}].{kind}"
            yield f"{where}: {owners[value]} has the same one"
        owners.setdefault(value, one.name)


def _tls(checked: dict[str, Any] | None, problems: list[str]) -> TlsConfig | None:
    if checked is None:
        return None
    tls = TlsConfig(**_only(checked, TlsConfig.__slots__))
    if tls == TlsConfig():
        return None
    missing = [key for key in ("cert_file", "key_file") if not getattr(tls, key)]
    problems += [f"{checked['']}: tls.{key}: is missing" for key in missing]
    if tls.client_auth == "require" and not tls.client_ca_file:
        problems.append(f"{checked['']}: tls.client_auth: require needs client_ca_file")
    return tls


def _require_authentication(
    checked: dict[str, Any], auth: AuthConfig, tls: TlsConfig | None, problems: list[str]
) -> None:
    location = f"{checked['']}: " if checked[""] else ""
    listeners: tuple[Listener, ...] = checked.get("listen", Config().listen)
    for one in listeners:
        if one.tls and tls is None:
            problems.append(f"{location}listen: {one.address}: tls needs tls.cert_file and tls.key_file")
        anonymous = one.roles if one.roles is not None else () if auth.credentials else ("everything",)
        if anonymous and not one.is_local and not auth.insecure:
            problems.append(
                f"{location}listen: {one.address} can be reached from other machines, and anyone may do "
                f"{', '.join(anonymous)} there without a credential. Configure credentials:\n"
                "    auth:\n"
                "      credentials:\n"
                "        - {name: me, roles: [worker, agent, webhook, viewer, operator], token_file: /PATH}\n"
                "  or listen on 127.0.0.1, or allow everyone: auth.insecure: true"
            )
    if any(credential.certificate for credential in auth.credentials) and not (tls and tls.client_ca_file):
        problems.append(f"{location}auth.credentials: certificate needs tls.client_ca_file")


def _engines(checked: list[dict[str, Any]], problems: list[str]) -> tuple[EngineConfig, ...]:
    engines: dict[int, EngineConfig] = {}
    for index, one in enumerate(checked):
        if not {"scope", "kind", "url"} <= one.keys():
            continue
        location, where = one[""], f"engines[{index}]"
        modes = _MODES.get(one["kind"], ("",))
        if one.get("mode", "") not in modes:
            problems.append(
                f"{location}: {where}.mode: for {one['kind']} must be one of {', '.join(modes[1:])}"
            )
        if one["kind"] in ("ray", "litellm") and not one.get("model"):
            problems.append(f"{location}: {where}.model: is missing")
        if one["kind"] != "vllm" and one.get("sleep_after_secs"):
            problems.append(f"{location}: {where}.sleep_after_secs: only engines of kind vllm can sleep")
        if one["kind"] == "http" and not all(
            one.get(action, {}).get("path") for action in ("pause", "resume")
        ):
            problems.append(f"{location}: {where}: an engine of kind http needs pause.path and resume.path")
        pause, resume = (
            EngineRequestConfig(**_only(one.get(action, {}), EngineRequestConfig.__slots__))
            for action in ("pause", "resume")
        )
        plain = _only(one, tuple(set(EngineConfig.__slots__) - {"pause", "resume", "name"}))
        name = one.get("name") or _host_of(one["url"])
        engines[index] = EngineConfig(name=name, pause=pause, resume=resume, **plain)
    names = {index: engine.name for index, engine in engines.items()}
    require_unique_names("engines", checked, names, problems)
    return tuple(engines.values())


def _imports(checked: list[dict[str, Any]], problems: list[str]) -> tuple[ImportConfig, ...]:
    imports: dict[int, ImportConfig] = {}
    for index, one in enumerate(checked):
        if not {"scope", "url"} <= one.keys():
            continue
        plain = _only(one, tuple(set(ImportConfig.__slots__) - {"fields", "name"}))
        fields = ImportFields(**_only(one.get("fields", {}), ImportFields.__slots__))
        imports[index] = ImportConfig(name=one.get("name") or "import", fields=fields, **plain)
    names = {index: f"{one.scope} {one.name}" for index, one in imports.items()}
    require_unique_names("imports", checked, names, problems)
    return tuple(imports.values())


def _host_of(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


TimeIntervals = tuple[TimeInterval, ...]


def _time_intervals(checked: list[dict[str, Any]], problems: list[str]) -> dict[str, TimeIntervals]:
    """The time intervals by name."""
    found: dict[str, TimeIntervals] = {}
    for index, one in enumerate(checked):
        name = one.get("name")
        if name is None or "time_intervals" not in one:
            continue
        if name in found:
            problems.append(f"{one['']}: time_intervals[{index}]: another one is named {name}")
        found[name] = one["time_intervals"]
    return found


def _intervals_of(
    checked: dict[str, Any], key: str, intervals: dict[str, TimeIntervals], path: str, problems: list[str]
) -> dict[str, TimeIntervals]:
    """The time intervals that ``key`` of a policy names; nothing if the policy does not have the key."""
    if key not in checked:
        return {}
    found: list[TimeInterval] = []
    for name in checked[key]:
        if name not in intervals:
            near = closest_match(name, intervals)
            hint = f" (did you mean {near}?)" if near else ""
            problems.append(f"{checked['']}: {path}{key}: {name}: no such name in time_intervals{hint}")
        found += intervals.get(name, ())
    return {key: tuple(found)}


def _policies(checked: dict[str, Any], named: tuple[str, ...], problems: list[str]) -> PolicyTable:
    intervals = _time_intervals(checked.get("time_intervals", []), problems)

    def policy(base: Policy, section: dict[str, Any], path: str) -> Policy:
        resolved: dict[str, TimeIntervals] = {}
        for key in ("mute_time_intervals", "active_time_intervals"):
            resolved |= _intervals_of(section, key, intervals, path, problems)
        return _policy(base, {**section, **resolved}, path, problems)

    defaults = policy(Policy(), checked.get("defaults", {}), "defaults.")
    rules = [
        (rule["match"], policy(defaults, rule, f"policies[{index}]."))
        for index, rule in enumerate(checked.get("policies", ()))
        if "match" in rule
    ]
    return PolicyTable(defaults, tuple(rules), named)


def _policy(base: Policy, checked: dict[str, Any], path: str, problems: list[str]) -> Policy:
    try:
        trial = replace(base.resume_trial, **_only(checked.get("resume_trial", {}), TrialPolicy.__slots__))
        return replace(base, **{**_only(checked, Policy.__slots__), "resume_trial": trial})
    except InvalidPolicy as error:
        problems.append(f"{checked['']}: {path}{error}")
        return base


def _rules(checked: list[dict[str, Any]], problems: list[str]) -> RuleSet:
    rules = []
    for index, rule in enumerate(checked):
        if "state" not in rule:
            continue
        try:
            rules.append(
                Rule.build(rule.get("matchers", ()), rule["state"], rule.get("scope"), rule.get("reason"))
            )
        except (InvalidRule, InvalidMatcher) as error:
            problems.append(f"{rule['']}: alerts.rules[{index}]: {error}")
    return RuleSet(tuple(rules))
