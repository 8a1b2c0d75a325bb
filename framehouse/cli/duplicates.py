"""`framehouse duplicates`: videos and stretches of videos that show the same."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from framehouse.cli.rulings import AsJson, DryRun, Name, clock

if TYPE_CHECKING:
    from framehouse.jobs.duplicates import Pair


def duplicates(
    videos: list[str] = typer.Argument(
        None, metavar="[VIDEO]...", help="ids (v_…), files, or places where they were seen; none: all against all"
    ),
    least: float = typer.Option(2.0, "--least", min=0.2, help="seconds; shorter stretches do not count"),
    name: Name = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Find near-duplicates: re-encoded, resized, brightened or trimmed copies, and stretches that videos share.

    Pictures are compared, so the files must be on this machine; works with the stack down. Each file is decoded once.

    Example: framehouse duplicates bikes.mp4
    """
    from framehouse.analytics.ruling import Keeping, keep
    from framehouse.cli.output import begin, emit_json, emit_text, say, table_text
    from framehouse.cli.videos import find_video_id
    from framehouse.jobs.duplicates import Unread, find_pairs, finding_of, read_prints, ruleset_of
    from framehouse.jobs.submit import connect
    from framehouse.results.opening import open_lake
    from framehouse.store.archive import open_archive

    settings = begin()
    asked = [find_video_id(settings, text) for text in videos or ()] or None
    ruleset = ruleset_of(least, name)
    with open_archive(settings.store_dir, memory=settings.store.query_memory) as archive:
        known = [archive.video(video_id) for video_id in archive.video_ids()]
        read, unread = {}, []
        for video, prints in read_prints(settings, known, lambda shown: say(f"reading {shown}")):
            if isinstance(prints, Unread):
                unread.append(prints)
            else:
                read[video.video_id] = (video, prints)
        for one in unread:
            say(f"not compared: {one.video_id}: {one.reason}")
        pairs = find_pairs(archive, {key: prints for key, (_, prints) in read.items()}, asked, least_s=least)
    if not dry_run:
        state = connect(settings)
        keeping = Keeping(open_lake(*settings.lake_place), state)
        for key, (video, prints) in read.items():
            if asked is None or key in asked:
                keep(keeping, finding_of(video, prints, pairs, ruleset))
        state.close()
    if as_json:
        emit_json([_document(pair) for pair in pairs])
        return
    rows = [
        [pair.video.name, pair.relation, pair.other.name, _span(match.start_s, match.end_s),
         _span(match.other_start_s, match.other_end_s), round(match.similarity, 3), "still" if match.still else ""]
        for pair in pairs
        for match in pair.matches
    ]  # fmt: skip
    columns = ["video", "is", "other", "from-to", "other_from-to", "alike", ""]
    emit_text(table_text(columns, rows) if rows else "")
    compared = f"{len(read)} videos compared" + (f", {len(unread)} could not be" if unread else "")
    say(compared if rows else f"no duplicates; {compared}")


def _span(start_s: float, end_s: float) -> str:
    return f"{clock(start_s)}-{clock(end_s)}"


def _document(pair: Pair) -> dict[str, Any]:
    return {
        "video_id": pair.video.video_id, "video": pair.video.name, "relation": pair.relation,
        "other_video_id": pair.other.video_id, "other": pair.other.name, "share": round(pair.share, 4),
        "other_share": round(pair.other_share, 4), "matches": [asdict(match) for match in pair.matches],
    }  # fmt: skip
