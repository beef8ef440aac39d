"""The examples for Istio and for the Kubernetes Gateway API match the schemas of those projects."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
import yaml

from harness.proxies import EXAMPLES
from harness.real import REAL, needs
from harness.schemas import schema_of

CRDS = REAL / "crds"
pytestmark = needs("crds", "crds/ready")
FILES = {"HTTPRoute": "httproutes.yaml", "AuthorizationPolicy": "istio.yaml"}
Object = dict[str, Any]


def example(kind: str) -> Object:
    found = [
        one
        for name in ("gateway-api.yaml", "istio.yaml")
        for one in yaml.safe_load_all((EXAMPLES / name).read_text())
    ]
    return next(copy.deepcopy(one) for one in found if one["kind"] == kind)


@functools.cache
def definitions(kind: str) -> list[Object]:
    return [
        one
        for one in yaml.load_all((CRDS / FILES[kind]).read_text(), yaml.CSafeLoader)
        if one and one["spec"]["names"]["kind"] == kind
    ]


def check(one: Object) -> None:
    group, version = one["apiVersion"].split("/")
    (crd,) = definitions(one["kind"])
    assert crd["spec"]["group"] == group
    jsonschema.validate(one, schema_of(crd, version))


@pytest.mark.parametrize("kind", FILES)
def test_every_example_matches_its_schema(kind: str) -> None:
    check(example(kind))


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        ("HTTPRoute", lambda spec: spec["rules"][1]["filters"][0].update(type="External")),
        ("HTTPRoute", lambda spec: spec["rules"][1]["filters"][0]["externalAuth"].update(pathPrefix="/")),
        ("HTTPRoute", lambda spec: spec["rules"][0].update(matches=spec["rules"][0]["matches"] * 13)),
        ("AuthorizationPolicy", lambda spec: spec.update(action="ASK")),
        ("AuthorizationPolicy", lambda spec: spec["rules"][0]["to"][0]["operation"].update(notPath=["/"])),
    ],
)
def test_a_planted_error_is_caught(kind: str, plant: Callable[[Object], None]) -> None:
    one = example(kind)
    plant(one["spec"])
    with pytest.raises(jsonschema.ValidationError):
        check(one)


def test_the_mesh_config_names_fields_of_istios_provider() -> None:
    message = (CRDS / "mesh.proto").read_text().split("message EnvoyExternalAuthorizationHttpProvider {")[1]
    fields = re.findall(
        r"^ +(?:repeated )?[\w.<>, ]+ (\w+) = \d+;", message.split("\n  }\n")[0], re.MULTILINE
    )
    named = {re.sub(r"_(\w)", lambda found: found[1].upper(), field) for field in fields}
    (provider,) = yaml.safe_load(example("ConfigMap")["data"]["mesh"])["extensionProviders"]
    assert set(provider["envoyExtAuthzHttp"]) <= named
    assert {"service", "port", "pathPrefix", "timeout", "failOpen"} <= set(provider["envoyExtAuthzHttp"])
    assert provider["name"] == example("AuthorizationPolicy")["spec"]["provider"]["name"]
