"""`framehouse quarantine list | show | run | release`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from framehouse.results.lake import Lake
    from framehouse.results.quarantine import Quarantined

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="machine-readable")) -> None:
    """List chunks that killed every process that had them alone; their frames are gaps, `decode.quarantined`.

    Example: framehouse quarantine list
    """
    from framehouse.results.quarantine import quarantined

    found = list(quarantined(_lake()))
    if as_json:
        typer.echo(json.dumps([asdict(chunk) for chunk in found], indent=1))
        return
    for chunk in found:
        causes = ", ".join(death.cause for death in chunk.deaths)
        typer.echo(
            f"{chunk.name}  {chunk.start_s:.1f}-{chunk.end_s:.1f} s  {len(chunk.frames)} frames  {causes}  "
            f"{chunk.at}  {chunk.path}"
        )


@app.command()
def show(name: str = typer.Argument(..., metavar="VIDEO_ID/CHUNK_ID")) -> None:
    """Show what is known of one: file, frames, models, versions, and how each process died.

    Example: framehouse quarantine show v_0123.../c000000000
    """
    typer.echo(json.dumps(asdict(_find(name)), indent=1))


@app.command()
def run(
    name: str = typer.Argument(..., metavar="VIDEO_ID/CHUNK_ID"),
    triton: str = typer.Option("", "--triton", help="host:port of another Triton server"),
) -> None:
    """Run one again, alone in a process of its own, and tell how it ends; nothing that is stored changes.

    Example: framehouse quarantine run v_0123.../c000000000
    """
    import tempfile
    from pathlib import Path

    from framehouse.alone import Death
    from framehouse.cli.output import begin
    from framehouse.config import find_endpoints
    from framehouse.inference.repository import load_specs, resolve
    from framehouse.inference.specs import TritonTarget
    from framehouse.jobs.quarantine import run_again
    from framehouse.results.lake import Lake

    settings, chunk = begin(), _find(name)
    available = load_specs(settings.model_repositories)
    models = [resolve(available, model_id) for model_id in chunk.models]
    for spec in models:
        if spec.digest != chunk.models[spec.model_id]:
            typer.echo(f"{spec.model_id} is not the one of then: its digest differs", err=True)
    url = triton or find_endpoints(settings).triton_url
    given = settings.triton
    target = TritonTarget(url, given.shared_memory, given.request_timeout_s, given.in_flight)
    with tempfile.TemporaryDirectory(prefix="framehouse-quarantine-") as folder:
        end = run_again(chunk, models, target, Lake(Path(folder)), settings.jobs.stall_s)
    if isinstance(end, Death):
        typer.echo(f"died after {end.after_s:g} s: {end.cause}")
        raise typer.Exit(1)
    for tally in end.tallies:
        typer.echo(f"{tally.model_id}: {tally.n_loaded} frames loaded, {tally.n_gaps} gaps")
    typer.echo(f"it lives; let jobs have it beside others again: framehouse quarantine release {name}", err=True)


@app.command()
def release(names: list[str] = typer.Argument(..., metavar="VIDEO_ID/CHUNK_ID...")) -> None:
    """Forget that chunks have killed; a retry of their job then runs them like any other.

    Example: framehouse quarantine release v_0123.../c000000000
    """
    from framehouse.results import quarantine

    for name in names:
        chunk = _find(name)
        quarantine.release(_lake(), chunk.video_id, chunk.chunk_id)
        typer.echo(f"released  {name}  now: framehouse jobs retry {chunk.job_id}")


def _lake() -> Lake:
    from framehouse.cli.output import begin
    from framehouse.results.opening import open_lake

    return open_lake(*begin().lake_place)


def _find(name: str) -> Quarantined:
    """The chunk of that name.

    Raises:
        ConfigError: none is in quarantine.
    """
    from framehouse.errors import ConfigError
    from framehouse.results.quarantine import quarantined

    found = next((chunk for chunk in quarantined(_lake()) if chunk.name == name), None)
    if found is None:
        raise ConfigError(
            f"no chunk {name} is in quarantine", code="config.quarantine", hint="framehouse quarantine list"
        )
    return found
