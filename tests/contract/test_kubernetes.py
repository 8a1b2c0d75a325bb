"""docker/kubernetes/: valid by Kubernetes' own schemas, closed, and the same processes as docker/compose.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from compose_as_processes import read_compose
from deployed import command_faults, unknown_variables, wrong_settings
from framehouse.config import ROOT

FOLDER = ROOT / "docker" / "kubernetes"
VERSIONS = ("1.31", kubernetes_validate.latest_version())
SECRET_KEYS = {"POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
SAME_AS_COMPOSE = {
    "loader": "loader", "api": "api", "runner": "runner", "prefect-server": "prefect-server",
    "scheduler": "dask-scheduler", "worker": "dask-worker", "triton": "triton-1",
}  # fmt: skip


def load(folder: str) -> list[dict[str, Any]]:
    return [
        found for path in sorted((FOLDER / folder).glob("*.yaml")) for found in yaml.safe_load_all(path.read_text())
    ]


BASE, GPU = load("."), load("gpu")
EVERYTHING = [*BASE, *GPU]


def named(found: dict[str, Any]) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [found for found in BASE if found["kind"] in kinds]


WORKLOADS = [found for found in EVERYTHING if found["kind"] in ("Deployment", "StatefulSet")]
OURS = [found for found in WORKLOADS if found["metadata"]["name"] != "postgres"]


def containers(found: dict[str, Any]) -> list[dict[str, Any]]:
    return list(found["spec"]["template"]["spec"]["containers"])


def data_of(name: str) -> dict[str, str]:
    (found,) = [found for found in of_kind("ConfigMap") if found["metadata"]["name"] == name]
    return dict(found["data"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("found", EVERYTHING, ids=named)
def test_it_is_valid(found: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(found, version, strict=True)


def test_the_check_can_fail() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**WORKLOADS[0], "spec": {"replica": 1}}, VERSIONS[0], strict=True)


def test_all_of_it_lies_in_the_namespace() -> None:
    spaces = {found["metadata"].get("namespace") for found in EVERYTHING if found["kind"] != "Namespace"}
    assert spaces == {"framehouse"}
    assert not [found for found in EVERYTHING if found["kind"] == "Secret"], "secrets are made by hand"


@pytest.mark.parametrize("found", WORKLOADS, ids=named)
def test_pods_may_do_as_little_as_they_can(found: dict[str, Any]) -> None:
    pod = found["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] >= 15
    for container in pod["containers"]:
        closed = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["securityContext"] == closed
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]) and container["resources"]["limits"][
            "memory"
        ]
        assert container["startupProbe"] and container["livenessProbe"]
        assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("found", WORKLOADS, ids=named)
def test_volumes_and_mounts_fit(found: dict[str, Any]) -> None:
    pod = found["spec"]["template"]["spec"]
    there = {volume["name"] for volume in pod["volumes"]}
    there |= {claim["metadata"]["name"] for claim in found["spec"].get("volumeClaimTemplates", [])}
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == there
    assert all("/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]} for container in pod["containers"])
    maps = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
    assert all(data_of(name) for name in maps)


@pytest.mark.parametrize("found", OURS, ids=named)
def test_the_processes_are_those_of_compose(found: dict[str, Any]) -> None:
    services = read_compose()["services"]
    for container in containers(found):
        same = services[SAME_AS_COMPOSE[container["name"]]]
        command = [str(word) for word in same["command"]]
        mine = [word.replace("--model-config-name=gpu", "--model-config-name=cpu") for word in container["args"]]
        assert mine == command
        if container["name"] != "triton":
            assert not list(command_faults(container["args"]))
            assert container["image"] == same["image"] == "framehouse-app:local"
        grace_s = found["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace_s >= float(same["stop_grace_period"].removesuffix("s"))


@pytest.mark.parametrize("found", OURS, ids=named)
def test_what_they_are_told_is_what_compose_tells(found: dict[str, Any]) -> None:
    services = read_compose()["services"]
    elsewhere = {"AWS_ENDPOINT_URL", "PREFECT_CLI_PROMPT", "FRAMEHOUSE_PREFECT__RUN_SLOTS"}
    """A store of one's own; the prompts of `prefect worker`; the default."""
    for container in containers(found):
        told = environment(container)
        theirs = set(services[SAME_AS_COMPOSE[container["name"]]].get("environment", {}))
        known_by_task = {"FRAMEHOUSE_STATE__URL"} if container["name"] == "worker" else set()
        assert theirs - set(told) <= elsewhere | known_by_task
        assert not unknown_variables(told)
        assert not wrong_settings({k: v for k, v in told.items() if v is not None})


def environment(container: dict[str, Any]) -> dict[str, str | None]:
    """Variables of a container; None for those of the Secret."""
    told: dict[str, str | None] = {}
    for source in container.get("envFrom", []):
        told |= data_of(source["configMapRef"]["name"])
    for entry in container.get("env", []):
        if "valueFrom" in entry:
            secret = entry["valueFrom"]["secretKeyRef"]
            assert secret["name"] == "framehouse-secrets" and secret["key"] in SECRET_KEYS
        told[entry["name"]] = entry.get("value")
        for used in re.findall(r"\$\((\w+)\)", entry.get("value", "")):
            assert used in told, "Kubernetes replaces only what stands above"
    return told


def test_settings_are_those_of_compose() -> None:
    dask = read_compose()["services"]["dask-scheduler"]["environment"]
    assert data_of("dask-settings") == {key: str(value) for key, value in dask.items()}
    assert not wrong_settings(data_of("framehouse-settings"))


def test_there_is_one_store_and_one_scheduler() -> None:
    loaders = [found for found in BASE if found in WORKLOADS and any(c["name"] == "loader" for c in containers(found))]
    assert [(named(found), found["spec"]["replicas"]) for found in loaders] == [("StatefulSet/store", 1)]
    for name in ("dask-scheduler", "prefect-server"):
        (single,) = [found for found in of_kind("Deployment") if found["metadata"]["name"] == name]
        assert single["spec"]["replicas"] == 1 and single["spec"]["strategy"] == {"type": "Recreate"}


def test_autoscalers_have_their_target_to_themselves() -> None:
    scaled = {}
    for scaler in of_kind("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        (found,) = [found for found in of_kind(target["kind"]) if found["metadata"]["name"] == target["name"]]
        assert "replicas" not in found["spec"], "two would set it"
        assert found["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        scaled[target["name"]] = scaler["spec"]
    assert set(scaled) == {"triton", "dask-worker"}
    urls = data_of("framehouse-settings")["FRAMEHOUSE_TRITON__URL"].split(",")
    assert urls == [f"triton-{n}.triton:8001" for n in range(scaled["triton"]["maxReplicas"])]


def test_the_configuration_of_the_models_is_the_one_that_clients_are_told() -> None:
    (triton,) = [found for found in of_kind("StatefulSet") if found["metadata"]["name"] == "triton"]
    name = data_of("framehouse-settings")["FRAMEHOUSE_TRITON__CONFIG_NAME"]
    assert f"--model-config-name={name}" in containers(triton)[0]["args"]


def test_what_may_be_many_has_a_disruption_budget() -> None:
    budgets = {found["metadata"]["name"] for found in of_kind("PodDisruptionBudget")}
    assert budgets == {"triton", "dask-worker", "runner"}
    for found in of_kind("PodDisruptionBudget"):
        assert list(pods(found["spec"]["selector"]))


def pods(selector: dict[str, Any]) -> Iterator[str]:
    """Workloads whose pods a selector takes."""
    for found in WORKLOADS:
        labels = found["spec"]["template"]["metadata"]["labels"]
        wanted = selector.get("matchLabels", {})
        among = selector.get("matchExpressions", [])
        if wanted.items() <= labels.items() and all(labels.get(rule["key"]) in rule["values"] for rule in among):
            yield found["metadata"]["name"]


def test_services_lead_to_ports_that_are_listened_on() -> None:
    for service in of_kind("Service"):
        (target, *_) = [
            w
            for w in WORKLOADS
            if w["spec"]["template"]["metadata"]["labels"]["app"] == service["spec"]["selector"]["app"]
        ]
        listened = {port["containerPort"] for c in containers(target) for port in c.get("ports", [])}
        assert {port["port"] for port in service["spec"]["ports"]} <= listened


def test_addresses_in_settings_are_services() -> None:
    ports = {(s["metadata"]["name"], p["port"]) for s in of_kind("Service") for p in s["spec"]["ports"]}
    text = yaml.safe_dump([environment(c) for w in OURS for c in containers(w)])
    used = set(re.findall(r"(?<=[/@])([a-z][a-z-]*):(\d+)", text)) | set(re.findall(r"triton-\d\.(triton):(\d+)", text))
    assert used and {(name, int(port)) for name, port in used} <= ports


def test_network_policies_name_pods_that_exist_and_open_what_is_needed() -> None:
    policies = of_kind("NetworkPolicy")
    (nothing,) = [
        p
        for p in policies
        if p["spec"]["podSelector"] == {} and "ingress" not in p["spec"] and "egress" not in p["spec"]
    ]
    assert nothing["spec"]["policyTypes"] == ["Ingress", "Egress"]
    for policy in policies:
        assert list(pods(policy["spec"]["podSelector"])), named(policy)
    for service in of_kind("Service"):
        name = service["spec"]["selector"]["app"]
        open_ports = {
            port["port"] for p in policies if name in set(pods(p["spec"]["podSelector"]))
            for rule in p["spec"].get("ingress", []) for port in rule["ports"]
        }  # fmt: skip
        assert {port["port"] for port in service["spec"]["ports"]} - {8000} <= open_ports, "8000 is for probes"


@pytest.mark.parametrize("found", OURS, ids=named)
def test_who_is_told_an_address_may_go_there(found: dict[str, Any]) -> None:
    labels = found["spec"]["template"]["metadata"]["labels"]
    text = str([environment(container) for container in containers(found)])
    if "postgres:5432" in text or labels["app"] == "dask-worker":  # a chunk looks after the lease of its run
        assert labels.get("uses") == "postgres"
    if "triton-0.triton:8001" in text:
        assert labels.get("uses-engine") == "true" and labels.get("reaches-out") == "true"
