"""What the README names exists: commands and their options, make targets, tables, settings, files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from framehouse.cli.main import app
from framehouse.config import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()
GROUP: Any = typer.main.get_command(app)


def commands() -> list[list[str]]:
    """Words of every `framehouse …` line of a code block or in backticks, without comments and quoted SQL."""
    lines = re.findall(r"^\$? ?framehouse ([^\n]*)", README, re.M) + re.findall(r"`framehouse ([^`\n]*)`", README)
    cleaned = [re.sub(r"\s#.*|\"[^\"]*\"?", "", line).split() for line in lines]
    return [list(words) for words in {tuple(words) for words in cleaned}]


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("words", sorted(commands()), ids=" ".join)
def test_a_command_exists_with_its_options(words: list[str]) -> None:
    command, rest = GROUP, list(words)
    while rest and hasattr(command, "commands"):
        assert rest[0] in command.commands, words
        command = command.commands[rest.pop(0)]
    assert {word for word in rest if word.startswith("--")} <= options_of(command)


def test_there_are_commands_to_check() -> None:
    named = {words[0] for words in commands()}
    assert {"up", "down", "run", "sql", "results", "render", "jobs", "status", "doctor"} <= named


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z]+)", README))))
def test_a_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_tables_and_views_exist() -> None:
    section = README.split("## Tables")[1].split("## ")[0].split(". Every")[0]
    named = set(re.findall(r"`([a-z_]+)`", section))
    schema = "".join(path.read_text() for path in (ROOT / "framehouse" / "store" / "migrations").glob("*.sql"))
    views = {path.stem for path in (ROOT / "framehouse" / "store" / "views").glob("*.sql")}
    tables = set(re.findall(r"CREATE TABLE (\w+)", schema))
    assert len(named) > 8
    assert named <= tables | views
    assert views <= named


@pytest.mark.parametrize("name", sorted(set(re.findall(r"FRAMEHOUSE_[A-Z_]+", README)) - {"FRAMEHOUSE_"}))
def test_a_setting_exists(name: str) -> None:
    group, _, field = name.removeprefix("FRAMEHOUSE_").lower().partition("__")
    fields = Settings.model_fields
    assert group in fields
    if field:
        annotation = fields[group].annotation
        assert annotation is not None
        assert field in annotation.model_fields


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_a_linked_file_exists(target: str) -> None:
    assert (ROOT / target).exists()
