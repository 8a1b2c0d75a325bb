"""`framehouse tags`: what videos and their scenes are about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from framehouse.cli.rulings import Against, All, AsJson, DryRun, Name, Videos

if TYPE_CHECKING:
    from framehouse.analytics.ruling import Ruled
    from framehouse.cli.rulings import Rows
    from framehouse.config import Settings
    from framehouse.store.archive import Archive


def tags(
    videos: Videos = None,
    all_: All = False,
    scenes: bool = typer.Option(False, "--scenes", help="show the tags of each scene"),
    top: int = typer.Option(20, "--top", min=0, help="most tags of a video"),
    scene_top: int = typer.Option(5, "--scene-top", min=0, help="most tags of a scene"),
    confidence: float = typer.Option(
        0.4, "--confidence", min=0, max=1, help="a box, class or text counts from here on"
    ),
    min_frames: int = typer.Option(2, "--min-frames", min=1, help="least frames with a tag"),
    weights: list[str] | None = typer.Option(
        None, "--weight", "-w", metavar="SOURCE=N", help="of object, tag, text or clip, 0 to 1; 0: none"
    ),
    vocabulary: Path | None = typer.Option(
        None, "--vocabulary", metavar="FILE", help="words for CLIP zero-shot, one a line; default: 66 of our own"
    ),
    look_first: bool = typer.Option(True, "--look/--no-look", help="decode a video once to find its scenes"),
    name: Name = "",
    against: Against = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Ranked tags of videos and of their scenes, each with its evidence: boxes, classes, written words, CLIP zero-shot.

    Works with the stack down, from what is stored. Scenes are those of `framehouse scenes`, else they are found now.

    Example: framehouse tags bikes.mp4 --scenes --weight tag=0.5
    """
    from framehouse.analytics.tags import VOCABULARY
    from framehouse.cli.rulings import Asked, rule

    words = VOCABULARY if vocabulary is None else _read_words(vocabulary)
    values = {
        "top": top, "scene_top": scene_top, "confidence": confidence, "min_frames": min_frames, "vocabulary": words,
        **_weights(weights or []),
    }  # fmt: skip

    def before(settings: Settings, archive: Archive, chosen: Mapping[str, str]) -> None:
        _prepare(settings, archive, chosen, words, look_first=look_first)

    asked = Asked(videos, all_, name, against, dry_run, as_json)
    rule("tags", values, asked, _of_scenes if scenes else _of_video, before=before)


def _prepare(
    settings: Settings, archive: Archive, chosen: Mapping[str, str], words: tuple[str, ...], *, look_first: bool
) -> None:
    """Vectors of the vocabulary for each CLIP that saw one of the videos, and looks of the videos."""
    from framehouse.cli.output import say
    from framehouse.cli.scenes import look
    from framehouse.jobs.vocabularies import ensure_vocabulary

    assert archive.lake is not None
    seen = (model for video_id in chosen for model in archive.models(video_id, ("embeddings",)))
    models = {(model.model_id, model.model_digest) for model in seen}
    for model_id, digest in sorted(models) if words else ():
        told = ensure_vocabulary(settings, archive.lake, model_id, digest, words)
        if told:
            say(told)
    if look_first:
        look(settings, archive, chosen)


def _read_words(path: Path) -> tuple[str, ...]:
    """Words of a file, one a line, each once; raises SourceNotFound, ConfigError."""
    from framehouse.errors import ConfigError, SourceNotFound

    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SourceNotFound(f"{path} cannot be read: {error.strerror}", hint="a text file, one word a line") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8", code="config.tags", hint="one word a line") from error
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _weights(given: list[str]) -> dict[str, float]:
    from framehouse.analytics.tagging import SOURCES
    from framehouse.cli.scenes import weight_of

    return {
        f"weight_{source}": number for source, number in (weight_of(text, SOURCES, "config.tags") for text in given)
    }


# --- tables ---------------------------------------------------------------------------------------------------------


def _of_video(ruled: Ruled) -> Rows:
    from framehouse.analytics.ruling import event_rows

    rows = sorted((row for row in event_rows(ruled.finding) if row["kind"] == "tag"), key=_rank)
    table = [
        [row["facts"]["rank"], row["class_name"], round(row["score"], 3), _span(row["facts"]["scenes"]), _why(row)]
        for row in rows
    ]
    return ["rank", "tag", "score", "scenes", "evidence"], table


def _of_scenes(ruled: Ruled) -> Rows:
    from framehouse.analytics.ruling import event_rows
    from framehouse.cli.rulings import clock

    rows = [row for row in event_rows(ruled.finding) if row["kind"] == "scene_tag"]
    rows.sort(key=lambda row: (row["facts"]["scene"], row["facts"]["rank"]))
    table = [
        [row["facts"]["scene"], clock(row["time_offset_s"]), clock(row["end_s"]), row["class_name"],
         round(row["score"], 3), _why(row)]
        for row in rows
    ]  # fmt: skip
    return ["scene", "from", "to", "tag", "score", "evidence"], table


def _rank(row: dict[str, Any]) -> int:
    return int(row["facts"]["rank"])


def _why(row: dict[str, Any]) -> str:
    from framehouse.cli.rulings import clock

    return "; ".join(
        f"{one['source']} by {one['model_id']}: {one['n_frames']} of {one['n_judged']} frames, "
        f"{one['confidence']:.2f}, best at {clock(one['best_s'])}"
        for one in row["facts"]["evidence"]
    )


def _span(numbers: list[int]) -> str:
    """Numbers of scenes, runs as from-to.

    >>> _span([0, 1, 2, 5])
    '0-2 5'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
