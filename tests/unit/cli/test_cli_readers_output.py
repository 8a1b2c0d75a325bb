from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from framehouse import errors
from framehouse.cli.exit_codes import EXIT_CODES, exit_code
from framehouse.cli.output import emit_bytes, table_text

HEAVY = (
    "prefect",
    "duckdb",
    "cv2",
    "pandas",
    "numpy",
    "pyarrow",
    "av",
    "httpx",
    "structlog",
    "sqlalchemy",
    "distributed",
)


@pytest.mark.parametrize("error", errors.all_errors())
def test_every_error_has_an_exit_code_that_is_no_success(error: type[errors.FramehouseError]) -> None:
    assert 1 <= exit_code(error("x")) < 64


def test_the_families_differ() -> None:
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert exit_code(errors.SourceForbidden("x")) == exit_code(errors.SourceError("x")) == 3


@pytest.mark.parametrize(
    ("columns", "rows", "text"),
    [
        (["a"], [], "a\n-\n"),
        (["name", "n"], [["x", 1], ["yy", None]], "name  n\n----  -\nx     1\nyy\n"),
        (["n"], [[1.5], [20.25]], "    n\n-----\n  1.5\n20.25\n"),
        ([], [], "\n\n"),
    ],
)
def test_table_text(columns: list[str], rows: list[list[object]], text: str) -> None:
    assert table_text(columns, rows) == text


def test_bytes_do_not_go_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(errors.ConfigError) as caught:
        emit_bytes(b"x", None, "Parquet")
    assert caught.value.code == "config.output"


def test_help_imports_nothing_heavy() -> None:
    program = f"import sys, framehouse.cli.main; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_has_help_with_an_example() -> None:
    from framehouse.cli.main import app

    groups = [app, *(group.typer_instance for group in app.registered_groups)]
    commands = [command.callback for group in groups if group for command in group.registered_commands]
    assert len(commands) > 40
    for command in commands:
        assert "Example: framehouse " in (command.__doc__ or ""), command


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    emit_bytes(b"one", tmp_path / "a b.bin", "x")
    emit_bytes(b"two", tmp_path / "a b.bin", "x")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a b.bin", b"two")]
