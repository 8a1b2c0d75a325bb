"""`framehouse db migrate | rebuild | publish | backup | restore`: the databases, by hand."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True)


@app.command()
def migrate(
    no_backup: bool = typer.Option(False, "--no-backup", help="copy nothing first: you have a backup of your own"),
) -> None:
    """Bring state and database to this release's tables and views, each with a copy first, and publish it.

    Copies go to FRAMEHOUSE_HOME/backups. A death in the middle leaves the tables as they were.

    Example: framehouse db migrate
    """
    from framehouse.backups import Backups
    from framehouse.cli.output import begin, say
    from framehouse.results.opening import open_lake
    from framehouse.state import open_state
    from framehouse.store.publish import Publisher

    settings = begin()
    backups = Backups(settings.backups.folder, settings.backups.wanted and not no_backup)
    known = {*backups.of("state"), *backups.of("store")}
    open_state(settings.state_url, backups=backups).close()
    with Publisher(
        settings.store_dir,
        open_lake(*settings.lake_place),
        confidence=settings.jobs.confidence,
        prices=settings.costs.prices,
        backups=backups,
    ) as publisher:
        done = publisher.publish([])
    copies = sorted({*backups.of("state"), *backups.of("store")} - known)
    for copy in copies:
        say(f"copied first: {copy}")
    say("state and database are of this release" if done is None else f"published {done.snapshot.name}")


@app.command()
def publish() -> None:
    """Load what waits in the load queue and publish it, as the loader does.

    Example: framehouse db publish
    """
    from framehouse.cli.output import begin, say
    from framehouse.jobs.submit import connect
    from framehouse.results.opening import open_lake
    from framehouse.store.publish import LoadEntry, Publisher

    settings = begin()
    state = connect(settings)
    with Publisher(
        settings.store_dir,
        open_lake(*settings.lake_place),
        confidence=settings.jobs.confidence,
        prices=settings.costs.prices,
        backups=settings.backups,
    ) as publisher:
        state.skip_loads(publisher.published_seq)
        rows = state.loads_after(publisher.published_seq)
        entries = [LoadEntry(row.seq, row.kind, row.video_id, row.model_digest, row.job_id) for row in rows]
        done = publisher.publish(entries)
        state.settle_published(publisher.published_seq)
    state.close()
    say("nothing to do" if done is None else f"published {done.snapshot.name} with {done.n_loads} loads")


@app.command()
def rebuild() -> None:
    """Make the database again from the lake alone (parts, plans, run records, findings), and publish it.

    Example: framehouse down && framehouse db rebuild && framehouse up
    """
    from framehouse.cli.output import begin, say
    from framehouse.results.opening import open_lake
    from framehouse.store.rebuild import rebuild as rebuild_store

    settings = begin()
    done = rebuild_store(
        settings.store_dir, open_lake(*settings.lake_place), confidence=settings.jobs.confidence,
        prices=settings.costs.prices,
    )  # fmt: skip
    for aside in done.set_aside:
        say(f"left out: {aside.path}: {aside.code}: {aside.message}")
    say(
        f"published {done.snapshot.name}: {done.n_videos} videos, {done.n_jobs} jobs, {done.n_loads} sets of parts, "
        f"{done.n_findings} findings"
    )


@app.command()
def backup(
    folder: Path | None = typer.Argument(None, metavar="[DIR]", help="where; default FRAMEHOUSE_HOME/backups"),
    no_lake: bool = typer.Option(
        False, "--no-lake", help="state and database only: the lake is backed up by other means"
    ),
) -> None:
    """Copy state, database and lake as they are at one moment into a new folder, also while the stack runs.

    On the disk of FRAMEHOUSE_HOME the files of the lake are hard links and cost nothing; on another they are copied. A
    lake in a bucket, uploads, fetched videos and added models are not in it.

    Example: framehouse db backup /mnt/backups
    """
    from framehouse.cli.output import begin, emit_text, say
    from framehouse.jobs.housekeeping import backup as take

    taken = take(begin(), folder.expanduser().absolute() if folder else None, with_lake=not no_lake)
    store, lake = taken.manifest["store"], taken.manifest["lake"]
    say(f"state: version {taken.manifest['state']['version']}")
    say(f"database: {store['snapshot']}, schema {store['schema']}" if store else "database: nothing was published yet")
    if lake:
        say(f"lake: {lake['n_files']} files, {lake['n_bytes'] / 1e6:.1f} MB, {taken.n_linked} of them hard links")
    else:
        say(f"lake: not in it{', it lies at ' + taken.manifest['lake_url'] if taken.manifest['lake_url'] else ''}")
    emit_text(f"{taken.path}\n")


@app.command()
def restore(backup: Path = typer.Argument(..., metavar="BACKUP", help="a folder that `db backup` made")) -> None:
    """Put a backup in the place of state, database and lake: whole or not at all. The stack must be down.

    What was there before is kept in FRAMEHOUSE_HOME/backups/replaced-…, and goes when there are newer ones.

    Example: framehouse down && framehouse db restore /mnt/backups/backup-0.1.0-20260101T120000000000Z && framehouse up
    """
    from framehouse.cli.output import begin, say
    from framehouse.jobs.housekeeping import restore as put_back
    from framehouse.stack.supervisor import single_instance

    settings = begin()
    with single_instance(settings):
        replaced = put_back(settings, backup.expanduser().absolute())
    say(f"restored {backup.name}; what was here before is in {replaced}")
