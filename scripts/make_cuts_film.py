"""The film of docs/guide/scenes.md, tags.md and reels.md, and their pictures.

    python scripts/make_cuts_film.py film FILM.mp4            cut together from the sample videos, deterministic
    python scripts/make_cuts_film.py pictures FILM.mp4 REEL.mp4 FOLDER

Between the two, in one FRAMEHOUSE_HOME: `framehouse run FILM.mp4` with the models detector, faces, tags and clip,
and `scenes`, `tags`, `reel` as in the guide; the pictures show what these commands find.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import edits  # noqa: E402
from edits import Picture, Piece, recorded  # noqa: E402
from framehouse.samples import sample_videos  # noqa: E402
from real_parts import cache_folder  # noqa: E402

MADE = ("scenes.jpg", "ranked-tags.jpg", "reel.jpg")
COLOURS = [(86, 156, 214), (206, 145, 120), (106, 153, 85), (197, 134, 192), (220, 190, 90), (120, 120, 200)]
THUMB = (176, 99)
INK, PAPER = (30, 30, 30), 250


def make_film(path: Path) -> None:
    """24 s: a cut away and back, a fade in silence, a dissolve, a fade, a cut."""
    every = {name: frames_of(video) for name, video in sample_videos(cache_folder() / "samples").items()}
    bikes, bunny, phone = every["bikes.mp4"], every["bigbuckbunny.mp4"], every["carphone_pristine.mp4"]
    pieces = [
        Piece(recorded(bunny), 132), Piece(recorded(phone[:70]), 140), Piece(recorded(bunny[60:]), 72),
        Piece(recorded(bikes[76:137]), 61, "fade", 15), Piece(recorded(bikes[137:187]), 50, "dissolve", 20),
        Piece(recorded(phone[70:]), 100, "fade", 12), Piece(recorded(bikes[187:242]), 55),
    ]  # fmt: skip
    frames, changes = edits.film(pieces)
    edits.write(path, frames, silences=[(13.0, 14.6), (18.2, 20.0)])
    print(*changes, sep="\n")


def frames_of(path: Path) -> list[Picture]:
    import av

    with av.open(str(path)) as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]


def asked(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "framehouse.cli.main", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout)[0])


def label(picture: Picture, text: str) -> Picture:
    cv2.rectangle(picture, (0, 0), (8 + 7 * len(text), 15), (0, 0, 0), -1)
    cv2.putText(picture, text, (4, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def small(picture: Picture) -> Picture:
    return cv2.resize(picture, THUMB, interpolation=cv2.INTER_AREA).astype(np.uint8)


def scenes_picture(film: Path) -> Picture:
    """A row for each change: 0.4 s before, just before, at it, just after, 0.4 s after; then the film as a bar."""
    frames, found = frames_of(film), asked("scenes", str(film), "--dry-run")
    rows = []
    for cut in (one for one in found["events"] if one["kind"] == "scene_cut"):
        at, is_cut = cut["frame_offset"], cut["end_s"] is None
        first = at - 1 if is_cut else round(cut["time_offset_s"] * edits.RATE)
        end = at if is_cut else round(cut["end_s"] * edits.RATE)
        words = [
            "0.4 s before",
            "last before",
            f"{cut['class_name']} {at / edits.RATE:.2f} s",
            "first after",
            "0.4 s after",
        ]
        chosen = np.clip([first - 10, first, at, end, end + 10], 0, len(frames) - 1).tolist()
        rows.append(np.hstack([label(small(frames[i]), text) for i, text in zip(chosen, words, strict=True)]))
    sheet = np.vstack(rows)
    return np.vstack([sheet, bar(found, sheet.shape[1])])


def bar(found: dict[str, Any], width: int) -> Picture:
    """Shots as blocks, a colour for each scene; insertion points as numbers."""
    made = np.full((64, width, 3), PAPER, np.uint8)
    end_s = found["scenes"][-1]["end_s"]
    for shot in (one for one in found["events"] if one["kind"] == "shot"):
        left, right = (int(shot[name] / end_s * width) for name in ("time_offset_s", "end_s"))
        cv2.rectangle(made, (left + 1, 8), (right - 1, 28), COLOURS[shot["facts"]["scene"] % len(COLOURS)], -1)
    for point in (one for one in found["events"] if one["kind"] == "insertion_point"):
        x = int(point["time_offset_s"] / end_s * width)
        cv2.line(made, (x, 4), (x, 40), INK, 2)
        text = f"{point['facts']['rank']}: {point['score']:.2f}"
        cv2.putText(made, text, (x - 24, 56), cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
    return made


def tags_picture(film: Path) -> Picture:
    """The frame that shows each tag best."""
    frames, found = frames_of(film), asked("tags", str(film), "--dry-run")
    best = sorted((one for one in found["events"] if one["kind"] == "tag"), key=lambda one: int(one["facts"]["rank"]))[
        :6
    ]
    large = (THUMB[0] * 3 // 2, THUMB[1] * 3 // 2)
    shown = []
    for tag in best:
        picture = cv2.resize(frames[tag["frame_offset"]], large, interpolation=cv2.INTER_AREA).astype(np.uint8)
        shown.append(label(picture, f"{tag['class_name']} {tag['score']:.2f}"))
    shown += [np.full_like(shown[0], PAPER)] * (-len(shown) % 3)
    return np.vstack([np.hstack(shown[i : i + 3]) for i in range(0, len(shown), 3)])


def reel_picture(reel: Path) -> Picture:
    """Twelve frames of the reel, with the chapter of each."""
    import av

    frames = frames_of(reel)
    with av.open(str(reel)) as source:
        chapters = [(float(one["end"] * one["time_base"]), one["metadata"]["title"]) for one in source.chapters()]
        times = [float(p.pts * p.time_base) for p in source.demux(video=0) if p.pts is not None and p.time_base]
    shown = []
    for i in np.linspace(0, len(frames) - 1, 12).astype(int).tolist():
        title = next((title for end, title in chapters if sorted(times)[i] < end), "")
        shown.append(label(small(frames[i]), title.removesuffix(" presence")))
    return np.vstack([np.hstack(shown[row : row + 4]) for row in (0, 4, 8)])


def main(words: list[str]) -> None:
    if words[0] == "film":
        make_film(Path(words[1]))
        return
    film, reel, folder = (Path(word) for word in words[1:4])
    for name, picture in (
        ("scenes", scenes_picture(film)),
        ("ranked-tags", tags_picture(film)),
        ("reel", reel_picture(reel)),
    ):
        cv2.imwrite(str(folder / f"{name}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main(sys.argv[1:])
