"""Captions of the pictures of `shapes`, which of them are true of which picture, and the tokenizer of their words."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from scripts.train_tiny_clip.shapes import ACROSS, COLOURS, DOWN, NOTHING, SHAPES, Scene

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 24
"""Tokens of a text, with start and end; shorter ones are filled up with 0."""
FREE = -1
"""A fact that a caption does not speak of."""

_COLOUR_WORDS = {name: (name,) for name in COLOURS} | {
    "gray": ("gray", "grey"),
    "purple": ("purple", "violet"),
    "cyan": ("cyan", "turquoise"),
    "navy": ("navy", "dark blue"),
}
_SHAPE_WORDS = {name: (name,) for name in SHAPES} | {
    "circle": ("circle", "disc", "ball", "dot"),
    "square": ("square", "box", "rectangle"),
    "cross": ("cross", "plus sign"),
    "ring": ("ring", "hoop"),
    "diamond": ("diamond", "rhombus"),
}
_SIZE_WORDS = (("small", "tiny"), ("large", "big"))
_OPENINGS = ("a", "an", "a photo of a", "a picture of a", "an image of a", "a frame with a", "there is a", "the", "")
_PLAIN_FORMS = ("a plain {} picture", "nothing but {}", "a {} screen", "an empty {} picture", "plain {}")


def caption(rng: np.random.Generator, scene: Scene) -> tuple[str, Scene]:
    """A true sentence about a picture, and the facts that it states, int64 [6] (`FREE` where it says nothing)."""
    colour, shape, ground, size, across, down = (int(fact) for fact in scene)
    said = np.full(scene.size, FREE, np.int64)
    said[0] = colour
    colour_word = _one(rng, _COLOUR_WORDS[list(COLOURS)[colour]])
    if shape == NOTHING:
        said[1] = shape
        return _one(rng, _PLAIN_FORMS).format(colour_word), said
    form = rng.random()
    if form < 0.08:  # the colour alone
        return _one(rng, ("{}", "something {}", "a {} shape", "a {} thing")).format(colour_word), said
    said[1] = shape
    words = [_one(rng, _OPENINGS)]
    if rng.random() < 0.4:
        said[3] = size
        words.append(_one(rng, _SIZE_WORDS[size]))
    if form < 0.16:  # the shape alone
        said[0] = FREE
    else:
        words.append(colour_word)
    words.append(_one(rng, _SHAPE_WORDS[SHAPES[shape]]))
    if rng.random() < 0.4:
        said[2] = ground
        words.append(f"on a {_one(rng, _COLOUR_WORDS[list(COLOURS)[ground]])} background")
    if rng.random() < 0.35:
        said[4:6] = across, down
        words.append(f"{_one(rng, ('at', 'in', 'on'))} the {place(across, down)}")
    return " ".join(" ".join(words).split()), said


def place(across: int, down: int) -> str:
    """`top left`, `left`, `center` …"""
    words = [words[fact] for words, fact in ((DOWN, down), (ACROSS, across)) if words[fact] != "centre"]
    return " ".join(words) or "center"


def pair_caption(colour: int, shape: int, template: str = "a {}") -> str:
    """The plain caption of a pair, such as `a red star`."""
    return template.format(f"{list(COLOURS)[colour]} {SHAPES[shape]}")


def truths(said: NDArray[np.int64], scenes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which captions are true of which pictures, bool [captions, pictures]: no stated fact is another one there."""
    stated = said[:, None, :]
    return ((stated == FREE) | (stated == scenes[None])).all(axis=2)


def make_tokenizer(corpus: Iterable[str]) -> Tokenizer:
    """Byte-level BPE of the captions' words, in CLIP's manner: lower case, a start and an end token around."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=[START, END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(corpus, trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in (START, END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ids)
    return tokenizer


def all_words() -> tuple[str, ...]:
    """Every word that a caption may have, sorted."""
    texts = [form for group in (*_COLOUR_WORDS.values(), *_SHAPE_WORDS.values(), *_SIZE_WORDS) for form in group]
    texts += [form.replace("{}", " ") for form in (*_OPENINGS, *_PLAIN_FORMS)]
    texts += ["something a shape a thing on a background at in on the", "top left right bottom center"]
    return tuple(sorted({word for text in texts for word in text.split()}))


def encode(tokenizer: Tokenizer, texts: Iterable[str]) -> NDArray[np.int64]:
    """Tokens int64 [N, 24]; no caption of ours is too long."""
    rows = [tokenizer.encode(text).ids for text in texts]
    return np.array([row + [0] * (LENGTH - len(row)) for row in rows], np.int64).reshape(len(rows), LENGTH)


def _one(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
