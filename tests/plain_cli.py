"""The command line run in the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


PlainCli = Callable[..., Said]


def plain_cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> PlainCli:
    """A function that runs `framehouse ARGUMENTS` with a FRAMEHOUSE_HOME."""
    from framehouse.cli.main import main
    from framehouse.config import load_settings

    monkeypatch.setenv("FRAMEHOUSE_HOME", str(home))
    monkeypatch.setenv("FRAMEHOUSE_DEBUG", "")

    def run(*arguments: object) -> Said:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["framehouse", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            load_settings.cache_clear()
            structlog.reset_defaults()
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run
