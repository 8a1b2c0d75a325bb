"""Housekeeping, every night: is everything published → prune → merge small parts."""

from __future__ import annotations

from prefect import flow, runtime

from framehouse.config import load_settings
from framehouse.jobs.attempt import hold_run
from framehouse.jobs.submit import connect
from tasks.maintenance import check_published, compact_parts, prune_files


@flow(name="maintenance", persist_result=False)
def maintenance(dry_run: bool = False, superseded: bool = False) -> None:
    """Look whether the loader keeps up, remove what the settings no longer keep, merge small parts.

    Args:
        dry_run: only say what would go; nothing is removed or merged.
        superseded: remove also the parts and rows of model versions that are not installed any more.
    """
    settings, state = load_settings(), connect()
    with hold_run(state, str(runtime.flow_run.id), settings.state.lease_s):
        check_published(settings, state)
        prune_files(settings, state, dry_run, superseded)
        if not dry_run:
            compact_parts(settings, state)
