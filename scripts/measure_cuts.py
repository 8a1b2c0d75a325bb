"""How well cuts are found, by several ways, on films whose cuts are known: the table of docs/decisions/0015.

    python scripts/measure_cuts.py FOLDER

FOLDER keeps the films. Made films have painted shots (tests/edits.py); cut-together films have shots of the sample
videos. Thresholds of our own way were chosen on the films with seeds 0 to 5; the table is of other ones. Those of the
embeddings are the best for the very films of the table, which flatters them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import edits  # noqa: E402
from edits import Change, Piece, recorded  # noqa: E402
from framehouse.analytics.changes import changes_of_vectors, find_changes  # noqa: E402
from framehouse.samples import sample_videos  # noqa: E402
from framehouse.video.looks import look_at  # noqa: E402
from framehouse.video.probe import probe  # noqa: E402

SEEDS = range(20, 28)
SAMPLED = 5
"""Every fifth frame: 5 of the 25 a second."""


@dataclass(frozen=True)
class Film:
    name: str
    group: str
    path: Path
    frames: list[edits.Picture]
    changes: list[Change]


Method = Callable[[Film], list[int]]


def films(folder: Path) -> Iterator[Film]:
    folder.mkdir(parents=True, exist_ok=True)
    recipes = [(f"made_{seed}", "made", edits.every_kind(seed)) for seed in SEEDS]
    recipes += [("moving", "made", _moving())]
    real = {name: list(_frames(path)) for name, path in sample_videos(folder / "samples").items()}
    recipes += [(f"real_{i}", "real", _real(real, seed)) for i, seed in enumerate((3, 4, 5, 6))]
    for name, group, pieces in recipes:
        frames, changes = edits.film(pieces)
        path = edits.write(folder / f"{name}.mp4", frames)
        yield Film(name, group, path, list(_frames(path)), changes)
    cuts = [Change("cut", at - 1, at) for at in (30, 76, 137, 187, 242)]  # seen by eye
    yield Film("bikes", "real", folder / "samples" / "bikes.mp4", real["bikes.mp4"], cuts)
    yield Film("bunny", "real", folder / "samples" / "bigbuckbunny.mp4", real["bigbuckbunny.mp4"], [])


def _moving() -> list[Piece]:
    """Much motion and only hard cuts."""
    shots = [edits.painted(901, step=(1.5, 0)), edits.painted(902, step=(6.0, 1.0)), edits.crossing(903),
             edits.painted(904, step=(12.0, 0)), edits.zoom(905, rate=1.03), edits.lamp(906, period=60),
             edits.painted(907, step=(0.0, 4.0)), edits.crossing(908, speed=5.0)]  # fmt: skip
    return [Piece(shot, 100) for shot in shots]


def _real(real: dict[str, list[edits.Picture]], seed: int) -> list[Piece]:
    """Shots of the samples in random order, joined in random ways."""
    random = np.random.default_rng(seed)
    bikes, bunny, phone = real["bikes.mp4"], real["bigbuckbunny.mp4"], real["carphone_pristine.mp4"]
    shots = [bikes[0:30], bikes[30:76], bikes[76:137], bikes[137:187], bikes[187:242]]
    shots += [bunny[:60], bunny[70:], phone[:60], phone[70:]]
    pieces = []
    for i in random.permutation(len(shots)):
        by = str(random.choice(["cut", "dissolve", "fade"]))
        over = 0 if by == "cut" else int(random.integers(9, 31))
        flashes = {int(random.integers(35, 42)): int(random.integers(1, 4))} if random.random() < 0.3 else {}
        pieces.append(Piece(recorded(shots[i]), int(random.integers(70, 90)), by, over, flashes))
    return pieces


def _frames(path: Path) -> Iterator[edits.Picture]:
    import av

    with av.open(str(path)) as source:
        for frame in source.decode(video=0):
            yield frame.to_ndarray(format="rgb24", width=128, height=72)


# --- ways -----------------------------------------------------------------------------------------------------------


def scenedetect(*names: str, shortest: int = 5) -> Method:
    import scenedetect as library

    def find(film: Film) -> list[int]:
        detectors = [getattr(library, name)(min_scene_len=shortest) for name in names]
        found: set[int] = set()
        for i, picture in enumerate(film.frames):
            at = library.FrameTimecode(i, fps=25.0)
            for detector in detectors:
                found.update(c.frame_num for c in detector.process_frame(at, np.ascontiguousarray(picture[..., ::-1])))
        last = library.FrameTimecode(len(film.frames) - 1, fps=25.0)
        return sorted(found.union(c.frame_num for d in detectors for c in d.post_process(last)))

    return find


def ours(fps: str | int) -> Method:
    from fractions import Fraction

    def find(film: Film) -> list[int]:
        index = probe(film.path)
        found = find_changes(look_at(film.path, index, "all" if fps == "all" else Fraction(fps)))
        return [int(i) for i in found.frame_offset]

    return find


def vectors(film: Film) -> NDArray[np.float32]:
    """Embeddings of the sampled frames by the CLIP of the repository, float32 [N, D]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(next((ROOT / "triton_models" / "clip").rglob("*.onnx"))))
    sampled = film.frames[::SAMPLED]
    pictures = np.stack([cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA) for picture in sampled])
    return np.concatenate([session.run(None, {"image": pictures[i : i + 8]})[0] for i in range(0, len(pictures), 8)])


def embeddings(threshold: float, ratio: float, cache: dict[str, NDArray[np.float32]]) -> Method:
    def find(film: Film) -> list[int]:
        if film.name not in cache:
            cache[film.name] = vectors(film)
        at = np.arange(len(cache[film.name])) * SAMPLED
        found = changes_of_vectors(at, at / 25, cache[film.name], level=threshold, ratio=ratio)
        return [int(i) for i in found.frame_offset]

    return find


# --- judging --------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    right: dict[str, int]
    asked: dict[str, int]
    n_false: int = 0
    n_exact: int = 0

    def f1(self) -> float:
        right, asked = sum(self.right.values()), sum(self.asked.values())
        return 2 * right / max(1, asked + right + self.n_false)


def judge(method: Method, chosen: Sequence[Film], slack: int = SAMPLED) -> Tally:
    """A find is right when it lies within one sampled frame of a change, each change once; any other is false."""
    tally = Tally({"cut": 0, "dissolve": 0, "fade": 0}, {"cut": 0, "dissolve": 0, "fade": 0})
    for film in chosen:
        left = method(film)
        for change in film.changes:
            first = change.end if change.kind == "cut" else change.first
            near = [at for at in left if first - slack <= at <= change.end + slack]
            tally.asked[change.kind] += 1
            if near:
                best = min(near, key=lambda at: abs(at - (first + change.end) / 2))
                tally.right[change.kind] += 1
                tally.n_exact += change.kind == "cut" and best == change.end
                left.remove(best)
        tally.n_false += len(left)
    return tally


def line(name: str, tallies: Sequence[Tally]) -> str:
    cells = []
    for t in tallies:
        cells += [f"{t.right['cut']}/{t.asked['cut']} ({t.n_exact})", f"{t.right['dissolve']}/{t.asked['dissolve']}",
                  f"{t.right['fade']}/{t.asked['fade']}", str(t.n_false), f"{t.f1():.2f}"]  # fmt: skip
    return f"| {name} | " + " | ".join(cells) + " |"


def main(folder: Path) -> None:
    every = list(films(folder))
    groups = [[film for film in every if film.group == group] for group in ("made", "real")]
    ways: dict[str, Method] = {
        "PySceneDetect content": scenedetect("ContentDetector"),
        "PySceneDetect content, as it comes (15 frames apart)": scenedetect("ContentDetector", shortest=15),
        "PySceneDetect adaptive": scenedetect("AdaptiveDetector"),
        "PySceneDetect adaptive + threshold": scenedetect("AdaptiveDetector", "ThresholdDetector"),
        "PySceneDetect histogram": scenedetect("HistogramDetector", shortest=15),
        "PySceneDetect hash": scenedetect("HashDetector", shortest=15),
    }
    for name, way in ways.items():
        print(line(name, [judge(way, group) for group in groups]), flush=True)
    cache: dict[str, NDArray[np.float32]] = {}
    settings = [(t, r) for t in (0.03, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4) for r in (1.0, 1.5, 2.0, 3.0, 4.0)]
    best = max(settings, key=lambda one: sum(judge(embeddings(*one, cache), group).f1() for group in groups))
    print(line(f"embeddings (clip/1, 5 a second), best of {len(settings)}: level {best[0]}, ratio {best[1]}",
               [judge(embeddings(*best, cache), group) for group in groups]), flush=True)  # fmt: skip
    print(line("ours, every frame", [judge(ours("all"), group) for group in groups]), flush=True)
    print(line("ours, 5 frames a second", [judge(ours(5), group) for group in groups]), flush=True)
    for film in every:
        found = [judge(ours("all"), [film])]
        if found[0].f1() < 1 or (found[0].n_false and not film.changes):
            print("not whole:", film.name, found[0], ours("all")(film), film.changes)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
