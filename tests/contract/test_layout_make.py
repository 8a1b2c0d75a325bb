"""Make and CI: the targets that interface.md promises, and what they would run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TARGETS = ("setup", "demo", "test", "lint", "bench", "e2e", "chaos", "help", "constraints")


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "--no-print-directory", *words], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def clone(tmp_path: Path, checkout: Path) -> Path:
    """A checkout that nothing was set up in, in a folder with a space in its name."""
    folder = tmp_path / "a clone"
    (folder / "requirements").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements/constraints.txt"):
        shutil.copy(checkout / name, folder / name)
    return folder


def test_help_lists_every_target_with_a_line(checkout: Path) -> None:
    shown = dict(re.findall(r"^make ([a-z0-9-]+) +(\S.*)$", make(checkout, "help").stdout, re.MULTILINE))
    assert set(TARGETS) <= set(shown)
    phony = re.search(r"^\.PHONY: (.*)$", (checkout / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert set(shown) == set(phony.group(1).split()) - {"server-env"}


def test_make_alone_is_help(checkout: Path) -> None:
    assert make(checkout).stdout == make(checkout, "help").stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("test", "ARGS=-k probe"), ".venv/bin/python -m pytest -k probe"),
        (("e2e",), ".venv/bin/python -m pytest tests/e2e"),
        (("chaos", "KILLS=3"), ".venv/bin/python -m chaos --videos 100 --kills 3"),
        (("bench",), ".venv/bin/python tests/benchmarks/bench.py"),
        (("demo",), ".venv/bin/python scripts/demo.py"),
        (("lint",), ".venv/bin/python -m mypy"),
        (("setup", "UV=uv"), "uv pip install --quiet --python .venv/bin/python --compile-bytecode"),
        (("setup", "UV="), ".venv/bin/python -m pip install"),
    ],
)
def test_a_target_runs_what_it_says(clone: Path, words: tuple[str, ...], expected: str) -> None:
    planned = make(clone, "--dry-run", *words)
    assert planned.returncode == 0, planned.stderr
    assert expected in re.sub(r" +", " ", planned.stdout)


@pytest.mark.parametrize("target", ["test", "demo", "bench", "e2e", "chaos"])
def test_what_runs_builds_both_environments_first(clone: Path, target: str) -> None:
    planned = make(clone, "--dry-run", target).stdout
    assert planned.index("-c requirements/constraints.txt") < planned.index("framehouse.inference.server_env")


def test_an_environment_that_is_made_is_not_made_again(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv/.installed").write_text(str(clone))
    assert "pip install" not in make(clone, "--dry-run", "setup").stdout


def test_a_clone_that_moved_is_set_up_again(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv/.installed").write_text("/somewhere/else")
    assert "pip install" in make(clone, "--dry-run", "setup").stdout


def test_a_python_that_does_not_fit_is_refused(clone: Path) -> None:
    refused = make(clone, "setup", "PYTHON=false")
    assert refused.returncode != 0
    assert "false is not Python 3.11 or 3.12" in refused.stderr
    assert not (clone / ".venv").exists()


def test_ci_is_sound_bash_and_stops_at_the_first_failure(checkout: Path) -> None:
    script = checkout / ".ci/run"
    assert script.stat().st_mode & 0o111
    lines = script.read_text().splitlines()
    assert "set -euo pipefail" in lines
    subprocess.run(["bash", "-n", script], check=True)
    assert lines[-1].startswith("make test"), "the last line of a run must be pytest's own"
