"""Train the tiny CLIP: `python -m scripts.train_tiny_clip.train OUT [--steps N]`, in an environment with torch.

Contrastive, as CLIP, but with several right answers: a caption belongs to each picture of its batch that it fits.
Writes `weights.npz` and `tokenizer.json` to OUT. With the same torch on the same kind of processor the same seed gives
the same weights; elsewhere it gives others that are as good.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from scripts.train_tiny_clip.captions import LENGTH, caption, encode, make_tokenizer, pair_caption, truths
from scripts.train_tiny_clip.shapes import HELD_OUT, PAIRS, gallery, random_scene, render
from scripts.train_tiny_clip.towers import ImageTower, TextTower

SEED, STEPS, BATCH = 3, 6000, 128
PEAK_RATE, WARM_UP_STEPS, DECAY = 1.5e-3, 60, 0.02
FIRST_SCALE, HIGHEST_SCALE = 1 / 0.07, 100.0
_CORPUS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    tokenizer = make_tokenizer(caption(rng, random_scene(rng))[0] for _ in range(_CORPUS))
    image, text = ImageTower(), TextTower(tokenizer.get_vocab_size(), LENGTH)
    scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
    train(rng, tokenizer, image, text, scale, options.steps)
    tokenizer.save(str(options.out / "tokenizer.json"))
    towers = {f"{name}.{key}": value for name, tower in (("image", image), ("text", text))
              for key, value in tower.state_dict().items()}  # fmt: skip
    arrays = {name: value.numpy() for name, value in towers.items()}
    facts = {"logit_scale": _clamped(scale).item(), "seed": SEED, "steps": options.steps}
    np.savez(options.out / "weights.npz", **arrays, **facts)


def train(
    rng: np.random.Generator, tokenizer: Tokenizer, image: ImageTower, text: TextTower, scale: Tensor, steps: int
) -> None:
    """AdamW under a cosine; prints loss and recall now and then."""
    parameters = [*image.parameters(), *text.parameters(), scale]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=DECAY)
    began_s = time.time()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _rate(step, steps)
        loss = batch_loss(rng, tokenizer, image, text, scale)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 100 == 0:
            held = [pair for pair in PAIRS if pair in HELD_OUT]
            recall = [recall_at_1(tokenizer, image, text, pairs) for pairs in (PAIRS, held)]
            print(step + 1, round(loss.item(), 3), "R@1", recall, round(time.time() - began_s), "s", flush=True)
    image.eval()
    text.eval()


def batch_loss(
    rng: np.random.Generator, tokenizer: Tokenizer, image: ImageTower, text: TextTower, scale: Tensor
) -> Tensor:
    """Cross entropy in both directions; the right answers of a row share its weight."""
    scenes = [random_scene(rng) for _ in range(BATCH)]
    pictures = _prepared(np.stack([render(rng, scene) for scene in scenes]))
    texts, said = zip(*(caption(rng, scene) for scene in scenes), strict=True)
    right = torch.from_numpy(truths(np.stack(said), np.stack(scenes)).astype(np.float32))
    images = nn.functional.normalize(image(pictures), dim=-1)
    words = nn.functional.normalize(text(torch.from_numpy(encode(tokenizer, texts))), dim=-1)
    logits = _clamped(scale) * words @ images.T
    return sum(
        -(nn.functional.log_softmax(logits, axis) * right / right.sum(axis, keepdim=True)).sum(axis).mean()
        for axis in (0, 1)
    )


@torch.no_grad()
def recall_at_1(tokenizer: Tokenizer, image: ImageTower, text: TextTower, pairs: list[tuple[int, int]]) -> float:
    """Share of the pairs whose plain caption finds its own picture in a fresh gallery; the same one at each call."""
    image.eval()
    text.eval()
    _, pictures = gallery(np.random.default_rng(SEED + 1), pairs)
    texts = [pair_caption(*pair) for pair in pairs]
    images = nn.functional.normalize(image(_prepared(pictures)), dim=-1)
    nearest = (text(torch.from_numpy(encode(tokenizer, texts))) @ images.T).argmax(1)
    image.train()
    text.train()
    return round((nearest == torch.arange(len(pairs))).float().mean().item(), 3)


def _prepared(pictures: NDArray[np.uint8]) -> Tensor:
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25


def _clamped(scale: Tensor) -> Tensor:
    return scale.exp().clamp(max=HIGHEST_SCALE)


def _rate(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return PEAK_RATE * warm * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01)


if __name__ == "__main__":
    main()
