"""`framehouse lines`: who crosses lines, and who is in zones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from framehouse.cli.rulings import Against, All, AsJson, Asked, Classes, Confidence, DryRun, Model, Name, Videos

if TYPE_CHECKING:
    from collections.abc import Iterable

    from framehouse.analytics.ruling import Ruled
    from framehouse.cli.rulings import Rows


def lines(
    videos: Videos = None,
    all_: All = False,
    line: list[str] | None = typer.Option(
        None,
        "--line",
        "-l",
        metavar="[NAME=]x1,y1,x2,y2",
        help="pixels, or shares of the picture (0..1); again for more",
    ),
    zone: list[str] | None = typer.Option(
        None, "--zone", "-z", metavar="[NAME=]x1,y1,x2,y2,x3,y3…", help="corners of an area; again for more"
    ),
    classes: Classes = None,
    model: Model = "",
    confidence: Confidence = None,
    anchor: str = typer.Option("bottom", "--anchor", help="point of the box that counts: bottom, centre or top"),
    min_s: float = typer.Option(0.0, "--min", min=0, metavar="SECONDS", help="leave out shorter stays in a zone"),
    join_s: float = typer.Option(1.0, "--join", min=0, metavar="SECONDS", help="stays at most this far apart are one"),
    lost_s: float = typer.Option(2.0, "--lost", min=0, metavar="SECONDS", help="unseen for longer, it is another one"),
    events: bool = typer.Option(False, "--events", help="show every crossing and stay, not the counts"),
    name: Name = "",
    against: Against = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Count objects that cross lines, in and out, and that stay in zones; from what is stored, no inference.

    Stand at the line's first point and look along it: in is from your right hand to your left. For a line drawn from
    left to right that is upwards; swap its points to turn it round.

    Example: framehouse lines bikes.mp4 --line 0,0.5,1,0.5 --zone crossing=0.2,0.6,0.8,0.6,0.8,1,0.2,1 --class person
    """
    from framehouse.cli.output import begin
    from framehouse.cli.rulings import rule

    values: dict[str, Any] = {
        "lines": [shape(text) for text in line or ()], "zones": [shape(text) for text in zone or ()],
        "classes": classes or [], "model": model, "anchor": anchor, "min_s": min_s, "join_s": join_s, "lost_s": lost_s,
        "confidence": begin().jobs.confidence if confidence is None else confidence,
    }  # fmt: skip
    rule("lines", values, Asked(videos, all_, name, against, dry_run, as_json), _event_rows if events else _count_rows)


def shape(text: str) -> dict[str, Any]:
    """`NAME=x1,y1,…` or `x1,y1,…` as a line or zone.

    Raises:
        ConfigError: code `config.ruleset`, no numbers.

    >>> shape("door=0,0.5,1,0.5")
    {'name': 'door', 'points': [0.0, 0.5, 1.0, 0.5]}
    """
    from framehouse.errors import ConfigError

    name, _, points = text.rpartition("=")
    try:
        return {"name": name.strip(), "points": [float(number) for number in points.split(",")]}
    except ValueError as error:
        raise ConfigError(f"{text!r} is no list of numbers", code="config.ruleset",
                          hint="for example: --line door=0,0.5,1,0.5") from error  # fmt: skip


def _count_rows(ruled: Ruled) -> Rows:
    """A row for each line or zone and class; a line or zone without any shows zeros."""
    from framehouse.analytics.ruling import event_rows

    found = event_rows(ruled.finding)
    params, rows = ruled.finding.ruleset.params, []
    for item in params["lines"]:
        mine = [event for event in found if event["facts"].get("line") == item["name"]]
        for name in _classes(mine):
            kinds = [event["kind"] for event in mine if event["class_name"] == name]
            rows.append([item["name"], name, kinds.count("line_in"), kinds.count("line_out"), None, None, None])
    for item in params["zones"]:
        mine = [event for event in found if event["facts"].get("zone") == item["name"]]
        for name in _classes(mine):
            his = [event for event in mine if event["class_name"] == name]
            stays = [(e["time_offset_s"], e["end_s"]) for e in his if e["kind"] == "zone_dwell"]
            kinds = [event["kind"] for event in his]
            lasts = [end - start for start, end in stays]
            rows.append(
                [item["name"], name, kinds.count("zone_enter"), kinds.count("zone_leave"), most_at_once(stays),
                 round(sum(lasts) / len(lasts), 1) if lasts else None, round(max(lasts), 1) if lasts else None]
            )  # fmt: skip
    return ["where", "class", "in", "out", "at once", "mean_s", "longest_s"], rows


def _classes(events: Iterable[dict[str, Any]]) -> list[str]:
    return sorted({event["class_name"] for event in events}) or ["-"]


def most_at_once(stays: Iterable[tuple[float, float]]) -> int:
    """The largest number of stays (from, to), half open, at one time.

    >>> most_at_once([(0, 2), (1, 3), (2, 4)])
    2
    """
    now = most = 0
    for _, step in sorted((time_s, step) for start, end in stays for time_s, step in ((start, 1), (end, -1))):
        now += step
        most = max(most, now)
    return most


def _event_rows(ruled: Ruled) -> Rows:
    from framehouse.analytics.ruling import event_rows
    from framehouse.cli.rulings import clock

    rows = []
    for event in event_rows(ruled.finding):
        facts, lasts = event["facts"], event["end_s"] and round(event["end_s"] - event["time_offset_s"], 1)
        note = next((word for word in ("appeared", "vanished") if facts.get(word)), None)
        note = f"{facts['unseen_s']:.1f} s unseen" if facts.get("unseen_s") else note
        where = facts.get("line") or facts.get("zone")
        who = f"{event['class_name']} {event['tracker_id']}"
        rows.append([clock(event["time_offset_s"]), event["kind"], where, who, lasts, note])
    return ["at", "what", "where", "who", "seconds", "note"], rows
