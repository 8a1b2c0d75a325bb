"""`framehouse catalog add | list | show | scan | schedule | set | remove`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.catalog.scan import ScanReport
    from framehouse.config import Settings
    from framehouse.state import State
    from framehouse.state.catalogs import Catalog, Catalogs

app = typer.Typer(no_args_is_help=True)

_NAME = typer.Argument(..., metavar="NAME", help="as `catalog list` shows it")
_JSON = typer.Option(False, "--json", help="machine-readable")


@app.command()
def add(
    source: str = typer.Argument(..., metavar="SOURCE", help="a folder, s3://, gs://, az://, or an http(s) list"),
    models: list[str] = typer.Option(["detector"], "--model", "-m", metavar="NAME[/VERSION]", help="may be repeated"),
    fps: str = typer.Option("", "--fps", help="frames a second, or `all`; default 5"),
    confidence: float | None = typer.Option(None, "--confidence", help="threshold of the results; default 0.4"),
    schedule: str = typer.Option("", "--schedule", metavar="CRON", help='when to scan, in UTC: "0 * * * *" every hour'),
    include: list[str] = typer.Option([], "--include", metavar="GLOB", help="only these: *.mp4, cam1/**; repeatable"),
    exclude: list[str] = typer.Option([], "--exclude", metavar="GLOB", help="not these; may be repeated"),
    name: str = typer.Option("", "--name", help="default: made of SOURCE"),
    priority: int = typer.Option(0, "--priority", min=-100, max=100, help="of its jobs; higher first"),
    max_running: int | None = typer.Option(None, "--max-running", min=1, help="most of its jobs that run at once"),
    max_frames: int | None = typer.Option(None, "--max-frames", min=1, help="its jobs pause after so many inferences"),
    max_seconds: float | None = typer.Option(None, "--max-seconds", min=0.1, help="its jobs pause after so long"),
    max_bytes: int | None = typer.Option(None, "--max-bytes", min=1, help="its jobs pause before they fetch more"),
    as_json: bool = _JSON,
) -> None:
    """Watch a place: every video there, now and later, is run through the models. Nothing is scanned yet.

    Example: framehouse catalog add /videos --model detector --fps 2 --schedule "0 * * * *"
    """
    from framehouse.cli.output import emit_json, emit_text, say
    from framehouse.jobs.catalogs import add_catalog, catalog_facts
    from framehouse.jobs.submit import set_budget
    from framehouse.state.budgets import Caps, catalog_budget
    from framehouse.state.catalogs import CatalogWish

    state, settings = _begin()
    threshold = settings.jobs.confidence if confidence is None else confidence
    wish = CatalogWish(
        name, source, tuple(models), fps, threshold, priority, tuple(include), tuple(exclude),
        " ".join(schedule.split()), allow_private=settings.source.allow_private_hosts,
        max_running=max_running,
    )  # fmt: skip
    catalog = add_catalog(state, wish, settings)
    set_budget(state, catalog_budget(catalog.name), Caps(max_frames, max_seconds, max_bytes))
    if as_json:
        emit_json(catalog_facts(catalog))
        return
    emit_text(f"{catalog.name}\n")
    when = f"at {catalog.wish.schedule} (UTC)" if catalog.wish.schedule else "when asked"
    say(f"{catalog.wish.uri} is scanned {when}; now: framehouse catalog scan {catalog.name}")


@app.command("list")
def list_(as_json: bool = _JSON) -> None:
    """List the catalogues, with how many videos each holds and how the last scan went.

    Example: framehouse catalog list
    """
    from framehouse.cli.output import emit_json, emit_text, table_text
    from framehouse.jobs.catalogs import catalog_facts

    state, _ = _begin()
    found = [{**catalog_facts(catalog), **_counts(state, catalog)} for catalog in _catalogs(state).all()]
    if as_json:
        emit_json(found)
        return
    columns = [
        "name",
        "source",
        "models",
        "fps",
        "schedule",
        "here",
        "done",
        "failed",
        "gone",
        "scanned_at",
        "last scan",
    ]
    emit_text(table_text(columns, [_line(facts) for facts in found]))


@app.command()
def show(
    name: str = _NAME,
    limit: int = typer.Option(20, "--limit", min=0, help="places shown, newest first"),
    as_json: bool = _JSON,
) -> None:
    """Show a catalogue: what is asked of its videos, the last scan, and its newest places.

    Example: framehouse catalog show videos --limit 100 --json
    """
    from framehouse.cli.output import emit_json, emit_text, table_text
    from framehouse.jobs.catalogs import catalog_facts, entry_facts
    from framehouse.state.catalog_entries import Entries

    state, _ = _begin()
    catalog = _catalogs(state).get(name)
    facts = {**catalog_facts(catalog), **_counts(state, catalog)}
    places = [entry_facts(entry) for entry in Entries(state.engine, catalog).newest(limit)]
    if as_json:
        emit_json({**facts, "entries": places})
        return
    emit_text("".join(f"{key:<16} {_shown(value)}\n" for key, value in facts.items()))
    columns = ["uri", "size_bytes", "modified_at", "video_id", "job_id", "seen_at", "gone_at"]
    emit_text("\n" + table_text(columns, [[place[column] for column in columns] for place in places]))


@app.command()
def scan(name: str = _NAME, as_json: bool = _JSON) -> None:
    """Scan a catalogue now, here: new and changed videos get jobs, gone ones are marked.

    Example: framehouse catalog scan videos
    """
    from framehouse.cli.output import emit_json, emit_text
    from framehouse.jobs.catalogs import scan_catalog

    state, settings = _begin()
    report = scan_catalog(state, name, settings, owner=f"cli {os.getpid()}")
    if as_json:
        emit_json(report.facts())
        return
    emit_text(f"{report.line()}\n")
    _remark(report, settings)


@app.command()
def schedule(
    name: str = _NAME,
    cron: str = typer.Argument("", metavar="[CRON]", help='five fields, in UTC: "*/15 * * * *"'),
    off: bool = typer.Option(False, "--off", help="scan only when asked"),
) -> None:
    """Show or replace a catalogue's schedule. Prefect's page edits the same one.

    Example: framehouse catalog schedule videos "*/15 * * * *"
    """
    from framehouse.cli.output import emit_text
    from framehouse.errors import ConfigError
    from framehouse.jobs.catalogs import check_schedule

    state, _ = _begin()
    catalogs = _catalogs(state)
    catalog = catalogs.get(name)
    if cron and off:
        raise ConfigError("a schedule and --off", code="config.schedule", hint="give one of them")
    if cron or off:
        wanted = " ".join(cron.split())
        check_schedule(wanted)
        catalogs.want_schedule(catalog.catalog_id, wanted)
        catalog = catalogs.get(name)
    emit_text(f"{_schedule_text(catalog) or 'none'}\n")


@app.command("set")
def set_(
    name: str = _NAME,
    max_running: int | None = typer.Option(None, "--max-running", min=0, help="most jobs at once; 0: no limit"),
    priority: int | None = typer.Option(None, "--priority", min=-100, max=100, help="of the jobs of later scans"),
    as_json: bool = _JSON,
) -> None:
    """Change how many jobs of a catalogue run at once (counts at once), or the priority of its later jobs.

    Example: framehouse catalog set videos --max-running 2
    """
    from framehouse.cli.output import emit_json, emit_text
    from framehouse.jobs.catalogs import catalog_facts

    state, _ = _begin()
    catalogs = _catalogs(state)
    catalogs.change(catalogs.get(name).catalog_id, priority=priority, max_running=max_running)
    facts = catalog_facts(catalogs.get(name))
    if as_json:
        emit_json(facts)
        return
    emit_text("".join(f"{key:<16} {_shown(facts[key])}\n" for key in ("name", "priority", "max_running")))


@app.command()
def remove(name: str = _NAME) -> None:
    """Forget a catalogue and its schedule. Its videos, jobs and results stay.

    Example: framehouse catalog remove videos
    """
    from framehouse.cli.output import say

    state, _ = _begin()
    catalogs = _catalogs(state)
    catalogs.remove(catalogs.get(name).catalog_id)
    say(f"{name} is removed; its videos, jobs and results stay")


def _begin() -> tuple[State, Settings]:
    from framehouse.cli.output import begin
    from framehouse.jobs.submit import connect

    settings = begin()
    return connect(settings), settings


def _catalogs(state: State) -> Catalogs:
    from framehouse.state.catalogs import Catalogs

    return Catalogs(state.engine)


def _counts(state: State, catalog: Catalog) -> dict[str, int]:
    from framehouse.state.catalog_entries import Entries

    return Entries(state.engine, catalog).counts()


def _line(facts: dict[str, Any]) -> list[Any]:
    error = facts["scan_error"]
    paused = "" if facts["schedule_active"] else " (paused)"
    last = error["code"] if error else "ok" if facts["scanned_at"] else "never"
    return [
        facts["name"], facts["source"], ", ".join(facts["models"]), facts["infer_fps"],
        (facts["schedule"] or "-") + paused, facts["here"], facts["done"], facts["failed"], facts["gone"],
        facts["scanned_at"], last,
    ]  # fmt: skip


def _schedule_text(catalog: Catalog) -> str:
    return catalog.wish.schedule + ("" if catalog.schedule_active else " (paused)")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value in (None, "") else str(value)


def _remark(report: ScanReport, settings: Settings) -> None:
    """What a person should know beside the counts."""
    from framehouse.cli.output import say
    from framehouse.cli.stack import running_stack

    for uri in report.unreadable:
        say(f"cannot be read: {uri}")
    if report.n_waiting:
        say(f"changed within the last {settings.catalog.settle_s:g} s, taken by the next scan: {report.n_waiting}")
    if report.n_jobs and running_stack(settings) is None and not settings.prefect.api_url:
        say("the jobs wait for the stack: framehouse up")
