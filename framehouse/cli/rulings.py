"""What all uses of the archive share at the command line: how videos are named, and how findings are shown.

A command is its own options and one call: `rule("lines", params, asked, rows_of)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from framehouse.analytics.ruling import Comparison, Ruled, Skipped
    from framehouse.config import Settings
    from framehouse.store.archive import Archive

Videos = Annotated[
    list[str] | None, typer.Argument(metavar="VIDEO…", help="ids (v_…), files, or places where they were seen")
]
All = Annotated[bool, typer.Option("--all", help="every video that was run")]
Name = Annotated[str, typer.Option("--name", help="a name for these parameters, to be compared with later")]
Against = Annotated[
    str, typer.Option("--against", metavar="NAME|ID|last", help="compare with what earlier parameters found")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show it and keep nothing")]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable")]

Proof = Annotated[
    Path | None, typer.Option("--proof", metavar="DIR", help="write the frame that shows each moment best, as JPEG")
]

FOUND, NOT_JUDGED = 1, 10
"""Exit codes of uses that are checks: something was found; not all could be judged. Their sum when both."""

Classes = Annotated[
    list[str] | None, typer.Option("--class", "-c", help="only objects of this class; may be given again")
]
Model = Annotated[
    str, typer.Option("--model", "-m", metavar="NAME[/VERSION]", help="whose boxes; default: the detector's")
]
Confidence = Annotated[
    float | None, typer.Option("--confidence", min=0, max=1, help="least confidence of an object; default: the jobs'")
]

Rows = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Names of columns, and rows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that every use has."""

    videos: Sequence[str] | None
    all: bool = False
    name: str = ""
    against: str = ""
    dry_run: bool = False
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Also:
    """What a use says of a finding beside what is in it: keys for its JSON, and for events of it by their index."""

    document: Mapping[str, Any] = field(default_factory=dict)
    events: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def rule(
    kind: str,
    values: Mapping[str, Any],
    asked: Asked,
    rows_of: Callable[[Ruled], Rows] | None = None,
    also: Callable[[Ruled], Also] = lambda _: Also(),
    *,
    before: Callable[[Settings, Archive, Mapping[str, str]], None] | None = None,
) -> int:
    """Judge the videos, keep the findings, and show them; works with the stack down.

    Args:
        values: parameters of the use, checked here.
        rows_of: what is shown of a finding; None shows its events.
        also: asked of each finding before it is shown.
        before: told the videos before they are judged: video_id -> how it was named ("" with --all).

    Returns:
        How many videos could not be judged at all.

    Raises:
        ConfigError: no video is named, or code `config.ruleset`; else as `run_ruleset`.
    """
    from framehouse.analytics.ruling import Keeping, Ruled, run_ruleset
    from framehouse.analytics.uses import use_of
    from framehouse.cli.output import begin, emit_json, emit_text, say
    from framehouse.jobs.rulings import prepared
    from framehouse.jobs.submit import connect
    from framehouse.results.opening import open_lake
    from framehouse.store.archive import open_archive

    settings, use = begin(), use_of(kind)
    params = prepared(use.check(values), settings)
    state = None if asked.dry_run else connect(settings)
    keeping = Keeping(open_lake(*settings.lake_place), state, asked.dry_run)
    documents, n_skipped = [], 0
    memory = settings.store.query_memory
    with open_archive(settings.store_dir, memory=memory, lake=keeping.lake) as archive:
        chosen = _video_ids(settings, archive, asked)
        if before is not None:
            before(settings, archive, chosen)
        for done in run_ruleset(archive, keeping, use, params, [*chosen], name=asked.name, against=asked.against):
            if not isinstance(done, Ruled):
                n_skipped += 1
                _tell_skipped(done, alone=len(chosen) == 1)
                continue
            more = also(done)
            if asked.as_json:
                documents.append(document(done, more))
            else:
                emit_text(_text(done, rows_of or event_table))
    if state is not None:
        state.close()
    if asked.as_json:
        emit_json(documents)
    if n_skipped:
        say(f"{n_skipped} of {len(chosen)} videos could not be judged")
    return n_skipped


def document(ruled: Ruled, also: Also) -> dict[str, Any]:
    """A finding as JSON."""
    from framehouse.analytics.ruling import comparison, event_rows, scene_rows

    finding, rules = ruled.finding, ruled.finding.ruleset
    found = {
        "video_id": finding.video_id, "video": ruled.video.name, "ruleset_id": rules.ruleset_id, "kind": rules.kind,
        "name": rules.name, "params": dict(rules.params), "version": rules.version, "judged_s": finding.judged_s,
        "unjudged_s": finding.unjudged_s, "scenes": scene_rows(finding), **also.document,
        "events": [{**row, **also.events.get(i, {})} for i, row in enumerate(event_rows(finding))],
    }  # fmt: skip
    if ruled.against is not None:
        found["against"] = comparison(ruled.against, finding)
    return found


def event_table(ruled: Ruled) -> Rows:
    """The events of a finding."""
    columns = ["at", "to", "what", "class", "track", "score"]
    rows = []
    for row in ruled.finding.events.table().to_pylist():
        score, track = row["score"], row["tracker_id"]
        shown = None if score is None else round(score, 3)
        end = "" if row["end_s"] is None else clock(row["end_s"])
        rows.append([clock(row["start_s"]), end, row["kind"], row["class_name"], None if track < 0 else track, shown])
    return columns, rows


def clock(seconds: float) -> str:
    """Seconds as people read them off a player.

    >>> clock(62.34), clock(3600.0), clock(59.96)
    ('01:02.3', '1:00:00.0', '01:00.0')
    """
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}:' if hours else ''}{minutes:02d}:{rest // 10:02d}.{rest % 10}"


def judged_text(judged_s: float, unjudged_s: float) -> str:
    """How much of a video could be judged.

    >>> judged_text(9.0, 1.0), judged_text(10.0, 0.0)
    ('judged 9.0 of 10.0 s; 1.0 s unseen (10 %)', 'judged all of 10.0 s')
    """
    whole = judged_s + unjudged_s
    if unjudged_s < 0.05:
        return f"judged all of {whole:.1f} s"
    return f"judged {judged_s:.1f} of {whole:.1f} s; {unjudged_s:.1f} s unseen ({100 * unjudged_s / whole:.0f} %)"


def _text(ruled: Ruled, rows_of: Callable[[Ruled], Rows]) -> str:
    from framehouse.analytics.ruling import compare
    from framehouse.cli.output import table_text

    finding = ruled.finding
    text = f"{ruled.video.name}  {finding.video_id}  {judged_text(finding.judged_s, finding.unjudged_s)}\n"
    columns, rows = rows_of(ruled)
    text += table_text(columns, rows) if rows else "nothing found\n"
    if ruled.against is not None:
        rules = ruled.against.ruleset
        text += f"\nagainst {rules.name or rules.ruleset_id}\n"
        text += _compared(compare(ruled.against.events, finding.events))
    return text + "\n"


def _compared(compared: Comparison) -> str:
    from framehouse.cli.output import table_text

    if not compared.counts:
        return "both found nothing\n"
    text = table_text(["what", "class", "old", "new"], compared.counts)
    moments = [("+", compared.appeared), ("-", compared.vanished)]
    rows = [
        [sign, clock(start), kind, name]
        for sign, events in moments
        for start, kind, name in zip(
            events.start_s.tolist(), events.kind.tolist(), events.class_name.tolist(), strict=True
        )
    ]
    return text + (table_text(["", "at", "what", "class"], rows) if rows else "the same moments\n")


def _video_ids(settings: Settings, archive: Archive, asked: Asked) -> dict[str, str]:
    """Videos meant, each once, in the order named, with the name that was used.

    Raises:
        ConfigError: code `config.no_video`, none or too much is named.
    """
    from framehouse.cli.videos import find_video_id
    from framehouse.errors import ConfigError

    if asked.all == bool(asked.videos):
        said = "videos and --all together" if asked.all else "no video is named"
        raise ConfigError(said, code="config.no_video", hint="name videos, or say --all; see: framehouse videos list")
    if asked.all:
        return dict.fromkeys(archive.video_ids(), "")
    return {find_video_id(settings, text): text for text in asked.videos or ()}


def _tell_skipped(skipped: Skipped, *, alone: bool) -> None:
    """One line about a video that could not be judged; of the only one it is the command's failure."""
    from framehouse.cli.output import say

    if alone:
        raise skipped.error
    say(skipped.error.line())
