"""One look at a catalogue's place: jobs for what is new or changed, marks for what has gone."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from framehouse.config import load_settings
from framehouse.errors import JobError
from framehouse.jobs.submit import connect
from tasks.catalog import scan_source


@flow(name="scan-catalog", flow_run_name="scan {catalog}", persist_result=False)
def scan_catalog(catalog: str) -> State[Any]:
    """Find new, changed and gone videos of a catalogue.

    Args:
        catalog: its name (`framehouse catalog list`).
    """
    try:
        report = scan_source(connect(), catalog, load_settings())
    except JobError as error:
        if error.code != "job.scan_running":
            raise
        return Completed(message=error.message, name="Skipped")
    return Completed(message=report.line())
