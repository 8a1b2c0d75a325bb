"""The house: what stands where, what the wheel holds, and what no committed file may say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]

GIVEN = (
    *("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "NOTICE", "Makefile", "prefect.yaml", ".ci/run"),
    *("framehouse", "flows", "tasks", "triton_models", "tests", "docs/decisions"),
    *("requirements/constraints.txt", "requirements/triton.txt"),
)
PACKAGES = ("framehouse", "flows", "tasks")
SERVED = {"triton_backend", "manifest", "templates"}
"""Folders whose Python runs in the server's environment."""
BANNED_NAMES = {"utils", "helpers", "common", "manager", "handler", "util", "helper", "misc"}

TEXT = set(".py .md .toml .txt .yaml .yml .sql .pbtxt .json .sh .cfg .html .js .css".split()) | {""}  # noqa: SIM905
REGISTRY = re.compile(
    r"(pypi|pythonhosted|npmjs|deb\.debian|crates)\.(org|com|io)|--(extra-)?index-url|--find-links", re.IGNORECASE
)
MACHINE_PATH = re.compile(r"(?<![\w.:/$}*~-])/(?:root|home/\w+|work|farm)/\w")


def committed() -> list[Path]:
    """Files that git holds or would add; every file outside hidden folders where there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        files = [file for file in ROOT.rglob("*") if not re.search(r"(^|/)(\.|__pycache__/)", name_of(file))]
    return sorted(file for file in files if file.is_file())


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.suffix in TEXT else ""


FILES = committed()
PYTHON = [file for file in FILES if file.suffix == ".py"]


# ---------------------------------------------------------------- what stands where


@pytest.mark.parametrize("name", GIVEN)
def test_the_given_names_stand(name: str) -> None:
    path = ROOT / name
    assert path.exists()
    assert path.is_dir() or path.stat().st_size > 0, "empty"


def test_packages_are_packages_and_the_rest_is_not() -> None:
    inits = {name_of(file.parent) for file in FILES if file.name == "__init__.py"}
    assert set(PACKAGES) <= inits
    assert {name.split("/")[0] for name in inits} == set(PACKAGES)  # docker/__init__.py would shadow the Docker SDK


def test_every_folder_of_the_package_is_importable() -> None:
    """But what Triton loads by path: its backends and models are files to copy, not modules."""
    files = [file for file in PYTHON if name_of(file).startswith("framehouse/") and not SERVED & {*file.parts}]
    folders = {file.parent for file in files}
    assert not [name_of(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_no_drawer_for_odds_and_ends() -> None:
    odd = [name_of(file) for file in PYTHON for part in file.relative_to(ROOT).parts if Path(part).stem in BANNED_NAMES]
    assert not odd


def test_test_files_have_names_of_their_own() -> None:
    names = [file.name for file in PYTHON if name_of(file).startswith("tests/") and file.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def test_test_files_stand_in_a_folder_that_the_order_knows() -> None:
    allowed = {"unit", "contract", "integration", "e2e"}
    tests = [file.relative_to(ROOT / "tests") for file in PYTHON if file.name.startswith("test_")]
    assert not [str(file) for file in tests if file.parts[0] not in allowed]


def test_no_import_is_tried() -> None:
    """House rule 11: no `try: import` in the package at module level."""
    tried = [
        f"{name_of(file)}:{node.lineno}"
        for file in PYTHON
        if name_of(file).startswith(("framehouse/", "flows/", "tasks/"))
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Try) and any(isinstance(inner, ast.Import | ast.ImportFrom) for inner in node.body)
    ]
    assert not tried


# ---------------------------------------------------------------- what no committed file may say


def test_no_registry_is_named() -> None:
    files = [file for file in FILES if name_of(file) != name_of(Path(__file__))]
    assert not [name_of(file) for file in files if REGISTRY.search(text_of(file))]


def test_no_path_of_one_machine_is_named() -> None:
    found = {name_of(file): hit.group() for file in FILES if (hit := MACHINE_PATH.search(text_of(file)))}
    assert not found


@pytest.mark.parametrize("name", ["constraints.txt", "triton.txt"])
def test_requirements_hold_names_and_versions_only(name: str) -> None:
    requirement = re.compile(r"#.*|[A-Za-z0-9._-]+(\[[\w,-]+\])?([=<>!~][^/@]*)?")
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    assert not [line for line in lines if not requirement.fullmatch(line)]


def pins() -> dict[str, str]:
    """Package to version, as requirements/constraints.txt has them."""
    lines = (ROOT / "requirements/constraints.txt").read_text().splitlines()
    return dict(line.split(" ;")[0].split("==") for line in lines)


def direct_dependencies() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [Requirement(line) for line in lines if not line.startswith("framehouse")]


@pytest.mark.parametrize("requirement", direct_dependencies(), ids=str)
def test_constraints_pin_a_direct_dependency_within_its_range(requirement: Requirement) -> None:
    version = pins().get(canonicalize_name(requirement.name))
    assert version, "run: make constraints"
    assert requirement.specifier.contains(version), "run: make constraints"


def imported_modules() -> dict[str, str]:
    """Top-level module to a file that imports it, over the code that is deployed."""
    nodes = (
        (name_of(file), node)
        for file in PYTHON
        if file.relative_to(ROOT).parts[0] in PACKAGES and not SERVED & {*file.parts}
        for node in ast.walk(ast.parse(file.read_text()))
    )
    found: dict[str, str] = {}
    for name, node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0]: name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found[node.module.split(".")[0]] = name
    return {module: name for module, name in found.items() if module not in {*PACKAGES, *sys.stdlib_module_names}}


def test_what_is_imported_is_declared() -> None:
    """A package that only another one brings along may be gone tomorrow."""
    declared = {canonicalize_name(requirement.name) for requirement in direct_dependencies()}
    owners = packages_distributions()
    undeclared = {
        module: name
        for module, name in imported_modules().items()
        if not declared & {canonicalize_name(owner) for owner in owners.get(module, [])}
    }
    assert not undeclared


def test_cv2_has_one_owner() -> None:
    """opencv-python and opencv-python-headless write the same files (docs/decisions/0002)."""
    assert {name for name in pins() if name.startswith("opencv")} == {"opencv-python-headless"}


# ---------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_only_framehouse(wheel: zipfile.ZipFile) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {name.split("/")[0] for name in wheel.namelist()} == {"framehouse", f"framehouse-{version}.dist-info"}


def test_the_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    """SQL, labels and other data go along, not only Python."""
    missing = {name_of(file) for file in FILES if name_of(file).startswith("framehouse/")} - set(wheel.namelist())
    assert not missing


def test_the_wheel_carries_its_licence(wheel: zipfile.ZipFile) -> None:
    licences = [name for name in wheel.namelist() if "/licenses/" in name]
    assert sorted(Path(name).name for name in licences) == ["LICENSE", "NOTICE"]
    assert all(wheel.getinfo(name).file_size > 0 for name in licences), "empty"


def test_the_installed_package_is_this_checkout() -> None:
    package = import_module("framehouse")
    assert Path(str(package.__file__)).parent == ROOT / "framehouse"


# ---------------------------------------------------------------- papers


def test_the_changelog_has_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def decisions() -> list[Path]:
    return sorted((ROOT / "docs" / "decisions").glob("*.md"))


def test_decisions_are_numbered_without_a_hole() -> None:
    numbers = [file.name[:5] for file in decisions()]
    assert numbers == [f"{number:04d}-" for number in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("file", decisions(), ids=lambda file: file.name)
def test_a_decision_has_the_form_of_the_first(file: Path) -> None:
    text = file.read_text()
    assert text.startswith(f"# {int(file.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert re.search(r"^Status: (accepted|superseded by \d{4}) · \d{4}-\d\d-\d\d$", text, re.MULTILINE)


def test_decisions_that_the_code_cites_exist() -> None:
    known = {file.name[:4] for file in decisions()}
    cited = {(name_of(f), number) for f in FILES for number in re.findall(r"decisions/(\d{4})\b", text_of(f))}
    assert not [(file, number) for file, number in sorted(cited) if number not in known]


# ---------------------------------------------------------------- entrypoints


def deployments() -> list[dict[str, object]]:
    file = ROOT / "prefect.yaml"
    return (yaml.safe_load(file.read_text()) or {}).get("deployments") or [] if file.exists() else []


@pytest.mark.parametrize("deployment", deployments(), ids=lambda deployment: str(deployment["name"]))
def test_an_entrypoint_is_a_module_path_that_imports(deployment: dict[str, object]) -> None:
    """Never a file path: that loads a second copy and puts flows/ itself on sys.path."""
    entrypoint = str(deployment["entrypoint"])
    assert re.fullmatch(r"flows(\.\w+)+", entrypoint)
    code = f"""
import sys
from prefect.flows import Flow, load_flow_from_entrypoint
flow = load_flow_from_entrypoint({entrypoint!r})
assert isinstance(flow, Flow), flow
assert flow is getattr(sys.modules[{entrypoint.rpartition(".")[0]!r}], {entrypoint.rpartition(".")[2]!r})
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_is_a_deployment() -> None:
    assert [deployment["name"] for deployment in deployments()]
