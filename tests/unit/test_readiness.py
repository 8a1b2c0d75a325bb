"""What the health checks of containers ask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from framehouse import readiness


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(readiness.READY_DIR, str(tmp_path / "ready"))
    return tmp_path / "ready"


def test_nobody_is_well_who_has_said_nothing(folder: Path) -> None:
    assert not readiness.is_well("loader", folder)


def test_a_process_that_lives_and_has_said_so_is_well(folder: Path) -> None:
    readiness.say_ready("loader")
    assert readiness.is_well("loader", folder)
    assert not readiness.is_well("runner", folder)


def test_one_that_died_is_not(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    folder.mkdir()
    (folder / f"loader.{int(done.stdout)}").touch()
    assert not readiness.is_well("loader", folder)


def test_a_word_older_than_the_process_is_another_ones(folder: Path) -> None:
    """Process ids begin anew with each container, and soon come again."""
    readiness.say_ready("loader")
    os.utime(folder / f"loader.{os.getpid()}", (1.0, 1.0))
    assert not readiness.is_well("loader", folder)


@pytest.mark.parametrize(("words", "code"), [(["loader"], 0), (["runner"], 1), (["loader", "runner"], 1), ([], 1)])
def test_the_exit_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    readiness.say_ready("loader")
    monkeypatch.setattr(sys, "argv", ["readiness", *words])
    assert readiness.main() == code
    assert ("runner" in capsys.readouterr().err) == ("runner" in words)
