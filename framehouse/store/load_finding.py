"""A finding from the lake into the tables; twice is as once. The caller opens the transaction."""

from __future__ import annotations

import duckdb
import numpy as np

from framehouse.errors import ResultsError
from framehouse.results.finding_files import finding_path, read_finding
from framehouse.results.findings import FindingHead, event_ids
from framehouse.results.lake import Lake
from framehouse.store.connection import run_script
from framehouse.store.load import Loaded, instant, registered, report


def load_finding(connection: duckdb.DuckDBPyConnection, lake: Lake, ruleset_id: str, video_id: str) -> Loaded:
    """Replace the rows of one ruleset in one video; they go when the lake holds no such finding.

    So do those of a video without a record: it was forgotten while the ruleset was at work.

    Raises:
        duckdb.Error: the database or the disk failed.
    """
    key = {"ruleset_id": ruleset_id, "video_id": video_id}
    try:
        found = read_finding(lake, ruleset_id, video_id)
    except ResultsError as error:  # what was loaded of it before stays
        return Loaded(0, (report(error, finding_path(lake, ruleset_id, video_id)),))
    run_script(connection, "loads/no_finding.sql", key)
    if found is None or not lake.has(lake.video_path(video_id)):
        return Loaded()
    head, finding = found
    events = finding.events.table().append_column("event_id", [event_ids(finding)])
    scenes = finding.scenes.table().append_column("scene_id", [np.arange(len(finding.scenes))])
    with (
        registered(connection, "incoming_events", events),
        registered(connection, "incoming_scenes", scenes),
        registered(connection, "incoming_tracks", finding.tracks.table()),
    ):
        run_script(connection, "loads/finding.sql", {**key, **_columns(head)})
    return Loaded()


def _columns(head: FindingHead) -> dict[str, object]:
    rules = head.ruleset
    return {
        "kind": rules.kind, "name": rules.name, "params": rules.params_json, "version": rules.version,
        "input_digest": head.input_digest, "model_digests": list(head.model_digests), "judged_s": head.judged_s,
        "unjudged_s": head.unjudged_s, "made_at": instant(head.made_at), "first_at": instant(head.first_at),
    }  # fmt: skip
