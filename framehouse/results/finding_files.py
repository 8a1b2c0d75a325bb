"""Findings in the lake: one file for each ruleset and video, and the newest replaces::

findings/<ruleset_id>/<video_id>.parquet
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from framehouse.errors import ContractViolation, ResultsError
from framehouse.results.findings import Arrays, Events, Finding, FindingHead, Ruleset, Scenes, Tracks
from framehouse.results.lake import Lake
from framehouse.results.parts import META, parsed_parquet, to_parquet

_Rows = TypeVar("_Rows", bound=Arrays)


def finding_path(lake: Lake, ruleset_id: str, video_id: str) -> Path:
    """File of a finding."""
    return lake.root / "findings" / ruleset_id / f"{video_id}.parquet"


def finding_keys(lake: Lake, ruleset_id: str = "") -> list[tuple[str, str]]:
    """(ruleset_id, video_id) of every finding (of one ruleset), sorted."""
    folder = lake.root / "findings" / ruleset_id
    return sorted((path.parent.name, path.stem) for path in lake.paths(folder) if path.suffix == ".parquet")


def heads_of(lake: Lake, video_id: str) -> list[FindingHead]:
    """What the findings in one video say about themselves, newest first; those that cannot be read are left out."""
    if lake.bucket is None:
        names = [path.parent.name for path in (lake.root / "findings").glob(f"*/{video_id}.parquet")]
    else:
        names = [ruleset_id for ruleset_id, video in finding_keys(lake) if video == video_id]
    found = []
    for ruleset_id in names:
        with suppress(ResultsError):
            found.append(read_head(lake, ruleset_id, video_id))
    return sorted((head for head in found if head), key=lambda head: head.made_at, reverse=True)


def write_finding(lake: Lake, finding: Finding) -> FindingHead:
    """Store a finding; replaces the earlier one of the same ruleset and video, whose name stays when none is given.

    Raises StoreError `store.disk_full`.
    """
    ruleset_id, now = finding.ruleset.ruleset_id, datetime.now(UTC).isoformat()
    try:
        earlier = read_head(lake, ruleset_id, finding.video_id)
    except ResultsError:  # a damaged one is replaced like any other
        earlier = None
    rules = finding.ruleset
    if earlier and not rules.name:
        rules = replace(rules, name=earlier.ruleset.name)
    head = FindingHead(
        rules, finding.video_id, finding.input_digest, finding.model_digests, finding.judged_s,
        finding.unjudged_s, made_at=now, first_at=earlier.first_at if earlier else now,
    )  # fmt: skip
    rows = {"events": finding.events, "scenes": finding.scenes, "tracks": finding.tracks}
    table = pa.table({name: _one_list(arrays) for name, arrays in rows.items()})
    lake.write_bytes(finding_path(lake, ruleset_id, finding.video_id), to_parquet(table, _facts(head)))
    return head


def read_finding(lake: Lake, ruleset_id: str, video_id: str) -> tuple[FindingHead, Finding] | None:
    """A finding with its head, or None.

    Raises:
        ResultsError: damaged (`results.unreadable`) or of a later release (`results.schema_version`).
    """
    path = finding_path(lake, ruleset_id, video_id)
    content = lake.read_bytes(path)
    if content is None:
        return None
    table, facts = parsed_parquet(io.BytesIO(content), path)
    try:
        head = _head(facts)
        _check_place(head, ruleset_id, video_id)
        events, scenes, tracks = (
            _from_list(Events, table.column("events")), _from_list(Scenes, table.column("scenes")),
            _from_list(Tracks, table.column("tracks")),
        )  # fmt: skip
    except (ContractViolation, KeyError, ValueError, TypeError) as error:
        raise _unreadable(path, error) from error
    finding = Finding(
        head.ruleset, video_id, head.input_digest, events, scenes, tracks, head.model_digests, head.judged_s,
        head.unjudged_s,
    )  # fmt: skip
    return head, finding


def read_head(lake: Lake, ruleset_id: str, video_id: str) -> FindingHead | None:
    """What a finding says about itself, without its rows, or None. Raises as `read_finding`."""
    path = finding_path(lake, ruleset_id, video_id)
    if lake.bucket is None and not path.exists():
        return None
    content = path if lake.bucket is None else lake.read_bytes(path)
    if content is None:
        return None
    try:
        source = content if isinstance(content, Path) else io.BytesIO(content)
        metadata = pq.read_metadata(source).metadata or {}
        head = _head({k.decode().removeprefix(META): v.decode() for k, v in metadata.items()})
        _check_place(head, ruleset_id, video_id)
    except (pa.ArrowException, OSError, ContractViolation, KeyError, ValueError, TypeError) as error:
        raise _unreadable(path, error) from error
    return head


def delete_finding(lake: Lake, ruleset_id: str, video_id: str) -> None:
    """Remove a finding's file; nothing happens when there is none. Its rows go with the next load."""
    lake.delete(finding_path(lake, ruleset_id, video_id))


def _facts(head: FindingHead) -> dict[str, str]:
    rules = head.ruleset
    return {
        "kind": rules.kind, "name": rules.name, "version": str(rules.version), "params": rules.params_json,
        "video_id": head.video_id, "input_digest": head.input_digest, "model_digests": " ".join(head.model_digests),
        "judged_s": repr(head.judged_s), "unjudged_s": repr(head.unjudged_s), "made_at": head.made_at,
        "first_at": head.first_at,
    }  # fmt: skip


def _head(facts: Mapping[str, str]) -> FindingHead:
    rules = Ruleset(facts["kind"], facts["name"], json.loads(facts["params"]), int(facts["version"]))
    return FindingHead(
        rules, facts["video_id"], facts["input_digest"], tuple(facts["model_digests"].split()),
        float(facts["judged_s"]), float(facts["unjudged_s"]), facts["made_at"], facts["first_at"],
    )  # fmt: skip


def _check_place(head: FindingHead, ruleset_id: str, video_id: str) -> None:
    if (head.ruleset.ruleset_id, head.video_id) != (ruleset_id, video_id):
        raise ContractViolation("the finding belongs to another ruleset or video")


def _unreadable(path: Path, error: Exception) -> ResultsError:
    return ResultsError(
        f"{path.parent.name}/{path.name} cannot be read: {type(error).__name__} {error}".splitlines()[0],
        code="results.unreadable", hint="remove it and ask again", path=str(path),
    )  # fmt: skip


def _one_list(rows: Arrays) -> pa.Array:
    """All rows as the one list of a column with one entry."""
    table = rows.table()
    items = pa.StructArray.from_arrays([column.combine_chunks() for column in table.columns], names=table.column_names)
    return pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), items)


def _from_list(cls: type[_Rows], column: pa.ChunkedArray) -> _Rows:
    items = column.combine_chunks().flatten()
    return cls.of({name: items.field(name).to_numpy(zero_copy_only=False) for name in cls.stored})
