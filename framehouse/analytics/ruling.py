"""The one path of every use: judge videos, keep the findings in the lake, have them loaded, compare old with new."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.analytics.use import P, Use
from framehouse.errors import StoreError
from framehouse.results.finding_files import heads_of, read_finding, write_finding
from framehouse.results.findings import Events, Finding
from framehouse.results.lake import Lake
from framehouse.state import State
from framehouse.store.archive import Archive, Video

NEAR_S = 0.5
"""Events of one kind and class so near to each other are one moment, for a comparison."""


@dataclass(frozen=True, slots=True, eq=False)
class Ruled:
    """A finding, its video, and what an earlier ruleset found there where that was asked for."""

    video: Video
    finding: Finding
    against: Finding | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A video that could not be judged at all, and why."""

    video_id: str
    error: StoreError


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Old against new in one video.

    Args:
        counts: (kind, class, old, new) for every kind and class that either has.
        appeared: events that only the new one has.
        vanished: events that only the old one has.
    """

    counts: tuple[tuple[str, str, int, int], ...]
    appeared: Events
    vanished: Events


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where findings go. `state`: None where no load is asked for; `dry_run`: nothing is written."""

    lake: Lake
    state: State | None
    dry_run: bool = False


def run_ruleset(
    archive: Archive,
    keeping: Keeping,
    use: Use[P],
    params: P,
    video_ids: Sequence[str],
    *,
    name: str = "",
    against: str = "",
    on_done: Callable[[int], None] = lambda _n: None,
) -> Iterator[Ruled | Skipped]:
    """Judge videos one by one; the finding of each is in the lake, and its load asked for, when it is given out.

    A video that the needed models did not see is skipped, and the others go on.

    Args:
        name: of the ruleset.
        against: a ruleset_id, a name, or `last`; see `earlier`.
        on_done: told how many videos are done.

    Raises:
        SourceNotFound: a video that the snapshot does not hold.
        StoreError: code `store.no_ruleset`, nothing to compare with; code `store.disk_full`; any code but
            `store.no_rows` of the use itself.
    """
    ruleset = use.ruleset(params, name)
    for number, video_id in enumerate(video_ids, 1):
        video = archive.video(video_id)
        old = earlier(keeping.lake, video_id, use.kind, against, but=ruleset.ruleset_id) if against else None
        try:
            finding = use.judge(archive, video, params, ruleset)
        except StoreError as error:
            if error.code != "store.no_rows":
                raise
            yield Skipped(video_id, error)
        else:
            keep(keeping, finding)
            yield Ruled(video, finding, old)
        on_done(number)


def keep(keeping: Keeping, finding: Finding) -> None:
    """Write a finding into the lake and have it loaded, unless it is a trial. Raises StoreError `store.disk_full`."""
    if keeping.dry_run:
        return
    write_finding(keeping.lake, finding)
    if keeping.state is not None:
        keeping.state.request_findings([(finding.ruleset.ruleset_id, finding.video_id)])


def earlier(lake: Lake, video_id: str, kind: str, wanted: str, *, but: str = "") -> Finding:
    """What another ruleset of a kind found in a video.

    Args:
        wanted: a ruleset_id, a name (the newest finding of that name), or `last` (the newest).
        but: a ruleset that `last` never means, and a name only where nothing else has it.

    Raises:
        StoreError: code `store.no_ruleset`, none was asked about this video.
    """
    heads = [head for head in heads_of(lake, video_id) if head.ruleset.kind == kind]
    others = [head for head in heads if head.ruleset.ruleset_id != but]
    named = [head for head in [*others, *heads] if wanted in (head.ruleset.ruleset_id, head.ruleset.name)]
    head = next(iter(others if wanted == "last" else named), None)
    found = None if head is None else read_finding(lake, head.ruleset.ruleset_id, video_id)
    if found is None:
        known = sorted({head.ruleset.name or head.ruleset.ruleset_id for head in heads})
        raise StoreError(
            f"{video_id}: no other {kind} to compare with is {wanted}", code="store.no_ruleset",
            hint=f"known: {', '.join(known) or 'none'}; see: framehouse rulesets list", video_id=video_id,
        )  # fmt: skip
    return found[1]


def compare(old: Events, new: Events, near_s: float = NEAR_S) -> Comparison:
    """Which events are in both: those of one kind and class are paired in order of time, when near enough.

    >>> one = Events.ordered([Event("line_in", 1.0), Event("line_in", 4.0)])
    >>> compare(one, Events.ordered([Event("line_in", 1.2)])).counts
    (('line_in', '', 2, 1),)
    """
    in_old, in_new = np.zeros(len(old), np.bool_), np.zeros(len(new), np.bool_)
    groups = sorted({*_groups(old), *_groups(new)})
    counts = []
    for group in groups:
        mine, others = _of_group(old, group), _of_group(new, group)
        counts.append((*group, mine.size, others.size))
        pairs = paired(old.start_s[mine], new.start_s[others], near_s)
        in_old[mine[pairs[:, 0]]] = True
        in_new[others[pairs[:, 1]]] = True
    return Comparison(tuple(counts), new.where(~in_new), old.where(~in_old))


def paired(old_s: NDArray[np.float64], new_s: NDArray[np.float64], near_s: float) -> NDArray[np.int64]:
    """Pairs (index in old, index in new) of two sorted lists of times that are at most `near_s` apart: int64 [K, 2]."""
    pairs, i, j = [], 0, 0
    while i < old_s.size and j < new_s.size:
        if abs(old_s[i] - new_s[j]) <= near_s:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif old_s[i] < new_s[j]:
            i += 1
        else:
            j += 1
    return np.array(pairs, np.int64).reshape(-1, 2)


def _groups(events: Events) -> list[tuple[str, str]]:
    return list(zip(events.kind.tolist(), events.class_name.tolist(), strict=True))


def _of_group(events: Events, group: tuple[str, str]) -> NDArray[np.intp]:
    return np.flatnonzero((events.kind == group[0]) & (events.class_name == group[1]))


def event_rows(finding: Finding, events: Events | None = None) -> list[dict[str, Any]]:
    """Events as rows of JSON: what is not there is null, facts are an object."""
    chosen = finding.events if events is None else events
    rows = []
    for row in chosen.table().to_pylist():
        row["facts"] = json.loads(row["facts"])
        row["time_offset_s"] = row.pop("start_s")
        for name, nothing in (("frame_offset", -1), ("tracker_id", -1), ("class_name", "")):
            row[name] = None if row[name] == nothing else row[name]
        rows.append({"video_id": finding.video_id, **row})
    return rows


def scene_rows(finding: Finding) -> list[dict[str, Any]]:
    """Scenes as rows of JSON; facts are an object."""
    rows = enumerate(finding.scenes.table().to_pylist())
    return [{"video_id": finding.video_id, "scene_id": n, **row, "facts": json.loads(row["facts"])} for n, row in rows]


def comparison(old: Finding, new: Finding) -> dict[str, Any]:
    """Old against new in one video, as JSON."""
    compared = compare(old.events, new.events)
    return {
        "ruleset_id": old.ruleset.ruleset_id,
        "name": old.ruleset.name,
        "counts": [dict(zip(("kind", "class_name", "old", "new"), row, strict=True)) for row in compared.counts],
        "appeared": event_rows(new, compared.appeared),
        "vanished": event_rows(new, compared.vanished),
    }
