"""Builds the config of hooks, and checks the keys that depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sidecar.body_template import BodyTemplate, TemplateFailed

from .names import require_unique_names
from .values_programs import HookConfig

_ONLY_FOR = {"template": "template", "content_type": "template", "method": "template", "tags": "grafana"}


def hooks_of(checked: list[dict[str, Any]], problems: list[str]) -> tuple[HookConfig, ...]:
    """The hooks of the checked list ``hooks``; problems are added to ``problems``."""
    hooks: dict[int, HookConfig] = {}
    for index, one in enumerate(checked):
        where = f"{one['']}: hooks[{index}]"
        if "name" not in one:
            continue
        keys = {key: value for key, value in one.items() if key}
        hooks[index] = HookConfig(**keys)
        problems += [f"{where}{problem}" for problem in _problems(hooks[index], keys)]
    names = {index: hook.name for index, hook in hooks.items()}
    require_unique_names("hooks", checked, names, problems)
    return tuple(hooks.values())


def _problems(hook: HookConfig, keys: dict[str, Any]) -> Iterator[str]:
    if bool(keys.get("url")) == bool(keys.get("url_file")):
        yield ": needs url or url_file, and not both"
    for key, wanted in _ONLY_FOR.items():
        if keys.get(key) and hook.format != wanted:
            yield f".{key}: needs format: {wanted}"
    yield from _authentication_problems(hook)
    if hook.key_file and not hook.cert_file:
        yield ".key_file: needs cert_file"
    if hook.format == "template":
        try:
            BodyTemplate(hook.template).check(hook.content_type)
        except TemplateFailed as error:
            yield f".template: {error}" if hook.template else ".template: is missing"


def _authentication_problems(hook: HookConfig) -> Iterator[str]:
    if bool(hook.username) != bool(hook.password_file):
        yield ": username and password_file must be set together"
    if hook.username and hook.token_file and hook.token_header.lower() == "authorization":
        yield ": username and token_file cannot both be set"
    if hook.username and any(name.lower() == "authorization" for name in hook.headers):
        yield ".headers: Authorization is set by username"
    if hook.token_file and any(name.lower() == hook.token_header.lower() for name in hook.headers):
        yield f".headers: {hook.token_header} is set by token_file"
