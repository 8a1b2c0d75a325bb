"""`framehouse db migrate | rebuild | publish`: the database, by hand. The running stack does all of it by itself."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.command()
def migrate() -> None:
    """Bring the database to this release's tables and views, and publish it.

    Example: framehouse db migrate
    """
    from framehouse.cli.output import begin, say
    from framehouse.results.opening import open_lake
    from framehouse.store.publish import Publisher

    settings = begin()
    with Publisher(
        settings.store_dir,
        open_lake(*settings.lake_place),
        confidence=settings.jobs.confidence,
        prices=settings.costs.prices,
    ) as publisher:
        done = publisher.publish([])
    say("nothing to do" if done is None else f"published {done.snapshot.name}")


@app.command()
def publish() -> None:
    """Load what waits in the load queue and publish it, as the loader does.

    Example: framehouse db publish
    """
    from framehouse.cli.output import begin, say
    from framehouse.results.opening import open_lake
    from framehouse.state import open_state
    from framehouse.store.publish import LoadEntry, Publisher

    settings = begin()
    state = open_state(settings.state_url)
    with Publisher(
        settings.store_dir,
        open_lake(*settings.lake_place),
        confidence=settings.jobs.confidence,
        prices=settings.costs.prices,
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
