"""Writes the generated files of ``mixin/``: rules and dashboards as jsonnet functions of ``_config``.

A mark in an expression stands for a text of ``_config``. In jsonnet it becomes ``" + t["NAME"] + "``:

- ``@@{vllm}@@`` after a series without matchers, ``@@vllm,@@`` before its matchers: the selector of its
source.
- ``@@cluster,@@`` before the labels of ``by`` and ``on``: the cluster label, if clusters are distinguished.
- ``@@cluster@@``: the name of that label.
- ``@@runbooks@@``: the prefix of the runbook URLs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
MIXIN = ROOT / "mixin"
_SOURCES = {
    "vllm:": "vllm",
    "sglang:": "sglang",
    "tgi_": "tgi",
    "llamacpp:": "llamacpp",
    "nv_": "triton",
    "dynamo_": "dynamo",
    "litellm_": "litellm",
    "wellbeing_": "sidecar",
}
_QUERIES = ("expr", "query", "definition")
_TOKEN = re.compile(
    r"""(?P<grouping>\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\))
    |(?P<name>[a-zA-Z_:][\w:]*)(?P<matchers>\{(?:[^}"'`]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)*\})?
    |(?P<other>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\[[^\]]*\]|[\d.]+\w*|.)""",
    re.VERBOSE | re.DOTALL,
)
_GROUPING = re.compile(r"(by|on)(\s*)\(\s*(?=\w)")


def _series(name: str, matchers: str) -> str:
    source = next((source for prefix, source in _SOURCES.items() if name.startswith(prefix)), "")
    if not source:
        return name + matchers
    if matchers.strip("{} \n"):
        return f"{name}{{@@{source},@@{matchers[1:]}"
    return f"{name}@@{{{source}}}@@"


def marked(expression: str, *, clusters: bool) -> str:
    """A PromQL expression with marks.

    Args:
        expression: the expression.
        clusters: whether to mark ``by`` and ``on``, too.
    """

    def token(found: re.Match[str]) -> str:
        if found["name"]:
            return _series(found["name"], found["matchers"] or "")
        if found["grouping"] and clusters:
            return _GROUPING.sub(r"\1\2(@@cluster,@@", found[0])
        return found[0]

    return _TOKEN.sub(token, expression)


def _rule_file(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for group in content["groups"]:
        for rule in group["rules"]:
            rule["expr"] = marked(rule["expr"], clusters=True)
            if "annotations" in rule:
                rule["annotations"]["runbook_url"] = f"@@runbooks@@{rule['annotations']['runbook_url']}"
    return content


def _dashboard(node: Any, key: str = "") -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, dict):
        return {name: _dashboard(value, name) for name, value in node.items()}
    if isinstance(node, list):
        return [_dashboard(value, key) for value in node]
    if isinstance(node, str) and key in _QUERIES:
        text = marked(node, clusters=False).replace('cluster=~"$cluster"', '@@cluster@@=~"$cluster"')
        return re.sub(r", cluster\)$", ", @@cluster@@)", text)
    return node


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _jsonnet(value: object) -> str:
    """A jsonnet function that returns ``value`` with its marks replaced by the texts in ``t``."""
    return "function(t) " + re.sub("@@(.*?)@@", r'" + t["\1"] + "', _json(value))


def _files() -> Iterator[tuple[Path, Callable[[], str]]]:
    for path in sorted((ROOT / "alerts").glob("*.rules.yml")):
        name = path.name.partition(".")[0]
        if name != "thresholds":
            yield MIXIN / "rules" / f"{name}.libsonnet", lambda path=path: _jsonnet(_rule_file(path))  # type: ignore[misc]
    yield MIXIN / "thresholds.json", thresholds
    for path in sorted((ROOT / "dashboards").glob("*.json")):
        text = path.read_text(encoding="utf-8")
        target = MIXIN / "dashboards" / f"{path.stem}.libsonnet"
        yield target, lambda text=text: _jsonnet(_dashboard(json.loads(text)))  # type: ignore[misc]


def thresholds() -> str:
    """The values of the thresholds by name."""
    text = (ROOT / "alerts" / "thresholds.rules.yml").read_text(encoding="utf-8")
    (group,) = yaml.safe_load(text)["groups"]
    found = {}
    for rule in group["rules"]:
        value = re.fullmatch(r"vector\(([\d.]+)\)", rule["expr"].strip())
        if value is None:
            raise ValueError(
                f"threshold {rule['labels']['name']}: {rule['expr']} is not a vector of a number"
            )
        number = float(value[1])
        found[rule["labels"]["name"]] = int(number) if number.is_integer() else number
    return _json(found)


def files() -> dict[Path, Callable[[], str]]:
    """The generated files of the mixin, each with the function that returns its text."""
    return dict(_files())
