"""Brand safety and moderation: a policy asked of the archive, and intervals with reasons as its answer.

Events of it, with the name of the rule as `class_name`:

=================== ================================================================================================
`policy`            the rule says yes from `time_offset_s` to `end_s`; `frame_offset` is the frame that shows it best,
                    `score` its score (null for a rule of absence). Facts: `why`, `reason`, `model_id`, `labels` and
                    `boxes` (pixels: left, top, right, bottom; the surest first) of that frame, `n_frames`,
                    `unjudged_s`, `open_start`, `open_end`
`policy_unjudged`   the rule says nothing from `time_offset_s` to `end_s`: facts `why_not` has the reasons
=================== ================================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
from pydantic import Field, PrivateAttr

from framehouse.analytics.intervals import union
from framehouse.analytics.policy_file import Rule
from framehouse.analytics.policy_judge import NEVER_RAN, NOT_ASKED, Hits, Outcome, judge_rule
from framehouse.analytics.use import Params, Use
from framehouse.results.contract import FrameRows
from framehouse.results.elements.base import Prompts
from framehouse.results.findings import Event, Events, Finding, Ruleset, input_digest
from framehouse.store.archive import Archive, Frames, ModelSeen, Video

FOUND, UNJUDGED = "policy", "policy_unjudged"
_VERSION = 1
_MOST_BOXES = 20
_REASONS: Mapping[str, str] = {
    NEVER_RAN: "{model} never ran on this video: framehouse run FILE --model {model}",
    NOT_ASKED: "frames that no finished job asked {model} about: framehouse backfill",
}


class PolicyParams(Params):
    """A policy as parameters of a ruleset.

    What its phrases are in the spaces of some models comes from `known_as`: no part of what was asked, as it is made of
    the texts alone.
    """

    rules: tuple[Rule, ...] = Field(min_length=1, max_length=200)
    _vectors: Mapping[str, Prompts] = PrivateAttr(default_factory=dict)
    _missing: str = PrivateAttr(default="its phrases were not made vectors of")

    def known_as(self, vectors: Mapping[str, Prompts], missing: str) -> Self:
        """The same with vectors of its texts by model digest, and why there are none of other models."""
        copy = self.model_copy()
        copy._vectors, copy._missing = vectors, missing
        return copy

    def prompts(self, model_digest: str, rule: Rule) -> Prompts | str:
        """Vectors of a rule's `phrases`, then of its `against`, in the space of a model; or why there are none."""
        found = self._vectors.get(model_digest)
        if found is None:
            return self._missing
        known, texts = dict(zip(found.names, found.vectors, strict=True)), (*rule.phrases, *rule.against)
        return Prompts("labels", texts, tuple(known[text] for text in texts), found.logit_scale)

    @property
    def phrases(self) -> dict[str, tuple[str, ...]]:
        """Model as rules name it -> every text of its rules, each once."""
        texts: dict[str, dict[str, None]] = {}
        for rule in self.rules:
            if rule.evidence == "phrases":
                texts.setdefault(rule.model, {}).update(dict.fromkeys((*rule.phrases, *rule.against)))
        return {model: tuple(each) for model, each in texts.items()}


@dataclass(frozen=True, slots=True)
class Line:
    """An event of a policy, for people and machines alike."""

    rule: str
    start_s: float
    end_s: float
    frame_offset: int
    score: float
    facts: Mapping[str, Any]


def judge(archive: Archive, video: Video, params: PolicyParams, ruleset: Ruleset) -> Finding:
    """Every rule in one video. What no rule could judge is an event too: silence is not a clean video."""

    @cache
    def look(model: ModelSeen) -> tuple[Frames, FrameRows]:
        return archive.frames(model), archive.rows(model)

    outcomes = [judge_rule(rule, archive, video, params.prompts, look) for rule in params.rules]
    dark = union(*(outcome.dark for outcome in outcomes)).total_s
    return Finding.of(
        ruleset,
        video.video_id,
        input_digest=_digest(outcomes),
        events=Events.ordered(event for outcome in outcomes for event in _events(outcome)),
        model_digests=tuple(dict.fromkeys(one.model_digest for one in outcomes if one.model_digest)),
        judged_s=max(0.0, video.duration_s - dark),
        unjudged_s=dark,
    )


USE = Use(FOUND, _VERSION, PolicyParams, judge, "brand safety and moderation by a policy file")


def lines_of(events: Events, kind: str = FOUND) -> list[Line]:
    """The events of one kind, in order of time."""
    rows = events.where(events.kind == kind)
    return [
        Line(str(rows.class_name[i]), float(rows.start_s[i]), float(rows.end_s[i]), int(rows.frame_offset[i]),
             float(rows.score[i]), json.loads(rows.facts[i]))
        for i in range(len(rows))
    ]  # fmt: skip


def unjudged_rules(finding: Finding, duration_s: float, allowed: float = 0.0) -> dict[str, float]:
    """Rules that could not judge more than an allowed share of the video -> seconds that they could not."""
    found: dict[str, float] = {}
    for line in lines_of(finding.events, UNJUDGED):
        found[line.rule] = found.get(line.rule, 0.0) + line.end_s - line.start_s
    return {rule: seconds for rule, seconds in found.items() if seconds > allowed * duration_s + 1e-6}


def why_not(codes: Sequence[str], model: str) -> str:
    """Why a rule could not judge, in words; a gap's own code stays as it is."""
    return "; ".join(_REASONS.get(code, code).format(model=model) for code in codes)


def _events(outcome: Outcome) -> Iterator[Event]:
    rule, found = outcome.rule, outcome.intervals
    least = rule.confidence if rule.stay is None else rule.stay
    for i in range(len(found)):
        is_absence = rule.fewer_than is not None
        shown = outcome.hits.of_frame(int(found.best_frame_offset[i]), least)
        facts = {
            "why": rule.why, "reason": _reason(rule, shown), "model_id": outcome.model_id, **_shown(shown),
            "n_frames": int(found.n_frames[i]), "unjudged_s": round(float(found.unjudged_s[i]), 4),
            "open_start": bool(found.open_start[i]), "open_end": bool(found.open_end[i]),
        }  # fmt: skip
        yield Event(
            FOUND, float(found.start_s[i]), float(found.end_s[i]), int(found.best_frame_offset[i]),
            class_name=rule.name, score=np.nan if is_absence else float(found.best_score[i]), facts=_json(facts),
        )  # fmt: skip
    facts = {"why_not": list(outcome.why_dark), "model": rule.model, "says": why_not(outcome.why_dark, rule.model)}
    for start_s, end_s in zip(outcome.dark.start_s.tolist(), outcome.dark.end_s.tolist(), strict=True):
        yield Event(UNJUDGED, start_s, end_s, class_name=rule.name, facts=_json(facts))


def _reason(rule: Rule, shown: Hits) -> str:
    """What the frame has, in words: `bottle 0.87, cup 0.61`."""
    named = ", ".join(f"{label} {score:.2f}" for label, score in zip(shown.label[:4], shown.score[:4], strict=True))
    if rule.fewer_than is not None:
        wanted = " or ".join(rule.classes)
        said = f"no {wanted}" if rule.fewer_than == 1 else f"fewer than {rule.fewer_than} {wanted}"
        return said + (f": {named}" if named else "")
    more = f" and {len(shown.label) - 4} more" if len(shown.label) > 4 else ""
    return named + more


def _shown(shown: Hits) -> dict[str, Any]:
    """Labels and boxes of the frame that shows it best."""
    boxes = shown.xyxy[:_MOST_BOXES]
    placed = [[round(float(x), 1) for x in box] if np.isfinite(box).all() else None for box in boxes]
    return {
        "labels": [str(label) for label in shown.label[:_MOST_BOXES]],
        "scores": [round(float(score), 4) for score in shown.score[:_MOST_BOXES]],
        "boxes": placed,
    }


def _digest(outcomes: Sequence[Outcome]) -> str:
    parts: list[Any] = []
    for outcome in outcomes:
        found, dark, hits = outcome.intervals, outcome.dark, outcome.hits
        parts += [outcome.model_digest, found.start_s, found.end_s, dark.start_s, dark.end_s, hits.frame_offset,
                  hits.score, hits.label, np.nan_to_num(hits.xyxy)]  # fmt: skip
    return input_digest(*parts)


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False, sort_keys=True)
