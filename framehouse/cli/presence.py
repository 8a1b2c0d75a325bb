"""`framehouse presence`: when objects of interest are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from framehouse.cli.rulings import Against, All, AsJson, Asked, Classes, Confidence, DryRun, Model, Name, Videos

if TYPE_CHECKING:
    from framehouse.analytics.ruling import Ruled
    from framehouse.cli.rulings import Rows


def presence(
    videos: Videos = None,
    all_: All = False,
    classes: Classes = None,
    model: Model = "",
    confidence: Confidence = None,
    stay: float = typer.Option(0.25, "--stay", min=0, max=1, help="a stay goes on while a box has this confidence"),
    min_s: float = typer.Option(0.0, "--min", min=0, metavar="SECONDS", help="leave out shorter stays"),
    join_s: float = typer.Option(1.0, "--join", min=0, metavar="SECONDS", help="stays at most this far apart are one"),
    lost_s: float = typer.Option(2.0, "--lost", min=0, metavar="SECONDS", help="unseen for longer, it is another one"),
    tracks: bool = typer.Option(False, "--tracks", help="show every object by itself too"),
    name: Name = "",
    against: Against = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """When objects are there: stays of each class, first and last sight, how long; from what is stored, no inference.

    A gap is never taken for absence: the share of the time that nobody saw is told, and a stay beside it is marked `…`.

    Example: framehouse presence bikes.mp4 --class person --join 2
    """
    from framehouse.cli.output import begin
    from framehouse.cli.rulings import rule

    values = {
        "classes": classes or [], "model": model, "stay": stay, "min_s": min_s, "join_s": join_s, "lost_s": lost_s,
        "confidence": begin().jobs.confidence if confidence is None else confidence,
    }  # fmt: skip
    asked = Asked(videos, all_, name, against, dry_run, as_json)
    rule("presence", values, asked, lambda ruled: _rows(ruled, tracks))


def _rows(ruled: Ruled, tracks: bool) -> Rows:
    """Stays, and tracks where they are wanted."""
    from framehouse.analytics.ruling import event_rows
    from framehouse.cli.rulings import clock

    rows = []
    for event in event_rows(ruled.finding):
        facts, is_track = event["facts"], event["kind"] == "track"
        if is_track and not tracks:
            continue
        start = ("…" if facts.get("open_start") else "") + clock(event["time_offset_s"])
        end = clock(event["end_s"]) + ("…" if facts.get("open_end") else "")
        who = f"{event['class_name']} {event['tracker_id']}" if is_track else event["class_name"]
        lasts = round(event["end_s"] - event["time_offset_s"], 1)
        most = 1 if is_track else facts["max_at_once"]
        rows.append([who, start, end, lasts, most, facts.get("unseen_s") or None, round(event["score"], 2)])
    return ["what", "from", "to", "seconds", "at once", "unseen_s", "best"], rows
