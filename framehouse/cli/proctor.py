"""`framehouse proctor`: looking away, absence, a second person, a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from framehouse.cli.rulings import Against, All, AsJson, DryRun, Name, Proof, Videos

if TYPE_CHECKING:
    from framehouse.analytics.ruling import Ruled
    from framehouse.cli.rulings import Also, Rows
    from framehouse.cli.showing import Proofs

_AT_LEAST = "that lasts at least so many seconds"


def proctor(
    videos: Videos = None,
    everything: All = False,
    away_deg: float = typer.Option(25.0, "--away-deg", help="a look so far from neutral is away, degrees"),
    back_deg: float | None = typer.Option(None, "--back-deg", help="and back below this; default: 80 % of it"),
    away_s: float = typer.Option(2.0, "--away-s", help=f"looking away {_AT_LEAST}"),
    neutral: str = typer.Option(
        "median", "--neutral", metavar="YAW,PITCH", help="degrees; default: median of the video"
    ),
    calibrate: str = typer.Option("", "--calibrate", metavar="FROM,TO", help="take the median of these seconds alone"),
    absent_s: float = typer.Option(2.0, "--absent-s", help=f"absence, or a hidden face, {_AT_LEAST}"),
    second_s: float = typer.Option(1.0, "--second-s", help=f"a second person {_AT_LEAST}"),
    phone_s: float = typer.Option(1.0, "--phone-s", help=f"a phone {_AT_LEAST}"),
    join_s: float = typer.Option(0.5, "--join-s", help="moments at most so many seconds apart are one"),
    face_confidence: float = typer.Option(0.5, "--face-confidence", help="least confidence of a face"),
    person_confidence: float = typer.Option(0.5, "--person-confidence", help="least confidence of a person"),
    phone_confidence: float = typer.Option(0.4, "--phone-confidence", help="least confidence of a phone"),
    phone_class: list[str] = typer.Option(["cell phone"], "--phone-class", help="classes that count as a phone"),
    gaze: str = typer.Option("gaze", "--gaze", metavar="MODEL", help="whose looks"),
    objects: str = typer.Option("detector", "--objects", metavar="MODEL", help="whose persons and phones"),
    proof: Proof = None,
    name: Name = "",
    against: Against = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Report when the person before the camera looks away, is absent or not alone, or has a phone; nothing is inferred.

    Angles are those of the gaze model: good for left, right, up and down, not for what somebody reads.

    Exit code: 0 nothing to report and everything judged; 1 something to report; 10 nothing, but not everything could be
    judged; 11 both.

    Example: framehouse proctor exam.mp4 --away-s 3 --proof proof/
    """
    from framehouse.analytics.proctor import ALARMS, UNJUDGED
    from framehouse.cli.output import begin
    from framehouse.cli.rulings import FOUND, NOT_JUDGED, Also, Asked, rule
    from framehouse.cli.showing import Proofs

    values = {
        "gaze": gaze, "objects": objects, "face_confidence": face_confidence, "away_deg": away_deg,
        "back_deg": back_deg, "away_s": away_s, "absent_s": absent_s, "second_s": second_s, "phone_s": phone_s,
        "second_confidence": person_confidence, "phone_confidence": phone_confidence, "join_s": join_s,
        "phone_classes": phone_class, "neutral_deg": None if neutral == "median" else pair(neutral, "--neutral"),
        "calibrate_s": pair(calibrate, "--calibrate") if calibrate else None,
    }  # fmt: skip
    proofs = Proofs(proof, begin(), tuple(videos or ()))
    codes: set[int] = set()

    def also(ruled: Ruled) -> Also:
        kinds = set(ruled.finding.events.kind.tolist())
        codes.update([FOUND] * bool(kinds & set(ALARMS)), [NOT_JUDGED] * (UNJUDGED in kinds))
        return Also(events=proofs.of(ruled, ALARMS))

    asked = Asked(videos, everything, name, against, dry_run, as_json)
    n_skipped = rule("proctor", values, asked, lambda ruled: _rows(ruled, proofs), also)
    raise typer.Exit(sum(codes | ({NOT_JUDGED} if n_skipped else set())))


def pair(text: str, option: str) -> tuple[float, float]:
    """Two numbers as `12,-3.5`.

    Raises:
        ConfigError: code `config.ruleset`, they are none.

    >>> pair("12, -3.5", "--neutral")
    (12.0, -3.5)
    """
    from framehouse.errors import ConfigError

    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"{option} {text!r} is not two numbers with a comma", code="config.ruleset",
            hint=f"for example: {option} 0,10",
        ) from error  # fmt: skip
    return first, second


def _rows(ruled: Ruled, proofs: Proofs) -> Rows:
    """Everything in order of time, the whole video first."""
    from framehouse.analytics.proctor import UNJUDGED, WHOLE
    from framehouse.cli.showing import facts_of, moments

    events = ruled.finding.events
    rows: list[list[Any]] = []
    for i, at, to, score in moments(events):
        facts, kind = facts_of(events, i), str(events.kind[i])
        if kind == WHOLE:
            rows.insert(0, [at, to, "whole video", summary(facts), ""])
        elif kind == UNJUDGED:
            rows.append([at, to, f"NOT JUDGED: {events.class_name[i]}", "; ".join(facts["why_not"]), ""])
        elif kind == "faces_count":
            rows.append([at, to, "faces", f"{score:.0f}", ""])
        else:
            rows.append([at, to, kind, facts["reason"], proofs.name(ruled, i)])
    return proofs.columns(["at", "to", "what", "why"], rows)


def summary(facts: dict[str, Any]) -> str:
    """What is neutral, and how long a face was seen."""
    if facts["neutral_yaw_deg"] is None:
        return "no face was seen, so there is no neutral direction"
    told = f"neutral yaw {facts['neutral_yaw_deg']:+.0f}, pitch {facts['neutral_pitch_deg']:+.0f}"
    spread = "" if facts["spread_deg"] is None else f" (half of the looks within {facts['spread_deg']:.0f} degrees)"
    return f"{told}{spread}; a face for {facts['face_s']:.1f} s"
