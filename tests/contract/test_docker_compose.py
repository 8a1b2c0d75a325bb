"""docker/compose.yaml: valid, closed, and every name in it exists. What runs of it is in tests/e2e/test_topology.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import compose_spec
import pytest

from compose_as_processes import COMPOSE, SECRETS, MissingVariable, image_environment, interpolate, read_compose
from deployed import command_faults, unknown_variables, wrong_settings
from framehouse.config import ROOT
from framehouse.stack import components

FOLDER = COMPOSE.parent
SERVICES: dict[str, dict[str, Any]] = read_compose()["services"]
OURS = {name: spec for name, spec in SERVICES.items() if "framehouse-app" in spec["image"]}
ONCE = {"volumes", "prepare"}
TRITONS = {name: spec for name, spec in SERVICES.items() if "framehouse-triton" in spec["image"]}


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_it_is_valid_by_the_specification() -> None:
    made = compose_spec.PyCompose.from_json(json.dumps(read_compose()))
    made.validate()
    made.to_spec()


def test_the_check_of_the_specification_can_fail() -> None:
    with pytest.raises(ValueError, match="imagee"):
        compose_spec.PyCompose.from_json(json.dumps({"services": {"a": {"image": "x", "imagee": "y"}}}))


def test_secrets_must_be_given() -> None:
    for name in SECRETS:
        with pytest.raises(MissingVariable, match=name):
            interpolate(COMPOSE.read_text(), {**SECRETS, name: ""})


def test_the_example_names_every_variable_and_its_default() -> None:
    lines = (FOLDER / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    used = {m[1]: m[3] or "" for m in re.finditer(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", COMPOSE.read_text())}
    used |= dict.fromkeys(SECRETS, "")
    assert example.pop("COMPOSE_PROFILES") == "cpu"
    assert example == used


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_as_little_as_it_can(name: str) -> None:
    spec = SERVICES[name]
    assert spec["read_only"] and spec["cap_drop"] == ["ALL"] and spec["init"]
    assert spec["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in spec and spec.get("pid") is None
    assert spec["restart"] == ("on-failure" if name in ONCE else "unless-stopped")
    if name not in ONCE:
        assert spec.get("healthcheck", {}).get("test") or name == "otel-collector", "its image has no program for one"
        assert spec.get("stop_grace_period") or name in ("prometheus", "grafana", "otel-collector")
    assert not re.search(r":latest|:\s*$", spec["image"])


def test_only_the_address_bind_is_reached_from_outside() -> None:
    published = {name: spec["ports"] for name, spec in SERVICES.items() if spec.get("ports")}
    assert set(published) == {"api", "prefect-server", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


@pytest.mark.parametrize("name", SERVICES)
def test_what_it_names_is_there(name: str) -> None:
    spec, document = SERVICES[name], read_compose()
    assert set(spec.get("depends_on", {})) <= set(SERVICES)
    assert set(spec.get("networks", {})) <= set(document["networks"])
    for volume in spec.get("volumes", []):
        source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
        assert (FOLDER / source).exists() if source.startswith(".") else source in document["volumes"], volume
    build = spec.get("build")
    if build:
        assert (FOLDER / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_settings_exist_and_their_values_fit(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    assert not unknown_variables(environment)
    assert not wrong_settings(environment)


@pytest.mark.parametrize("name", sorted(set(OURS) - {"volumes"}))
def test_commands_exist(name: str) -> None:
    assert not list(command_faults(OURS[name]["command"]))
    check = OURS[name].get("healthcheck")
    assert not check or not list(command_faults(check["test"][1:]))


def test_addresses_are_those_of_services_that_expose_them() -> None:
    exposed = {f"{name}:{port}" for name, spec in SERVICES.items() for port in spec.get("expose", [])}
    named = set()
    for name, spec in OURS.items():
        text = json.dumps([spec.get("environment", {}), spec["command"]])
        named |= set(re.findall(r"(?<=[/@,\"])([a-z][a-z0-9-]*:\d+)", text))
        own = {int(port) for port in spec.get("expose", [])}
        checked = re.findall(r"127\.0\.0\.1:(\d+)", str(spec.get("healthcheck", {})))
        assert {int(port) for port in checked} <= own, name
    assert named - exposed == set()
    assert {"postgres:5432", "bucket:8333", "triton-1:8001", "triton-2:8001"} <= named


def test_the_two_kinds_of_triton_answer_to_the_same_names() -> None:
    names = {
        spec["profiles"][0]: set() for spec in TRITONS.values()
    }  # fmt: skip
    for name, spec in TRITONS.items():
        inside = spec["networks"]["inside"] if isinstance(spec["networks"], dict) else {}
        names[spec["profiles"][0]] |= set(inside.get("aliases", [name]))
    assert names == {"cpu": {"triton-1", "triton-2"}, "gpu": {"triton-1", "triton-2"}}


@pytest.mark.parametrize("name", TRITONS)
def test_triton_has_time_and_room(name: str) -> None:
    spec = TRITONS[name]
    words = dict(word.removeprefix("--").split("=", 1) for word in spec["command"] if "=" in word)
    assert seconds(spec["stop_grace_period"]) > float(words["exit-timeout-secs"])
    assert spec["shm_size"] == "1gb" and spec["ipc"] == "private"
    assert words["model-config-name"] == "cpu"
    assert {words["http-port"], words["grpc-port"], words["metrics-port"]} == set(spec["expose"])
    loaded = [word.partition("=")[2] for word in spec["command"] if word.startswith("--load-model")]
    assert all((ROOT / "triton_models" / model / "config.pbtxt").is_file() for model in loaded)


def test_dask_gets_what_the_local_stack_gives_it() -> None:
    expected = components._dask_environment()
    for name in ("dask-scheduler", "dask-worker"):
        got = SERVICES[name]["environment"]
        assert {key: str(got.get(key)) for key in expected} == expected


def test_prefect_gets_what_the_local_stack_gives_it(settings: Any) -> None:
    (component,) = components._prefect(settings, {})
    quiet = {k: v for k, v in component.process._env.items() if k.startswith("PREFECT_SERVER_") and "API_URL" not in k}
    assert {key: SERVICES["prefect-server"]["environment"].get(key) for key in quiet} == quiet
    common = {k: v for k, v in components._prefect_environment(settings).items() if "HOME" not in k and "PATH" not in k}
    mine = {**image_environment(), **SERVICES["runner"]["environment"]}
    assert {key: mine.get(key) for key in common} == common


def test_there_is_one_loader() -> None:
    loaders = [name for name, spec in OURS.items() if "framehouse.loader" in spec["command"]]
    assert loaders == ["loader"] and SERVICES["loader"]["deploy"]["replicas"] == 1


def test_all_of_ours_share_one_home() -> None:
    """An upload is seen by whoever runs its job."""
    with_home = {name for name, spec in OURS.items() if "data:/data" in spec["volumes"]}
    assert with_home == {"runner", "prefect-worker", "dask-worker", "loader", "api"}


def test_what_the_example_leaves_out_is_not_committed() -> None:
    assert "docker/.env" in (ROOT / ".gitignore").read_text().splitlines()
    assert not [path for path in Path(FOLDER).glob(".env*") if path.name != ".env.example" and path.name != ".env"]
