"""docs/guide/operations.md and the systemd units: every command, setting, code, path and figure is there."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer.main

from framehouse.cli.main import app
from framehouse.config import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "guide" / "operations.md"
GUIDE = PAGE.read_text()
UNITS = sorted((ROOT / "docker" / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]


def commands() -> set[str]:
    """What follows `framehouse` in code blocks and between backticks."""
    plain = GUIDE.replace("/opt/framehouse/.venv/bin/framehouse", "framehouse")
    blocks = re.findall(r"^(?:\$ |.* )?framehouse ((?:[a-z]+)(?: [^\n]*)?)$", plain, re.M)
    inline = re.findall(r"`(?:FRAMEHOUSE_HOME=\S+ )?framehouse ([^`\n]*)`", plain)
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return {line for line in [*inline, *blocks] if line.split()[0] in known or line in inline}


@pytest.mark.parametrize("line", sorted(commands()))
def test_a_command_can_be_given(line: str) -> None:
    words, command = shlex.split(line), typer.main.get_command(app)
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_commands_are_found() -> None:
    found = {line.split(" -")[0] for line in commands()}
    named = {"up", "down", "doctor", "db backup", "db migrate", "db rebuild", "keys create me", "keys revoke", "prune"}
    assert named <= found
    assert any(line.startswith("db restore /srv") for line in found)
    assert "db backup /mnt/backups --no-lake" in commands()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"FRAMEHOUSE_[A-Z_]+", GUIDE))))
def test_a_setting_exists(name: str) -> None:
    group, _, field = name.removeprefix("FRAMEHOUSE_").lower().partition("__")
    annotation = Settings.model_fields[group].annotation
    if field:
        assert annotation is not None
        assert field in annotation.model_fields


def test_codes_are_raised_somewhere() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "framehouse").rglob("*.py"))
    codes = set(re.findall(r"`((?:config|store|job|source)\.[a-z_]+)`", GUIDE))
    assert len(codes) >= 5
    assert [code for code in codes if f'"{code}"' not in sources] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)", GUIDE))))
def test_a_linked_page_exists(target: str) -> None:
    assert (PAGE.parent / target).resolve().exists()


def test_paths_and_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make (?:-C \S+ )?([a-z][a-z-]+)", GUIDE)):
        assert re.search(rf"^{target}:", makefile, re.M), target
    named = set(re.findall(r"\bdocker/systemd/[\w.-]+", GUIDE))
    assert named >= {f"docker/systemd/{path.name}" for path in UNITS}
    assert all((ROOT / name).exists() for name in named)


def test_figures_are_those_of_the_page_on_scaling() -> None:
    """Columns `1 TB in a week` and `10,000 hours a day`."""
    rows = {row[0]: row for row in _rows((ROOT / "docs" / "scaling.md").read_text()) if len(row) == 6}
    wanted = {name: [row[1], row[3]] for name, row in rows.items()}
    section = GUIDE.split("## Capacity")[1].split("## ")[0]
    given = {row[0]: row[1:] for row in _rows(section) if len(row) == 3}
    del given[""], given["---"]
    assert len(given) == 4
    assert {name: wanted[name] for name in given} == given


def _rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_the_table_of_a_backup_is_what_a_backup_holds() -> None:
    section = GUIDE.split("| file | what |")[1].split("\n\n")[0]
    code = (ROOT / "framehouse" / "keep" / "backup.py").read_text()
    named = re.findall(r"^\| `([\w./]+)`", section, re.M)
    assert sorted(name.rstrip("/") for name in named) == ["lake", "manifest.json", "signing.key", "state.db", "store"]
    assert all(f'"{name.rstrip("/")}"' in code for name in named)


# ---------------------------------------------------------------- units


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_unit_starts_what_exists_and_not_as_root(path: Path) -> None:
    service = unit(path)["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert service["User"] == "framehouse"
    assert service["ReadWritePaths"] == service["Environment"].removeprefix("FRAMEHOUSE_HOME=") == "/srv/framehouse"
    if words[:1] == ["-m"]:
        assert program == "/opt/framehouse/.venv/bin/python"
        assert find_spec(f"{words[1]}.__main__") is not None
    else:
        assert program == "/opt/framehouse/.venv/bin/framehouse"
        assert [words[0], words[1]] == ["db", "backup"]
    assert (Path(sys.executable).parent / Path(program).name).exists()


def test_the_stack_has_longer_to_stop_than_it_takes() -> None:
    from framehouse.stack import supervisor

    service = unit(ROOT / "docker" / "systemd" / "framehouse.service")["Service"]
    assert int(service["TimeoutStopSec"]) > supervisor._STOP_ALL_LIMIT_S
    assert service["KillMode"] == "mixed"


def test_a_timer_has_its_service() -> None:
    for path in UNITS:
        if path.suffix == ".timer":
            assert path.with_suffix(".service") in SERVICES
            assert unit(path)["Timer"]["OnCalendar"]


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """Where there is one to ask; the tests above need none."""
    program = shutil.which("systemd-analyze")
    copies = []
    for path in UNITS:
        copies.append(tmp_path / path.name)
        bin_dir = str(Path(sys.executable).parent)
        copies[-1].write_text(path.read_text().replace("/opt/framehouse/.venv/bin", bin_dir))
    assert copies
    if program:
        done = subprocess.run([program, "verify", *map(str, copies)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
