"""docs/guide/models.md: its tables are those of the cards and the manifest, and its commands exist."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import typer.main

from framehouse.cli.main import app
from framehouse.config import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guide" / "models.md").read_text()
GROUP: Any = typer.main.get_command(app)
LINES = re.findall(r"^(?:\w+=\S+ )?framehouse ([^\n]*)", PAGE, re.M) + re.findall(r"`framehouse ([^`\n]*)`", PAGE)
COMMANDS = sorted({re.sub(r"\s+#.*", "", line).strip() for line in LINES})


def test_the_tables_are_written_by_the_script() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "zoo_page.py"))["page"](PAGE)
    assert made == PAGE, "run: python scripts/zoo_page.py"
    assert "| `detector/1` | Common objects" in PAGE


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_exists_with_its_options(line: str) -> None:
    command, rest = GROUP, line.split()
    while rest and hasattr(command, "commands"):
        assert rest[0] in command.commands, line
        command = command.commands[rest.pop(0)]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in rest if word.startswith("--")} <= known


def test_there_are_commands_to_check() -> None:
    assert {line.split()[1] for line in COMMANDS if line.startswith("models")} >= {"pull", "list", "check", "remove"}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"FRAMEHOUSE_[A-Z_]+__[A-Z_]+", PAGE))))
def test_a_setting_exists(name: str) -> None:
    group, _, field = name.removeprefix("FRAMEHOUSE_").lower().partition("__")
    annotation = Settings.model_fields[group].annotation
    assert annotation is not None
    assert field in annotation.model_fields


def test_every_models_command_is_in_the_page() -> None:
    assert {line.split()[1] for line in COMMANDS if line.startswith("models")} == set(GROUP.commands["models"].commands)


def test_every_models_command_has_an_example() -> None:
    for name, command in GROUP.commands["models"].commands.items():
        assert f"Example: framehouse models {name}" in (command.help or ""), name
