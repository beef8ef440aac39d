"""Writes the reference of all alerts from the rule files in ``alerts/``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .repository_links import ROOT

PAGE = ROOT / "docs" / "reference" / "alert-rules.md"
_HEAD = """\
# Alert rules

Every alert and every recorded series of [`alerts/`](../../alerts), built from these files by `make docs`.
How to load them is in [alerts and dashboards](alerts.md).
"""
_TITLES = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "tgi": "TGI",
    "llamacpp": "llama.cpp",
    "triton": "Triton",
    "dynamo": "NVIDIA Dynamo",
    "litellm": "LiteLLM",
    "sidecar": "The sidecar",
    "masks": "Masks",
    "thresholds": "Thresholds",
}
_TEMPLATE = re.compile(r"\{\{\s*(.*?)\s*\}\}")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _plain(template: str) -> str:
    """An annotation without templates: ``{{ $labels.model_name }}`` becomes *model_name*, ``{{ $value }}``
    *N*.
    """

    def shown(found: re.Match[str]) -> str:
        label = re.search(r"\$labels\.(\w+)", found[1])
        return f"*{label[1]}*" if label else "*N*" if "$value" in found[1] else ""

    return _TEMPLATE.sub(shown, template)


def _rules(path: Path) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def _thresholds(path: Path) -> Iterator[str]:
    comments = re.findall(r"# (.*)\n +- record: wellbeing:threshold\n", path.read_text(encoding="utf-8"))
    rules = list(_rules(path))
    if len(comments) != len(rules):
        raise ValueError(f"{path}: a threshold has no comment that describes it")
    yield "| name | value | what |\n| --- | --- | --- |\n"
    for rule, comment in zip(rules, comments, strict=True):
        value = re.sub(r"^vector\((.*)\)$", r"\1", rule["expr"].strip())
        yield f"| `{rule['labels']['name']}` | `{value}` | {_cell(comment)} |\n"


def _alerts(rules: list[dict[str, Any]]) -> Iterator[str]:
    if not rules:
        return
    yield "| alert | state, severity | for, keeps firing | what it says |\n| --- | --- | --- | --- |\n"
    for rule in rules:
        page, _, anchor = rule["annotations"]["runbook_url"].removeprefix("docs/").partition("#")
        name = f"[{rule['alert']}](../{page}#{anchor})"
        labels = rule["labels"]
        times = f"{rule.get('for', '0s')}, {rule.get('keep_firing_for', '0s')}"
        summary = _cell(_plain(rule["annotations"]["summary"]))
        yield f"| {name} | {labels['wellbeing']}, {labels['severity']} | {times} | {summary} |\n"
    yield "\n"


def _expressions(rules: list[dict[str, Any]]) -> Iterator[str]:
    yield "<details markdown><summary>Expressions</summary>\n\n"
    for rule in rules:
        name = rule.get("alert") or rule["record"]
        yield f"`{name}`\n\n```promql\n{rule['expr'].strip()}\n```\n\n"
    yield "</details>\n"


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for name, title in _TITLES.items():
        path = ROOT / "alerts" / f"{name}.rules.yml"
        rules = list(_rules(path))
        alerts = [rule for rule in rules if "alert" in rule]
        parts.append(f"\n## {title}\n\n[`alerts/{path.name}`](../../alerts/{path.name})\n\n")
        if name == "thresholds":
            parts += _thresholds(path)
            continue
        parts += _alerts(alerts)
        parts += _expressions(rules)
    names = {path.name.partition(".")[0] for path in (ROOT / "alerts").glob("*.rules.yml")}
    left_out = names - set(_TITLES)
    if left_out:
        raise ValueError(f"rule files without a title: {sorted(left_out)}")
    return "".join(parts)
