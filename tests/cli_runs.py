"""Commands of the command line, run in the test's own process on a home of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from framehouse.cli.main import main
from framehouse.config import load_settings

Cli = Callable[..., tuple[int, str]]
"""(arguments) -> exit code, and what was said on stderr; nothing may be said on stdout."""


def cli_of(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line with this FRAMEHOUSE_HOME, for as long as the test lasts."""
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(home))
    monkeypatch.setenv("FRAMEHOUSE_DEBUG", "")

    def run(*arguments: object) -> tuple[int, str]:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["framehouse", *map(str, arguments)])
        capsys.readouterr()  # what making the store said
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            load_settings.cache_clear()
            structlog.reset_defaults()
        captured = capsys.readouterr()
        assert captured.out == ""
        return code, captured.err

    return run
