"""Hop 0: which videos there are. New and changed ones get a job."""

from __future__ import annotations

from prefect import runtime, task
from prefect.artifacts import create_table_artifact

from framehouse.catalog.scan import ScanReport
from framehouse.config import Settings
from framehouse.jobs.catalogs import scan_catalog
from framehouse.state import State
from tasks._policy import RETRY
from tasks._progress import no_page_no_matter


@task(name="scan", **RETRY)
def scan_source(state: State, catalog: str, settings: Settings) -> ScanReport:
    """Scan a catalogue; a try again finds only what the one before had not come to."""
    report = scan_catalog(state, catalog, settings, owner=str(runtime.flow_run.id))
    with no_page_no_matter():
        create_table_artifact(key="scan", table=[report.facts()], description=f"catalogue {catalog}")
    return report
