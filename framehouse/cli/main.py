"""`framehouse`: the entry point. Errors become one line and an exit code here, and nowhere else."""

from __future__ import annotations

import os
import sys

import typer

from framehouse.cli import (
    backfill,
    catalog,
    compare,
    db,
    duplicates,
    export,
    jobs,
    keys,
    lines,
    models,
    policy,
    presence,
    proctor,
    prune,
    quarantine,
    reel,
    render,
    results,
    rulesets,
    run,
    scenes,
    search,
    serve,
    sql,
    stack,
    tags,
    usage,
    videos,
)
from framehouse.cli.exit_codes import exit_code
from framehouse.errors import FramehouseError

app = typer.Typer(
    name="framehouse",
    help="Self-hosted video inference: every sampled frame of your videos, as SQL tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command("up")(stack.up)
app.command("down")(stack.down)
app.command("status")(stack.status)
app.command("doctor")(stack.doctor)
app.command("serve")(serve.serve)
app.command("run")(run.run)
app.command("backfill")(backfill.backfill)
app.command("usage")(usage.usage)
app.add_typer(keys.app, name="keys", help="Keys of the HTTP server.")
app.add_typer(jobs.app, name="jobs", help="List, show, retry, resume and cancel jobs.")
app.add_typer(catalog.app, name="catalog", help="Folders and buckets that are watched for videos.")
app.add_typer(quarantine.app, name="quarantine", help="Chunks that killed every process that had them.")
app.add_typer(videos.app, name="videos", help="List, show and probe videos.")
app.command("results")(results.results)
app.command("sql")(sql.sql)
app.command("search")(search.search)
app.command("lines")(lines.lines)
app.command("presence")(presence.presence)
app.command("policy")(policy.policy)
app.command("proctor")(proctor.proctor)
app.add_typer(rulesets.app, name="rulesets", help="What was asked of the archive: lines, presence, scenes, policies …")
app.command("scenes")(scenes.scenes)
app.command("tags")(tags.tags)
app.command("reel")(reel.reel)
app.command("compare")(compare.compare)
app.command("duplicates")(duplicates.duplicates)
app.command("render")(render.render)
app.command("export")(export.export)
app.add_typer(models.app, name="models", help="The models that can be run.")
app.command("prune")(prune.prune)
app.add_typer(db.app, name="db", help="The analytics database.")


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="show a traceback when something fails"),
) -> None:
    if debug:
        os.environ["FRAMEHOUSE_DEBUG"] = "1"


def main() -> None:
    """Run a command; a named error is one line on stderr and its class's exit code."""
    try:
        app()
    except FramehouseError as error:
        if os.environ.get("FRAMEHOUSE_DEBUG"):
            raise
        print(error.line(), file=sys.stderr)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
