"""The test frame itself: a real part that did not run is told, or fails the run where it is required."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "tests/e2e/test_z.py": "def test_last(): pass\n",
    "tests/integration/test_y.py": """
        import pytest
        from real_parts import require

        @pytest.mark.real("triton")
        def test_runs(): pass

        @pytest.mark.real("dask")
        def test_skips(): pytest.skip("no scheduler here")

        def test_requires(): require("prefect", "no server here")

        @pytest.mark.real("triton")
        @pytest.mark.xfail(reason="known")
        def test_known(): assert False
    """,
    "tests/integration/test_x.py": """
        import pytest
        pytest.importorskip("no_such_module_at_all")
    """,
    "tests/unit/test_w.py": """
        import socket, time
        import pytest

        def test_socket():
            with socket.socket() as one: one.connect(("127.0.0.1", 9))

        def test_lookup():
            socket.create_connection(("localhost", 9))

        def test_sleep():
            time.sleep(0.001)

        def test_no_wait():
            time.sleep(0)
            left, right = socket.socketpair()
            left.close(), right.close()

        def test_unmarked_skip(): pytest.skip("not a real part")
    """,
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    """A tree of its own with the real frame and a few tests of each fate."""
    import textwrap

    folder = tmp_path_factory.mktemp("frame")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    for name in ("pyproject.toml", "tests/conftest.py", "tests/real_parts.py", "tests/unit/conftest.py"):
        shutil.copy(checkout / name, folder / name)
    return folder


def run(tree: Path, require: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FRAMEHOUSE_TEST_REQUIRE": require, "COLUMNS": "160"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True)


def test_what_did_not_run_is_told_with_its_reason(tree: Path) -> None:
    done = run(tree, "", "tests/integration", "tests/e2e")
    assert done.returncode == 0, done.stdout
    for line in (
        "triton: 1 ran",
        "dask: 0 ran, 1 DID NOT RUN",
        "    1 x no scheduler here",
        "    1 x prefect: no server here",
        "    1 x could not import 'no_such_module_at_all': No module named 'no_such_module_at_all'",
    ):
        assert line in done.stdout.splitlines()
    assert done.stdout.rstrip().splitlines()[-1].startswith("=====")


def test_two_processes_tell_the_same_and_each_file_is_run_by_one(tree: Path) -> None:
    done = run(tree, "", "tests", "-v", "-n", "2")
    lines = done.stdout.splitlines()
    assert "3 failed, 3 passed, 4 skipped, 1 xfailed" in lines[-1], done.stdout
    for line in (
        "triton: 1 ran",
        "dask: 0 ran, 1 DID NOT RUN",
        "e2e: 1 ran",
        "    1 x could not import 'no_such_module_at_all': No module named 'no_such_module_at_all'",
    ):
        assert line in lines
    ends = [line.split() for line in lines if line.startswith("[gw") and "::" in line]
    files = {(words[-1].partition("::")[0], words[0]) for words in ends}
    assert sorted(file for file, _ in files) == [
        "tests/e2e/test_z.py",
        "tests/integration/test_y.py",
        "tests/unit/test_w.py",
    ]


@pytest.mark.parametrize(
    ("require", "n_failed"), [("dask", 1), ("prefect", 1), ("triton", 0), ("dask,prefect", 2), ("all", 2)]
)
def test_what_is_required_must_run(tree: Path, require: str, n_failed: int) -> None:
    done = run(tree, require, "tests/integration/test_y.py")
    assert done.returncode == (1 if n_failed else 0)
    assert done.stdout.count("FAILED tests") == n_failed, done.stdout


def test_a_whole_file_that_skips_itself_fails_where_it_is_required(tree: Path) -> None:
    done = run(tree, "all", "tests/integration/test_x.py")
    assert done.returncode not in (0, 5)
    assert "no_such_module_at_all" in done.stdout


def test_unit_tests_reach_no_network_and_do_not_sleep(tree: Path) -> None:
    done = run(tree, "all", "tests/unit")
    assert "3 failed, 1 passed, 1 skipped" in done.stdout
    assert done.stdout.count("UnitTestReachedOut") >= 3


def test_order_is_unit_first_end_to_end_last(tree: Path) -> None:
    listed = run(tree, "", "--collect-only", "-q", "tests/e2e", "tests/integration/test_y.py", "tests/unit").stdout
    files = [line.split("::")[0] for line in listed.splitlines() if "::" in line]
    assert list(dict.fromkeys(files)) == ["tests/unit/test_w.py", "tests/integration/test_y.py", "tests/e2e/test_z.py"]
