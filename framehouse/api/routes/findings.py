"""/v1/rulesets and /v1/findings: questions to the archive, and what they found."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from framehouse.analytics.ruling import Keeping, Ruled, comparison, event_rows, run_ruleset, scene_rows
from framehouse.analytics.uses import USES, use_of
from framehouse.api.context import Admin, ApiContext
from framehouse.errors import NotFound
from framehouse.jobs.rulings import prepared
from framehouse.results.finding_files import read_finding
from framehouse.results.findings import Finding
from framehouse.results.opening import open_lake
from framehouse.store.archive import open_archive
from framehouse.store.query import run_query

router = APIRouter(prefix="/v1", tags=["findings"])

VideoId = Annotated[str, Field(pattern=r"^v_[0-9a-f]{24}$")]

_RULESETS = """
SELECT r.ruleset_id, r.kind, r.name, r.params::VARCHAR AS params, r.version, r.first_used_at, count(*) AS n_videos,
    sum(f.n_events)::BIGINT AS n_events, sum(f.judged_s) AS judged_s, sum(f.unjudged_s) AS unjudged_s,
    max(f.made_at) AS last_used_at
FROM rulesets r JOIN findings f USING (ruleset_id)
WHERE $kind = '' OR r.kind = $kind
GROUP BY ALL ORDER BY last_used_at DESC, r.ruleset_id
"""
_FINDINGS = """
SELECT f.ruleset_id, r.kind, f.name, f.video_id, v.uri, f.n_events, f.n_scenes, f.n_tracks, f.judged_s, f.unjudged_s,
    f.made_at
FROM findings f JOIN rulesets r USING (ruleset_id) LEFT JOIN videos v USING (video_id)
WHERE ($kind = '' OR r.kind = $kind) AND ($video_id = '' OR f.video_id = $video_id)
    AND ($ruleset_id = '' OR f.ruleset_id = $ruleset_id)
ORDER BY f.made_at DESC, f.ruleset_id, f.video_id
"""


class RulesetWish(BaseModel):
    """A question, and the videos that it is about."""

    model_config = ConfigDict(extra="forbid")

    video_ids: list[VideoId] = Field(min_length=1, max_length=100)
    params: dict[str, Any] = Field(default={}, description="see `uses` of GET /v1/rulesets")
    name: str = Field(default="", max_length=200, description="to be compared with later")
    against: str = Field(default="", max_length=200, description="a ruleset_id, a name, or `last`: compare with it")
    dry_run: bool = Field(default=False, description="answer and keep nothing")


class FindingAnswer(BaseModel):
    """What a ruleset found in one video."""

    video_id: str
    ruleset_id: str
    kind: str
    name: str
    params: dict[str, Any]
    version: int
    judged_s: float = Field(description="seconds that could be judged")
    unjudged_s: float = Field(description="seconds that could not: never taken for `nothing there`")
    n_tracks: int
    events: list[dict[str, Any]]
    scenes: list[dict[str, Any]]
    against: dict[str, Any] | None = Field(default=None, description="counts, appeared and vanished events")


class RulesetAnswer(BaseModel):
    """Findings by video, and the videos that could not be judged."""

    findings: list[FindingAnswer]
    skipped: list[dict[str, Any]] = Field(description="video_id, code and message")


@router.get("/rulesets", summary="List what was asked, and what can be asked")
def rulesets(
    api: ApiContext, _: Admin, kind: str = "", limit: Annotated[int, Query(ge=1, le=10_000)] = 100
) -> dict[str, Any]:
    """`uses`: each kind with the JSON schema of its parameters. Needs the scope admin."""
    uses = [
        {"kind": use.kind, "version": use.version, "says": use.says, "params": use.params.model_json_schema()}
        for use in USES.values()
    ]
    return {"rulesets": _rows(api, _RULESETS, limit, kind=kind), "uses": uses}


@router.post("/rulesets/{kind}", summary="Ask about some videos")
def ask(kind: Annotated[str, Path(max_length=40)], wish: RulesetWish, api: ApiContext, _: Admin) -> RulesetAnswer:
    """Answers from what is stored: nothing is inferred. The findings are kept, and in the tables a moment later."""
    use, settings = use_of(kind), api.settings
    params = prepared(use.check(wish.params), settings)
    keeping = Keeping(open_lake(*settings.lake_place), api.state, wish.dry_run)
    memory = settings.store.query_memory
    with api.query_slots, open_archive(settings.store_dir, memory=memory, lake=keeping.lake) as archive:
        ids = list(dict.fromkeys(wish.video_ids))
        done = list(run_ruleset(archive, keeping, use, params, ids, name=wish.name, against=wish.against))
    return RulesetAnswer(
        findings=[_answer(one.finding, one.against) for one in done if isinstance(one, Ruled)],
        skipped=[
            {"video_id": one.video_id, "code": one.error.code, "message": one.error.message}
            for one in done if not isinstance(one, Ruled)
        ],
    )  # fmt: skip


@router.get("/findings", summary="List what was found, newest first")
def findings(
    api: ApiContext, _: Admin, kind: str = "", video_id: str = "", ruleset_id: str = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> dict[str, Any]:  # fmt: skip
    """How much each ruleset found in each video, and how much of it could be judged. Needs the scope admin."""
    return {"findings": _rows(api, _FINDINGS, limit, kind=kind, video_id=video_id, ruleset_id=ruleset_id)}


@router.get("/findings/{ruleset_id}/{video_id}", summary="Show what a ruleset found in a video")
def show(
    ruleset_id: Annotated[str, Path(pattern=r"^r_[0-9a-f]{24}$")],
    video_id: Annotated[str, Path(pattern=r"^v_[0-9a-f]{24}$")],
    api: ApiContext, _: Admin,
) -> FindingAnswer:  # fmt: skip
    """Events and scenes; tracks are in the table `tracks`."""
    found = read_finding(open_lake(*api.settings.lake_place), ruleset_id, video_id)
    if found is None:
        raise NotFound(f"no finding of {ruleset_id} in {video_id}", hint="GET /v1/findings")
    return _answer(found[1], None)


def _answer(finding: Finding, against: Finding | None) -> FindingAnswer:
    rules = finding.ruleset
    return FindingAnswer(
        video_id=finding.video_id, ruleset_id=rules.ruleset_id, kind=rules.kind, name=rules.name,
        params=dict(rules.params), version=rules.version, judged_s=finding.judged_s, unjudged_s=finding.unjudged_s,
        n_tracks=len(set(finding.tracks.tracker_id.tolist())), events=event_rows(finding),
        scenes=scene_rows(finding), against=None if against is None else comparison(against, finding),
    )  # fmt: skip


def _rows(api: ApiContext, sql: str, limit: int, **params: str) -> list[dict[str, Any]]:
    settings = api.settings
    return run_query(
        settings.store_dir, sql, params=params, max_rows=limit, memory=settings.store.query_memory
    ).records()
