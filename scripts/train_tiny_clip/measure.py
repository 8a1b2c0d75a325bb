"""Measure the shipped towers on pictures that were never seen: `python -m scripts.train_tiny_clip.measure`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from framehouse.inference.tokens import tokenize
from framehouse.results.vectors import compare
from scripts.train_tiny_clip.captions import LENGTH, pair_caption, place
from scripts.train_tiny_clip.shapes import COLOURS, HELD_OUT, PAIRS, SHAPES, SIZES, Scene, gallery, random_scene, render

SEED = 1000
"""Of the galleries: not the one of the training."""


class Towers:
    """Both towers in onnxruntime, without a server."""

    def __init__(self, repository: Path) -> None:
        self._image, self._text = (
            onnxruntime.InferenceSession(repository / name / "1" / "model.onnx", providers=["CPUExecutionProvider"])
            for name in ("clip", "clip_text")
        )
        self._tokenizer = repository / "clip_text" / "1" / "tokenizer.json"

    def images(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors of pictures [N, 64, 64, 3]."""
        return self._image.run(["embedding"], {"image": pictures})[0]

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts."""
        return self._text.run(["embedding"], {"tokens": tokenize(self._tokenizer, texts, LENGTH)})[0]


def recall_of_pairs(towers: Towers, pairs: Sequence[tuple[int, int]], seed: int, template: str = "a {}") -> float:
    """Share of the pairs whose caption finds its own picture first, in a fresh gallery with one picture of each."""
    _, pictures = gallery(np.random.default_rng(seed), pairs)
    texts = towers.texts([pair_caption(*pair, template) for pair in pairs])
    nearest = compare(texts, towers.images(pictures)).argmax(axis=1)
    return float((nearest == np.arange(len(pairs))).mean())


def recall_of_scenes(towers: Towers, seed: int, n: int = 200) -> tuple[float, float]:
    """Recall at 1 and at 5 of full captions (size, colour, shape, ground, place) among n scenes of held-out pairs."""
    rng = np.random.default_rng(seed)
    held = sorted(HELD_OUT)
    scenes: dict[bytes, Scene] = {}
    while len(scenes) < n:
        scene = random_scene(rng, held[int(rng.integers(len(held)))])
        scenes[scene.tobytes()] = scene
    pictures = np.stack([render(rng, scene) for scene in scenes.values()])
    ranks = (
        -compare(towers.texts([full_caption(scene) for scene in scenes.values()]), towers.images(pictures))
    ).argsort(1)
    places = (ranks == np.arange(n)[:, None]).argmax(axis=1)
    return float((places == 0).mean()), float((places < 5).mean())


def full_caption(scene: Scene) -> str:
    """All facts of a picture in a sentence."""
    colour, shape, ground, size, across, down = (int(fact) for fact in scene)
    names = list(COLOURS)
    thing = f"{SIZES[size]} {names[colour]} {SHAPES[shape]}"
    return f"a {thing} on a {names[ground]} background at the {place(across, down)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository", type=Path, nargs="?", default=Path("triton_models"))
    towers = Towers(parser.parse_args().repository)
    held = [pair for pair in PAIRS if pair in HELD_OUT]
    seeds = range(SEED, SEED + 10)
    for template in ("a {}", "a photo of a {}", "{}"):
        recalls = [recall_of_pairs(towers, PAIRS, seed, template) for seed in seeds]
        print(f"{template!r}: R@1 among 80: mean {np.mean(recalls):.4f}, lowest {min(recalls):.4f}")
    recalls = [recall_of_pairs(towers, held, seed) for seed in seeds]
    print(f"never trained pairs: R@1 among 11: mean {np.mean(recalls):.4f}, lowest {min(recalls):.4f}")
    scenes = np.array([recall_of_scenes(towers, seed) for seed in seeds])
    print(
        f"full captions of never trained pairs among 200: R@1 {scenes[:, 0].mean():.3f}, R@5 {scenes[:, 1].mean():.3f}"
    )


if __name__ == "__main__":
    main()
