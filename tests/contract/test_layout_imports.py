"""The import rules can fail: each of house.md's forbidden imports, put into an empty tree, is reported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = (
    "api",
    "cli",
    "jobs",
    "loader",
    "stack",
    "catalog",
    "analytics",
    "export",
    "store",
    "inference",
    "render",
    "state",
    "video",
    "keep",
)
MODULES = (
    "cluster",
    "alone",
    "apart",
    "results",
    "storage",
    "config",
    "packages",
    "ids",
    "errors",
    "telemetry",
    "readiness",
    "ports",
    "release",
    "repositories",
    "room",
    "backups",
    "tracing",
    "samples",
)
EMPTY = {
    **{f"framehouse/{name}/__init__.py": "" for name in PACKAGES},
    **{f"framehouse/{name}.py": "" for name in MODULES},
    "framehouse/__init__.py": "",
    "framehouse/inference/triton.py": "",
    "framehouse/store/connection.py": "",
    "flows/__init__.py": "",
    "tasks/__init__.py": "",
}

ALLOWED = [
    ("flows/a.py", "import prefect; import tasks; from framehouse import config, jobs"),
    ("tasks/b.py", "import prefect; import prefect_aws; from framehouse import cluster, inference, config"),
    ("framehouse/cli/c.py", "from framehouse import config, jobs, stack, store, render"),
    ("framehouse/jobs/d.py", "import prefect; from framehouse import config, state"),
    ("framehouse/loader/e.py", "from framehouse import state, store, results, config"),
    ("framehouse/cluster.py", "import distributed; from framehouse import alone, results, video"),
    ("framehouse/inference/triton.py", "import tritonclient.grpc; from framehouse import errors"),
    ("framehouse/store/connection.py", "import duckdb; from framehouse import results"),
    ("framehouse/video/decode.py", "import av; from framehouse import storage"),
    ("framehouse/render/f.py", "from framehouse import video, results"),
]

FORBIDDEN = [
    ("tasks/b.py", "import flows"),
    ("framehouse/cli/c.py", "import flows"),
    ("framehouse/jobs/d.py", "import tasks"),
    ("framehouse/api/c.py", "import framehouse.cli"),
    ("framehouse/jobs/d.py", "import framehouse.cli"),
    ("framehouse/jobs/d.py", "import framehouse.stack"),
    ("framehouse/loader/d.py", "import framehouse.jobs"),
    ("framehouse/stack/d.py", "import framehouse.loader"),
    ("framehouse/catalog/d.py", "import framehouse.jobs"),
    ("framehouse/store/d.py", "import framehouse.state"),
    ("framehouse/render/d.py", "import framehouse.inference"),
    ("framehouse/cluster.py", "import framehouse.inference"),
    ("framehouse/alone.py", "import framehouse.cluster"),
    ("framehouse/results.py", "import framehouse.store"),
    ("framehouse/video/d.py", "import framehouse.results"),
    ("framehouse/storage.py", "import framehouse.video"),
    ("framehouse/errors.py", "import framehouse.ids"),
    ("framehouse/ids.py", "import framehouse.config"),
    ("framehouse/state/d.py", "import framehouse.config"),
    ("framehouse/inference/d.py", "import framehouse.config"),
    ("framehouse/export/d.py", "import framehouse.config"),
    ("framehouse/export/d.py", "import framehouse.analytics"),
    ("framehouse/cli/c.py", "import prefect"),
    ("framehouse/stack/d.py", "import prefect"),
    ("framehouse/storage.py", "import prefect_aws"),
    ("framehouse/jobs/d.py", "import distributed"),
    ("tasks/b.py", "import distributed"),
    ("framehouse/inference/d.py", "import tritonclient"),
    ("framehouse/cli/c.py", "import duckdb"),
    ("framehouse/loader/d.py", "import duckdb"),
    ("framehouse/render/d.py", "import av"),
    ("flows/a.py", "import av"),
]


def lint(tree: Path, checkout: Path, imports: list[tuple[str, str]]) -> subprocess.CompletedProcess[str]:
    """Write an empty tree with the given imports and run the real contracts over it."""
    sources = {**EMPTY}
    for file, statement in imports:
        sources[file] = sources.get(file, "") + statement + "\n"
    for name, text in sources.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "pyproject.toml").write_text((checkout / "pyproject.toml").read_text())
    code = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )


def module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> str:
    """What the linter says of all forbidden imports at once."""
    done = lint(tmp_path_factory.mktemp("broken"), checkout, FORBIDDEN)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_the_allowed_imports_are_allowed(tmp_path: Path, checkout: Path) -> None:
    done = lint(tmp_path, checkout, ALLOWED)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("file", "statement"), FORBIDDEN)
def test_a_forbidden_import_is_reported(broken: str, file: str, statement: str) -> None:
    imported = statement.removeprefix("import ")
    assert re.search(rf"\b{re.escape(module(file))} -> {re.escape(imported)}\b", broken), broken


def test_a_module_without_a_level_is_reported(tmp_path: Path, checkout: Path) -> None:
    done = lint(tmp_path, checkout, [("framehouse/newcomer.py", "")])
    assert done.returncode == 1
    assert "newcomer" in done.stdout
