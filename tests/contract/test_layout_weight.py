"""What starts often, or stays for days, imports nothing heavy (`import prefect` alone costs seconds)."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"prefect", "distributed", "dask", "pandas", "pyarrow", "duckdb", "cv2", "av", "supervision", "tritonclient"}
CORE_HEAVY = {"prefect", "distributed", "pandas", "cv2", "supervision", "matplotlib"}


@pytest.mark.parametrize(
    ("module", "kept_out"),
    [
        ("framehouse.config", HEAVY),
        ("framehouse.cli.main", HEAVY),  # `framehouse --help` answers at once
        ("framehouse.stack", HEAVY),  # the supervisor stays for days
        ("framehouse.inference.server", HEAVY),
        ("framehouse.inference.server_env", HEAVY),
        ("framehouse.samples", HEAVY),
        ("framehouse.loader", CORE_HEAVY | {"av", "tritonclient"}),
        ("framehouse.store.query", CORE_HEAVY | {"av", "tritonclient"}),
        ("framehouse.inference.run", CORE_HEAVY | {"duckdb"}),  # what a Dask worker runs
        ("framehouse.render.annotate", {"prefect", "distributed", "duckdb", "tritonclient"}),
    ],
)
def test_an_import_brings_nothing_heavy(module: str, kept_out: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({kept_out!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
