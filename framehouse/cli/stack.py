"""`framehouse up | down | status | doctor`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.config import Settings

_UP_LIMIT_S = 330.0
_DOWN_LIMIT_S = 40.0
_WATCH_S = 2.0


def up() -> None:
    """Start the local stack in the background and wait until it is ready.

    Prefect server, Triton, Dask, the loader and the runner; what the settings place elsewhere is used instead.

    Example: framehouse up
    """
    from framehouse.cli.output import begin
    from framehouse.config import require_checkout
    from framehouse.inference.server_env import ensure_server_env
    from framehouse.stack.components import wanted_parts

    settings, started = begin(), None
    root = require_checkout("`framehouse up`")
    if (facts := running_stack(settings)) is not None:
        typer.echo(f"the stack is {facts['state']} already (supervisor {facts['pid']})", err=True)
    else:
        if not settings.triton.url and "triton" in wanted_parts(settings):
            ensure_server_env(root)
        started = _launch(settings)
    _show(_wait_until_ready(settings, started))
    _show_pause(settings)


def down() -> None:
    """Stop the local stack.

    Example: framehouse down
    """
    from framehouse.cli.output import begin

    settings = begin()
    facts = running_stack(settings)
    if facts is None:
        typer.echo("no stack is running", err=True)
        return
    os.kill(facts["pid"], signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_LIMIT_S
    while _is_alive(facts["pid"]):
        if time.monotonic() > deadline:
            os.kill(facts["pid"], signal.SIGKILL)  # the kernel takes its children along
        time.sleep(0.1)
    typer.echo("stopped", err=True)


def status(
    as_json: bool = typer.Option(False, "--json", help="machine-readable, with every figure of /metrics"),
    watch: bool = typer.Option(False, "--watch", help="show it again every two seconds, until Ctrl-C"),
) -> None:
    """Show the parts of the local stack, and what every hop has done: the figures of /metrics.

    Example: framehouse status --watch
    """
    from framehouse.cli import figures
    from framehouse.cli.output import begin

    settings = begin()
    before, read_s = figures.read_figures(settings) if watch else {}, time.monotonic()
    while True:
        if watch:
            time.sleep(_WATCH_S)
        facts = running_stack(settings) or {"state": "stopped", "components": {}, "endpoints": {}}
        found, now_s = figures.read_figures(settings), time.monotonic()
        if as_json:
            facts |= {"home": str(settings.home), "paused": settings.room.shortage()}
            typer.echo(json.dumps({**facts, "figures": figures.as_json(found)}, indent=None if watch else 1))
        else:
            if watch:
                typer.echo("\x1b[H\x1b[2J" if sys.stdout.isatty() else "", nl=False)
            typer.echo(f"stack {facts['state']}, home {settings.home}")
            _show(facts)
            _show_pause(settings)
            for line in figures.page(found, before, now_s - read_s) if found else ():
                typer.echo(line)
        if not watch:
            break
        before, read_s = found, now_s
    if facts["state"] != "ready":
        raise typer.Exit(1)


def doctor() -> None:
    """Say what is wrong with this installation and how to mend it.

    Example: framehouse doctor
    """
    from framehouse.cli.checks import run_checks
    from framehouse.cli.output import begin

    wrong = 0
    for check in run_checks(begin()):
        typer.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.found}")
        if not check.ok:
            wrong += 1
            typer.echo(f"      try: {check.hint}")
    if wrong:
        raise typer.Exit(1)


def running_stack(settings: Settings) -> dict[str, Any] | None:
    """What the running stack says about itself; None when none runs."""
    from framehouse.config import read_stack_file

    facts = read_stack_file(settings)
    if not facts or facts["state"] == "failed" or not _is_alive(facts["pid"]):
        return None
    return facts


def _launch(settings: Settings) -> subprocess.Popen[bytes]:
    from framehouse.config import stack_file

    stack_file(settings).unlink(missing_ok=True)
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    with (settings.log_dir / "stack.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "framehouse.stack"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _wait_until_ready(settings: Settings, supervisor: subprocess.Popen[bytes] | None) -> dict[str, Any]:
    from framehouse.config import read_stack_file
    from framehouse.errors import EngineUnavailable

    shown: set[str] = set()
    started = time.monotonic()
    while True:
        facts = read_stack_file(settings)
        for name, component in facts.get("components", {}).items():
            if component["state"] == "ready" and name not in shown:
                shown.add(name)
                typer.echo(f"{time.monotonic() - started:5.1f} s  {name} ready", err=True)
        if facts.get("state") == "ready":
            return facts
        if facts.get("state") == "failed":
            raise EngineUnavailable(facts["error"], code="job.stack_failed", hint=f"logs: {settings.log_dir}")
        if not facts and supervisor is not None and supervisor.poll():
            raise EngineUnavailable(
                _last_line(settings.log_dir / "stack.log"), code="job.stack_failed", hint=f"logs: {settings.log_dir}"
            )
        if time.monotonic() - started > _UP_LIMIT_S or (not facts and time.monotonic() - started > 30):
            raise EngineUnavailable(
                "the stack did not start", code="job.stack_failed", hint=f"logs: {settings.log_dir}"
            )
        time.sleep(0.2)


def _last_line(log_path: Path) -> str:
    lines = log_path.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "the supervisor ended without a word")


def _show(facts: dict[str, Any]) -> None:
    for name, component in facts["components"].items():
        typer.echo(
            f"  {name:<15} {component['state']:<10} pid {component['pid'] or '-':<8} "
            f"restarts {component['restarts']:<3} {component['address']}"
        )


def _show_pause(settings: Settings) -> None:
    if short := settings.room.shortage():
        typer.echo(f"  paused: {short}; work goes on by itself when there is room (framehouse prune --dry-run)")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
