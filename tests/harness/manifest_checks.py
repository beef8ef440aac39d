"""Checks for Kubernetes manifests. Each check yields the problems that it finds."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from .kubernetes import (
    ROOT,
    Object,
    container_of,
    containers_of,
    environment,
    pod_of,
    sidecar_config,
    workloads,
)

ENGINES = {"vllm"}
"""Containers with a third-party image, which may write anywhere."""
WORKER_ROUTES = {"worker", "agent"}
SECRETS = {
    "wellbeing-tokens": {"alertmanager", "operator", "prometheus", "worker"},
    "wellbeing-redis": {"password"},
}
"""The Secrets, with their keys, that docs/how-to/kubernetes tells the reader to create."""
ALERTMANAGER = ("alertmanager-operated", "monitoring", 9093)
"""The Service that the Prometheus operator creates: name, namespace, port."""
MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ALERTMANAGER[1]}}}


def _contexts(objects: list[Object]) -> Iterator[tuple[str, Object, dict[str, Any]]]:
    for workload in workloads(objects):
        for container in containers_of(workload):
            context = {**pod_of(workload).get("securityContext", {}), **container.get("securityContext", {})}
            yield f"{workload['metadata']['name']}/{container['name']}", container, context


def sidecar_containers(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """The containers that run the sidecar, with their workloads."""
    for workload in workloads(objects):
        for container in containers_of(workload):
            if container.get("args", [""])[0] == "serve":
                yield workload, container


def non_root(objects: list[Object]) -> Iterator[str]:
    for where, _, context in _contexts(objects):
        if context.get("runAsNonRoot") is not True or context.get("runAsUser", 0) == 0:
            yield f"{where} may run as root"


def read_only_root(objects: list[Object]) -> Iterator[str]:
    for where, container, context in _contexts(objects):
        if container["name"] not in ENGINES and context.get("readOnlyRootFilesystem") is not True:
            yield f"{where} may write to its root"


def no_privilege(objects: list[Object]) -> Iterator[str]:
    for where, _, context in _contexts(objects):
        if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
            yield f"{where} may gain privileges"
        capabilities = context.get("capabilities", {})
        if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
            yield f"{where} has capabilities"
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{where} has no seccomp profile"
    for workload in workloads(objects):
        pod = pod_of(workload)
        name = workload["metadata"]["name"]
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(key):
                yield f"{name} has {key}"
        allowed = {"configMap", "emptyDir", "secret", "persistentVolumeClaim", "projected", "downwardAPI"}
        for volume in pod.get("volumes", []):
            if set(volume) - {"name"} - allowed:
                yield f"{name} mounts {volume}"
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{name} has a token of its service account"
    for one in objects:
        if one["kind"] == "ServiceAccount" and one.get("automountServiceAccountToken") is not False:
            yield f"{one['metadata']['name']} mounts its token by default"


def limits_set(objects: list[Object]) -> Iterator[str]:
    for where, container, _ in _contexts(objects):
        resources = container.get("resources", {})
        for kind in ("requests", "limits"):
            if not {"cpu", "memory"} <= set(resources.get(kind, {})):
                yield f"{where} has no {kind}"


def probes_set(objects: list[Object]) -> Iterator[str]:
    for workload in workloads(objects):
        starting = {one["name"] for one in pod_of(workload).get("initContainers", [])}
        for container in containers_of(workload):
            if container["name"] in starting and container.get("restartPolicy") != "Always":
                continue
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if "httpGet" not in container.get(probe, {}):
                    yield f"{workload['metadata']['name']}/{container['name']} has no {probe}"


def images_pinned(objects: list[Object]) -> Iterator[str]:
    for where, container, _ in _contexts(objects):
        _, colon, tag = container["image"].rpartition(":")
        if not colon or "/" in tag or tag == "latest":
            yield f"{where} has an image without a fixed version: {container['image']}"


def no_secret_in_sight(objects: list[Object]) -> Iterator[str]:
    for one in objects:
        if one["kind"] == "Secret":
            yield f"the secret {one['metadata']['name']} is in a manifest"
        if one["kind"] == "ConfigMap":
            for name, text in one["data"].items():
                if re.search(
                    r"(?im)^[\s{,-]*(\w*(password|bearer_token)|credentials|token)['\"]?:[ \t]*['\"]?[^\s{'\"]",
                    text,
                ):
                    yield f"{name} has a secret"
    for where, container, _ in _contexts(objects):
        for one in container.get("env", []):
            if re.search("TOKEN|PASSWORD|SECRET", one["name"]) and not one["name"].endswith("_FILE"):
                yield f"{where} has {one['name']} in plain text"


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items())


def selectors_match(objects: list[Object]) -> Iterator[str]:
    pods = [one["spec"]["template"]["metadata"].get("labels", {}) for one in workloads(objects)]
    for one in objects:
        where = f"{one['kind']} {one['metadata']['name']}"
        if one in workloads(objects):
            labels = one["spec"]["template"]["metadata"].get("labels", {})
            if not one["spec"]["selector"].get("matchLabels") or not _selects(
                one["spec"]["selector"], labels
            ):
                yield f"{where} does not select its own pods"
        if one["kind"] == "Service":
            matching = [
                labels for labels in pods if _selects({"matchLabels": one["spec"]["selector"]}, labels)
            ]
            if len(matching) != 1:
                yield f"{where} selects the pods of {len(matching)} workloads"
        if one["kind"] in ("PodDisruptionBudget", "NetworkPolicy"):
            selector = one["spec"].get("selector", one["spec"].get("podSelector"))
            if not selector or sum(_selects(selector, labels) for labels in pods) != 1:
                yield f"{where} does not select the pods of one workload"
        if one["kind"] == "PodMonitor" and not any(
            _selects(one["spec"]["selector"], labels) for labels in pods
        ):
            yield f"{where} selects no pods"
        if one["kind"] == "ServiceMonitor":
            services = [two for two in objects if two["kind"] == "Service"]
            if not any(
                _selects(one["spec"]["selector"], two["metadata"].get("labels", {})) for two in services
            ):
                yield f"{where} selects no Service"


def listeners(config: str) -> dict[int, tuple[str, set[str] | None]]:
    """The host of each listener by port, and its roles without a credential (None: credentials decide)."""
    listen = yaml.safe_load(config)["listen"]
    made = {}
    for one in listen if isinstance(listen, list) else [listen]:
        address = one if isinstance(one, str) else one["address"]
        host, _, port = address.rpartition(":")
        made[int(port)] = (host, None if isinstance(one, str) else set(one["roles"]))
    return made


def ports_match(objects: list[Object]) -> Iterator[str]:
    named: set[str] = set()
    for workload, container in sidecar_containers(objects):
        where = f"{workload['metadata']['name']}/{container['name']}"
        outside = {
            port
            for port, (host, _) in listeners(sidecar_config(objects, workload, container)).items()
            if not host.startswith("127.")
        }
        if {one["containerPort"] for one in container["ports"]} != outside:
            yield f"{where} has other ports than {outside}"
    for workload in workloads(objects):
        for container in containers_of(workload):
            own = {one["name"] for one in container.get("ports", [])}
            named |= own
            for key in ("startupProbe", "readinessProbe", "livenessProbe"):
                if key in container and container[key]["httpGet"]["port"] not in own:
                    yield f"{container['name']}'s {key} uses a port that the container does not have"
    for one in objects:
        spec = one.get("spec", {})
        ports = []
        if one["kind"] == "Service":
            ports = [port["targetPort"] for port in spec["ports"]]
        if one["kind"] == "NetworkPolicy":
            ports = [port["port"] for rule in spec["ingress"] for port in rule["ports"]]
        if one["kind"] == "PodMonitor":
            ports = [endpoint["port"] for endpoint in spec["podMetricsEndpoints"]]
        if one["kind"] == "ServiceMonitor":
            services = {
                port["name"] for two in objects if two["kind"] == "Service" for port in two["spec"]["ports"]
            }
            if not {endpoint["port"] for endpoint in spec["endpoints"]} <= services:
                yield f"{one['metadata']['name']} scrapes a port that no Service has"
        for port in ports:
            if port not in named:
                yield f"{one['kind']} {one['metadata']['name']} has the port {port}, which no container has"


def workers_reach_it(objects: list[Object]) -> Iterator[str]:
    """A sidecar listens at WELLBEING_URL, and workers have access."""
    for workload in workloads(objects):
        for container in containers_of(workload):
            url = environment(container, "ns", "pod").get("WELLBEING_URL")
            if not url:
                continue
            host, _, port = url.removeprefix("http://").rpartition(":")
            where = f"{workload['metadata']['name']}/{container['name']}"
            loopback = host.startswith("127.")
            gates = [
                listeners(sidecar_config(objects, other, one))
                for other, one in sidecar_containers(objects)
                if (other is workload) == loopback
                and (
                    loopback
                    or any(two["kind"] == "Service" and two["metadata"]["name"] == host for two in objects)
                )
            ]
            if len(gates) != 1 or int(port) not in gates[0]:
                yield f"{where} uses {url}, where no sidecar listens"
                continue
            _, roles = gates[0][int(port)]
            has_token = "WELLBEING_TOKEN_FILE" in environment(container, "ns", "pod")
            if not (roles or set()) >= WORKER_ROUTES and not has_token:
                yield f"{where} has no token for {url}"
            wait_secs = float(environment(container, "ns", "pod")["WELLBEING_CLIENT_WAIT_SECS"])
            grace = pod_of(workload).get("terminationGracePeriodSeconds", 30)
            if grace < wait_secs + 15:
                yield f"{where} may be killed while requests wait"
            drain = dict(itertools.pairwise(container.get("args", []))).get("--shutdown-timeout", "0")
            if container["name"] in ENGINES and not 0 < float(drain) < grace:
                yield f"{where} aborts running requests at shutdown"


def config_accepted(objects: list[Object]) -> Iterator[str]:
    for workload, container in sidecar_containers(objects):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "sidecar.yaml")
            file.write_text(sidecar_config(objects, workload, container))
            done = subprocess.run(
                [sys.executable, "-m", "sidecar", "check-config", "--no-files", str(file)],
                check=False,
                capture_output=True,
                text=True,
                cwd=ROOT,
                env={"PATH": os.defpath, **environment(container, "team-a", "qwen-0")},
                timeout=60,
            )
            if done.returncode:
                yield f"{workload['metadata']['name']}: {done.stderr}"


def files_mounted(objects: list[Object]) -> Iterator[str]:
    """The files that the config names are mounted."""
    for workload, container in sidecar_containers(objects):
        config = yaml.safe_load(sidecar_config(objects, workload, container))
        mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
        volumes = {one["name"]: one for one in pod_of(workload)["volumes"]}
        where = workload["metadata"]["name"]
        for credential in config["auth"]["credentials"]:
            path = Path(credential["token_file"])
            if "secret" not in volumes.get(mounts.get(str(path.parent), ""), {}):
                yield f"{where}: {path} is in no Secret"
        state = Path(config["store"]["url"].removeprefix("sqlite:"))
        volume = volumes.get(mounts.get(str(state.parent), ""), {})
        if not {"emptyDir", "persistentVolumeClaim"} & set(volume):
            yield f"{where}: {state} does not survive a restart"


def _files(container: Object, pod: Object) -> dict[str, Object]:
    """The Secret volume of each secret file that ``container`` may read."""
    volumes = {one["name"]: one["secret"] for one in pod.get("volumes", []) if "secret" in one}
    return {
        f"{mount['mountPath']}/{name}": volumes[mount["name"]]
        for mount in container.get("volumeMounts", [])
        if mount["name"] in volumes
        for name in _names(volumes[mount["name"]])
    }


def _names(secret: Object) -> dict[str, str]:
    """The keys of a Secret volume, by the names of their files."""
    items = secret.get("items") or [
        {"key": key, "path": key} for key in SECRETS.get(secret["secretName"], ())
    ]
    return {one["path"]: one["key"] for one in items}


def tokens_there(objects: list[Object]) -> Iterator[str]:
    """Each token file is in a Secret and may be read."""
    for workload in workloads(objects):
        pod = pod_of(workload)
        for container in containers_of(workload):
            where = f"{workload['metadata']['name']}/{container['name']}"
            wanted = {
                value
                for name, value in environment(container, "ns", "pod").items()
                if name.endswith("TOKEN_FILE")
            }
            if (workload, container) in list(sidecar_containers(objects)):
                config = yaml.safe_load(sidecar_config(objects, workload, container))
                wanted |= {one["token_file"] for one in config["auth"]["credentials"]}
            files = _files(container, pod)
            if missing := wanted - set(files):
                yield f"{where}: {missing} are in no Secret"
            for secret in files.values():
                if not set(_names(secret).values()) <= SECRETS.get(secret["secretName"], set()):
                    yield f"{where}: no guide creates {secret}"
                # The files belong to root and to the group in fsGroup.
                mode = secret.get("defaultMode", 0o644)
                grouped = mode & 0o040 and pod.get("securityContext", {}).get("fsGroup")
                if not (mode & 0o004 or grouped):
                    yield f"{where}: may not read {secret['secretName']}"
    for one in objects:
        for endpoint in one.get("spec", {}).get("podMetricsEndpoints", []) + one.get("spec", {}).get(
            "endpoints", []
        ):
            of = endpoint.get("authorization", {}).get("credentials")
            if of and of["key"] not in SECRETS.get(of["name"], ()):
                yield f"{one['metadata']['name']}: no guide creates {of}"


def asks_alertmanager(objects: list[Object]) -> Iterator[str]:
    name, namespace, port = ALERTMANAGER
    for workload, container in sidecar_containers(objects):
        urls = yaml.safe_load(sidecar_config(objects, workload, container))["alerts"]["alertmanager_urls"]
        if urls != [f"http://{name}.{namespace}.svc:{port}"]:
            yield f"{workload['metadata']['name']} queries {urls}"


def _admits(rules: list[Object], way: str, peer: Object, port: object, protocol: str = "TCP") -> bool:
    """Whether a rule admits ``peer``. A rule without peers admits all."""
    return any(
        (way not in rule or peer in rule[way])
        and {"port": port, "protocol": protocol} in rule.get("ports", [])
        for rule in rules
    )


def network_lets_through(objects: list[Object]) -> Iterator[str]:
    """The network policy admits clients of the gate, and requests of the gate to Alertmanager and DNS."""
    for one in objects:
        if one["kind"] != "NetworkPolicy":
            continue
        for who, peer in (("its namespace", {"podSelector": {}}), ("Prometheus", MONITORING)):
            if not _admits(one["spec"]["ingress"], "from", peer, "wellbeing"):
                yield f"{who} is not admitted by {one['metadata']['name']}"
        egress = one["spec"]["egress"]
        if not _admits(egress, "to", MONITORING, ALERTMANAGER[2]):
            yield f"{one['metadata']['name']} blocks Alertmanager"
        # DNS may be a cache on the node. With OpenShift, DNS uses another port. So every address must be allowed.
        for port, protocol in itertools.product((53, 5353), ("UDP", "TCP")):
            if not _admits([rule for rule in egress if "to" not in rule], "to", {}, port, protocol):
                yield f"{one['metadata']['name']} blocks DNS at {port}/{protocol}"


def nodes_drain(objects: list[Object]) -> Iterator[str]:
    for one in objects:
        if one["kind"] == "PodDisruptionBudget" and not one["spec"].get("maxUnavailable"):
            yield f"{one['metadata']['name']} prevents that its node is drained"


def scrape_annotations_lead_to_engines(objects: list[Object]) -> Iterator[str]:
    """The scrape annotations name an engine, which needs no token, and nothing else."""
    for workload in workloads(objects):
        annotations = workload["spec"]["template"]["metadata"].get("annotations", {})
        engines = [one for one in containers_of(workload) if one["name"] in ENGINES]
        where = workload["metadata"]["name"]
        if not engines:
            if "prometheus.io/scrape" in annotations:
                yield f"{where} is scraped without a token"
            continue
        ports = {str(port["containerPort"]) for one in engines for port in one["ports"]}
        if (
            annotations.get("prometheus.io/scrape") != "true"
            or annotations.get("prometheus.io/port") not in ports
        ):
            yield f"{where} is not scraped, or not at its engine's port"


def is_native_sidecar(objects: list[Object]) -> Iterator[str]:
    for workload, container in sidecar_containers(objects):
        starting = pod_of(workload).get("initContainers", [])
        if container in starting and (
            container.get("restartPolicy") != "Always" or starting[0] is not container
        ):
            yield f"{workload['metadata']['name']}: the sidecar is not the first init container, or does not keep running"


def asks_about_itself(objects: list[Object]) -> Iterator[str]:
    """The sidecar of a pod queries the alerts of its own namespace and pod."""
    for workload, container in sidecar_containers(objects):
        values = environment(container, "team-a", "qwen-0")
        wanted = yaml.safe_load(values.get("WELLBEING_ALERTS__ALERTMANAGER__FILTER", "[]"))
        if 'namespace="team-a"' not in wanted:
            yield f"{workload['metadata']['name']}: queries alerts of other namespaces"
        in_pod = container in pod_of(workload).get("initContainers", [])
        if in_pod != ('pod=~"|qwen-0"' in wanted):
            yield f"{workload['metadata']['name']}: queries alerts of other pods, or not all alerts"


CHECKS: tuple[Callable[[list[Object]], Iterator[str]], ...] = (
    non_root,
    read_only_root,
    no_privilege,
    limits_set,
    probes_set,
    images_pinned,
    no_secret_in_sight,
    selectors_match,
    ports_match,
    workers_reach_it,
    config_accepted,
    files_mounted,
    tokens_there,
    asks_alertmanager,
    network_lets_through,
    nodes_drain,
    scrape_annotations_lead_to_engines,
    is_native_sidecar,
    asks_about_itself,
)


def violations(objects: list[Object]) -> list[str]:
    """The problems that all checks find."""
    return [wrong for check in CHECKS for wrong in check(objects)]


def dashboards_in(objects: list[Object]) -> dict[str, Any]:
    """The dashboards that Grafana's sidecar loads, by uid."""
    labelled = [
        one
        for one in objects
        if one["kind"] == "ConfigMap" and one["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]
    boards = [json.loads(text) for one in labelled for text in one["data"].values()]
    return {board["uid"]: board for board in boards}


__all__ = [
    "CHECKS",
    "SECRETS",
    "container_of",
    "dashboards_in",
    "listeners",
    "sidecar_containers",
    "violations",
]
