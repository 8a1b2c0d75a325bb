"""Moments of the archive that are asked for in words, by a ruleset, or by a class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

from framehouse.analytics.presence import PRESENCE
from framehouse.analytics.reels import ReelMoment
from framehouse.config import Settings
from framehouse.errors import ConfigError, StoreError
from framehouse.jobs.search import search_every_way
from framehouse.results.finding_files import heads_of, read_finding
from framehouse.results.findings import Events, Finding
from framehouse.results.lake import Lake
from framehouse.store.archive import Archive
from framehouse.store.query import run_query
from framehouse.store.search import Place

_MOST = 300
_DAYS = """
SELECT video_id, coalesce(recorded_at, first_seen_at) AS taken_at FROM videos
WHERE ($day = '' OR coalesce(recorded_at, first_seen_at)::DATE = nullif($day, '')::DATE)
ORDER BY taken_at, video_id
"""


def videos_in_order(settings: Settings, day: str = "") -> list[str]:
    """Videos by the time they were recorded, else first seen; those of one day (UTC, YYYY-MM-DD) where one is named.

    Raises:
        ConfigError: code `config.reel`, no such day.
    """
    try:
        if day:
            date.fromisoformat(day)
    except ValueError as error:
        raise ConfigError(f"--day {day}: no day", code="config.reel", hint="for example: 2026-11-29") from error
    rows = run_query(settings.store_dir, _DAYS, params={"day": day}, max_rows=None, memory=settings.store.query_memory)
    return [str(row[0]) for row in rows.rows()]


def moments_of_query(
    settings: Settings, query: str, model: str, video_ids: Sequence[str]
) -> tuple[list[ReelMoment], tuple[str, ...]]:
    """Moments like a text, and what there is to say of the search. Raises as `search_every_way`."""
    place = Place(
        settings.store_dir, tuple(video_ids), timeout_s=settings.store.query_timeout_s,
        memory=settings.store.query_memory,
    )  # fmt: skip
    answer = search_every_way(query, model, place, _MOST, settings)
    return [
        ReelMoment(one.video_id, one.start_s, one.end_s, one.best_s, one.score, one.word or query)
        for one in answer.moments
    ], answer.notes


def moments_of_ruleset(lake: Lake, wanted: str, kinds: Sequence[str], video_ids: Sequence[str]) -> list[ReelMoment]:
    """Events that the newest finding of a ruleset (by id or name) has in each video, of some kinds; none named: of all
    but those that last as long as the video.

    Raises:
        StoreError: code `store.no_ruleset`, no video has one.
    """
    found = [finding for video_id in video_ids if (finding := _finding(lake, wanted, video_id)) is not None]
    if not found:
        raise StoreError(
            f"no ruleset is {wanted!r} in these videos", code="store.no_ruleset", hint="see: framehouse rulesets list"
        )
    return [moment for finding in found for moment in _of_events(finding, kinds)]


def moments_of_class(archive: Archive, name: str, confidence: float, video_ids: Sequence[str]) -> list[ReelMoment]:
    """Stays of a class, as `framehouse presence` finds them; videos that no detector saw have none."""
    params = PRESENCE.check({"classes": [name], "confidence": confidence})
    moments: list[ReelMoment] = []
    for video_id in video_ids:
        try:
            finding = PRESENCE.judge(archive, archive.video(video_id), params, PRESENCE.ruleset(params))
        except StoreError as error:
            if error.code != "store.no_rows":
                raise
            continue
        moments += _of_events(finding, ["presence"])
    return moments


def _finding(lake: Lake, wanted: str, video_id: str) -> Finding | None:
    head = next((one for one in heads_of(lake, video_id) if wanted in (one.ruleset.ruleset_id, one.ruleset.name)), None)
    found = head and read_finding(lake, head.ruleset.ruleset_id, video_id)
    return found[1] if found else None


def _of_events(finding: Finding, kinds: Sequence[str]) -> list[ReelMoment]:
    events: Events = finding.events
    whole_s = finding.judged_s + finding.unjudged_s
    found = []
    for row in events.table().to_pylist():
        end_s = row["start_s"] if row["end_s"] is None else row["end_s"]
        lasts_all_along = end_s - row["start_s"] > 0.98 * whole_s
        if row["kind"] not in kinds if kinds else lasts_all_along:
            continue
        score = row["score"] if row["score"] is not None and math.isfinite(row["score"]) else 0.0
        middle_s = (row["start_s"] + end_s) / 2
        why = f"{row['class_name']} " if row["class_name"] else ""
        found.append(
            ReelMoment(finding.video_id, row["start_s"], end_s, middle_s, score, f"{why}{row['kind']}".strip())
        )
    return found
