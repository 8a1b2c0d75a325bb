"""The guides of scenes, tags and reels: their commands have these options, and their SQL runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from framehouse.cli.main import app
from framehouse.results.lake import Lake
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / "docs" / "guide" / f"{name}.md").read_text() for name in ("scenes", "tags", "reels")}
COMMANDS = [line for page in PAGES.values() for line in re.findall(r"^\$ framehouse (.+)$", page, re.M)]
SQL = [sql for page in PAGES.values() for sql in re.findall(r"```sql\n(.*?)\n```", page, re.S)]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_a_guide_can_be_given(line: str) -> None:
    name, *words = shlex.split(line)
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    command.make_context(name, words)  # raises for an option that is not there, or a value that cannot be


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("empty")
    rebuild(root / "store", Lake(root / "lake"))
    return root / "store"


@pytest.mark.parametrize("sql", SQL)
def test_sql_of_a_guide_runs(empty: Path, sql: str) -> None:
    assert run_query(empty, sql).columns


def test_there_are_some() -> None:
    assert (len(COMMANDS), len(SQL)) == (13, 3)
