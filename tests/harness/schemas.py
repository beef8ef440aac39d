"""Finds the JSON schemas of Grafana and of the Prometheus operator, and makes one of a CRD."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


def schemas() -> Path:
    """The folder that ``WELLBEING_SCHEMAS`` names. Without it the test is skipped; in CI the test fails."""
    where = os.environ.get("WELLBEING_SCHEMAS")
    if not where and "CI" not in os.environ:
        beside = Path(__file__).parents[3] / "shared" / "schemas"
        where = str(beside) if beside.is_dir() else None
    if not where and "CI" not in os.environ:
        pytest.skip("WELLBEING_SCHEMAS does not say where the JSON schemas are")
    return Path(where)


def schema_of(crd: dict[str, Any], version: str) -> dict[str, Any]:
    """The JSON schema of one version of a custom resource definition."""
    (found,) = [one for one in crd["spec"]["versions"] if one["name"] == version]
    schema = _strict(found["schema"]["openAPIV3Schema"])
    schema["properties"]["apiVersion"] = schema["properties"]["kind"] = {"type": "string"}
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _strict(schema: Any) -> Any:
    """A CRD's schema as JSON schema. Unknown keys are errors; `kubectl apply` only warns of them."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    if isinstance(schema.get("pattern"), str):
        # Go allows flags anywhere in a pattern. No value in our objects needs this flag.
        made["pattern"] = schema["pattern"].replace("(?i)", "")
    return made
